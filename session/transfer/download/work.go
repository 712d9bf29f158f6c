package download

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"natter/internal/private"
	"natter/session/transfer"
)

// prefix is how the names of working directories begin.
const prefix = ".natter-"

// ErrPlanted is what errors are about something that this program has not made in the place
// of what it has.
var ErrPlanted = errors.New("not what this program has made")

func workName(id transfer.ID) string { return prefix + hex.EncodeToString(id[:]) }

// idOf returns the transfer whose working directory has a name.
func idOf(name string) (id transfer.ID, ok bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(id) || workName(transfer.ID(b)) != name {
		return id, false
	}
	return transfer.ID(b), true
}

// openWork opens the working directory of a transfer.
func openWork(root *os.Root, id transfer.ID) (*os.Root, error) {
	name := workName(id)
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() || !ours(info) {
		return nil, planted(root, name)
	}
	work, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if opened, err := work.Stat("."); err != nil || !os.SameFile(info, opened) {
		work.Close()
		return nil, errors.Join(planted(root, name), err)
	}
	return work, nil
}

func planted(root *os.Root, name string) error {
	return private.Errorf(ErrPlanted, "%s in %s is not what this program has made there. Nothing was written to it; remove it, or choose another directory.", name, root.Name())
}

// openFile opens a regular file in a working directory for reading and writing, or makes it.
// Links are refused.
func openFile(work *os.Root, name string) (f *os.File, made bool, err error) {
	info, err := work.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = work.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		return f, err == nil, err
	}
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, planted(work, name)
	}
	if f, err = work.OpenFile(name, os.O_RDWR, 0); err != nil {
		return nil, false, err
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		f.Close()
		return nil, false, errors.Join(planted(work, name), err)
	}
	return f, false, nil
}

// openThere is openFile for a file that must be there.
func openThere(work *os.Root, name string) (*os.File, error) {
	if _, err := work.Lstat(name); err != nil {
		return nil, err
	}
	f, _, err := openFile(work, name)
	return f, err
}

// syncDir makes new names in a directory durable. Windows knows no such thing.
func syncDir(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
