package keyfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"natter/chat"
	"natter/internal/private"
)

// File is a key and how it is kept.
type File struct {
	Key
	Path       string
	Passphrase string // "": it is not encrypted
}

// Ending is how the names of key files end.
const Ending = ".key"

// Read reads a key file. Its error is a *chat.Error: Auth if a passphrase is needed and
// is missing ("") or wrong, else Denied; errors.Is finds fs.ErrNotExist. A passphrase for
// a file that is not encrypted is not used.
func Read(path, passphrase string) (*File, error) {
	text, sealed, err := Load(path)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path}
	if sealed {
		f.Passphrase = passphrase
		if text, err = open(path, text, passphrase); err != nil {
			return nil, err
		}
	}
	if f.Key, err = Parse(text); err != nil {
		return nil, leftAlone(path, err)
	}
	return f, nil
}

func open(path string, text []byte, passphrase string) ([]byte, error) {
	if passphrase == "" {
		return nil, chat.Errorf(chat.Auth, "The key file %s is protected by a passphrase. Write it into a file of your own: chatcli --passphrase-file FILE.", path)
	}
	text, err := unseal(text, passphrase)
	if errors.Is(err, errPassphrase) {
		return nil, WrongPassphrase(path)
	}
	if err != nil {
		return nil, leftAlone(path, err)
	}
	return text, nil
}

// WrongPassphrase is the error of Read with a passphrase that is not the one.
func WrongPassphrase(path string) error {
	return chat.Errorf(chat.Auth, "That is not the passphrase of %s.", path)
}

// Load reads the text of a key file, without what editors leave in it, and reports whether it
// is encrypted. Its error is that of Read, for what can be seen without a passphrase.
func Load(path string) (text []byte, sealed bool, err error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, false, leftAlone(path, errors.New("is a link to a file that is not there"))
		}
	}
	text, err = private.ReadText("key file", path, private.Small)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, err
	case err != nil:
		return nil, false, chat.Errorf(chat.Denied, "%s", err) // it was not even looked at
	}
	sealed, err = Check(path, text)
	return text, sealed, err
}

// Check reports whether the text of a key is encrypted. Its error is that of Load; path is
// what the sentence calls the text.
func Check(path string, text []byte) (sealed bool, err error) {
	if sealed = isSealed(text); sealed {
		err = checkSealed(text)
	} else {
		_, err = Parse(text)
	}
	if err != nil {
		return false, leftAlone(path, err)
	}
	return sealed, nil
}

// leftAlone is the sentence about a file that is not understood.
func leftAlone(path string, what error) error {
	return chat.Errorf(chat.Denied, "The key file %s %v; it was left as it is. Bring a copy of the key, or use another file: chatcli --key FILE.", path, what)
}

// text is what the file shall hold.
func (f *File) text() ([]byte, error) {
	text, err := Format(f.Key)
	if err == nil && f.Passphrase != "" {
		text, err = seal(text, f.Passphrase)
	}
	return text, err
}

// Create writes the file for the first time: errors.Is finds fs.ErrExist if there is one
// already.
func (f *File) Create() error {
	text, err := f.text()
	if err != nil {
		return err
	}
	return private.Create(f.Path, text)
}

// Draft is Create in two steps: when it returns, there is room for the file.
func (f *File) Draft() (*private.Draft, error) {
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	return private.NewDraft(f.Path, text)
}

// Writable returns why a key could not be written to path; nil if it could be.
func Writable(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return cannotKeep(path, err)
	}
	d, err := private.NewDraft(path, make([]byte, 1<<10))
	if err == nil {
		d.Drop()
	}
	return err
}

// Change reads a file, has it changed, and writes it, all under its lock. An error of
// change leaves it as it is.
func Change(ctx context.Context, path, passphrase string, change func(*File) error) (*File, error) {
	unlock, err := Lock(ctx, path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := Read(path, passphrase)
	if err != nil {
		return nil, err
	}
	if err := change(f); err != nil {
		return nil, err
	}
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	target, err := filepath.EvalSymlinks(path) // a link stays one
	if err != nil {
		return nil, err
	}
	return f, private.Write(target, text)
}

// Backup writes a copy of the key beside its file, under a name of its own, and returns
// that.
func (f *File) Backup() (string, error) {
	copied := *f
	for i := 1; ; i++ {
		copied.Path = fmt.Sprintf("%s.old%d", f.Path, i)
		if err := copied.Create(); !errors.Is(err, fs.ErrExist) {
			return copied.Path, err
		}
	}
}

// lockTimeout is how long Lock waits for another process.
const lockTimeout = 5 * time.Second

// Lock keeps other processes from changing a key file, or from making it. It waits a
// moment for one that does, and then says which it is. The directory is made if it is
// not there.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, cannotKeep(path, err)
	}
	lock := path + ".lock"
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		unlock, err := private.Lock(lock)
		if err == nil {
			return func() { _ = os.Remove(lock); unlock() }, nil // it may stay where an open file cannot be removed
		}
		var busy *private.LockedError
		if !errors.As(err, &busy) {
			return nil, cannotKeep(path, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, chat.Errorf(chat.Denied, "The key file %s is in use by process %s. Try it again when that is done.", path, busy.PID)
		}
	}
}

// ErrReadOnly is what errors.Is finds if a key cannot be kept, because nothing may be
// written where it would be.
var ErrReadOnly = errors.New("read-only")

func cannotKeep(path string, err error) error {
	kind := private.ErrFile
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		kind = ErrReadOnly
	}
	return private.Errorf(kind, "Cannot write %s: %v.", path, private.Cause(err))
}
