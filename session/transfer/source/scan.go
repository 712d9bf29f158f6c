package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"natter/chat"
	"natter/internal/private"
	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
)

const (
	// maxSkipped is how many links are remembered, and maxNamed how many files a sentence
	// names.
	maxSkipped = 100
	maxNamed   = 5
)

// New makes a source of files and directories with all that is in them. Everything is opened
// once, so that what cannot be read is known before it is offered.
func New(paths ...string) (*Source, error) {
	sc := scan{Source: &Source{tops: map[int]string{}}}
	for _, path := range paths {
		if err := sc.top(path); err != nil {
			return nil, err
		}
	}
	if sc.count > 0 {
		return nil, sc.refusal()
	}
	if sc.list.Len() == 0 {
		return nil, private.Errorf(ErrUnread, "No file was named.")
	}
	return sc.Source, nil
}

// scan makes a source.
type scan struct {
	*Source
	unread []error // the first ones
	count  int     // of all that cannot be read
}

// top adds what a user has named. A link that was named is followed.
func (sc *scan) top(path string) error {
	full, err := filepath.Abs(path)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Lstat(full)
	}
	if err != nil {
		return unread(path, err)
	}
	named, err := filepath.Abs(path)
	if err != nil {
		return unread(path, err)
	}
	if filepath.Dir(named) == named {
		return private.Errorf(ErrUnread, "%s has no name under which it could be sent.", shown(path))
	}
	sc.tops[sc.list.Len()] = full
	return sc.add(manifest.Top, filepath.Base(named), full, info)
}

// add adds a file or directory. The error is one that ends the scan; what cannot be read is
// counted.
func (sc *scan) add(parent int, name, path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return sc.addFile(parent, name, path)
	case mode.IsDir():
		return sc.addDir(parent, name, path)
	case mode&fs.ModeSymlink != 0:
		if len(sc.skipped) < maxSkipped {
			sc.skipped = append(sc.skipped, path)
		}
		return nil
	}
	sc.refuse(private.Errorf(ErrUnread, "%s is %s, which cannot be sent. Send what comes out of it through standard input.", shown(path), kind(info.Mode())))
	return nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "neither a file nor a directory"
}

func (sc *scan) addFile(parent int, name, path string) error {
	f, err := openRegular(path)
	if err != nil {
		sc.refuse(unread(path, err))
		return nil
	}
	defer f.Close()
	is, err := identify(f)
	if err != nil {
		sc.refuse(unread(path, err))
		return nil
	}
	return sc.entry(manifest.Entry{Parent: parent, Kind: manifest.File, Size: is.Size, Name: name}, is, path)
}

func (sc *scan) addDir(parent int, name, path string) error {
	at := sc.list.Len()
	if err := sc.entry(manifest.Entry{Parent: parent, Kind: manifest.Directory, Name: name}, journal.SourceFile{}, path); err != nil {
		return err
	}
	entries, err := readDir(path)
	if err != nil {
		sc.refuse(unread(path, err))
		return nil
	}
	for _, e := range entries {
		inside := filepath.Join(path, e.Name())
		info, err := os.Lstat(inside)
		if err != nil {
			sc.refuse(unread(inside, err))
			continue
		}
		if err := sc.add(at, e.Name(), inside, info); err != nil {
			return err
		}
	}
	return nil
}

// readDir returns the entries of a directory, sorted; more than can be offered are not read.
func readDir(path string) ([]fs.DirEntry, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(manifest.MaxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

func (sc *scan) entry(e manifest.Entry, is journal.SourceFile, path string) error {
	if err := sc.list.Add(e); err != nil {
		return private.Errorf(errors.Join(ErrUnread, err), "%s is too much for one offer: %v. Pack it into an archive, and offer that.", shown(path), err)
	}
	sc.files = append(sc.files, is)
	return nil
}

func (sc *scan) refuse(err error) {
	if sc.count++; sc.count <= maxNamed {
		sc.unread = append(sc.unread, err)
	}
}

// refusal is one sentence about all that cannot be read.
func (sc *scan) refusal() error {
	if sc.count == 1 {
		return sc.unread[0]
	}
	var texts []string
	for _, err := range sc.unread {
		texts = append(texts, err.Error())
	}
	if more := sc.count - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("%d more cannot be read.", more))
	}
	return private.Errorf(errors.Join(sc.unread...), "%s", strings.Join(texts, " "))
}

// shown is a path for a sentence.
func shown(path string) string { return chat.Clean(path) }
