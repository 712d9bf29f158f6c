// Package private keeps files that are nobody else's business: keys and credentials.
// They are written whole or not at all, also if the power fails, and what others can
// read is refused rather than used.
package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"natter/chat"
)

// ErrFile is what every error of this package is, for programs; for people it is an
// *chat.Error, whose sentence names the file.
var ErrFile = errors.New("a file cannot be used")

// problem is a sentence for people that programs can tell apart.
type problem struct {
	kinds []error
	text  *chat.Error
}

// Errorf makes a sentence for people that errors.Is finds to be kind.
func Errorf(kind error, format string, args ...any) error {
	return &problem{[]error{kind}, chat.Errorf(chat.Arguments, format, args...)}
}

// filef is Errorf about a file, and what the system says of it.
func filef(cause error, format string, args ...any) error {
	return &problem{[]error{ErrFile, cause}, chat.Errorf(chat.Arguments, format, args...)}
}

// Error returns the sentence.
func (p *problem) Error() string { return p.text.Text }

// Unwrap makes errors.Is find the kinds and errors.As the *chat.Error.
func (p *problem) Unwrap() []error { return append([]error{p.text}, p.kinds...) }

// Dir makes a directory that is ours alone, or checks that it is.
func Dir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return SyncDir(filepath.Dir(dir))
	}
	if !errors.Is(err, fs.ErrExist) {
		return filef(err, "Cannot make %s: %v.", dir, Cause(err))
	}
	return CheckDir(dir)
}

// CheckDir checks that a directory is there and ours alone.
func CheckDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return filef(err, "Cannot use %s: %v.", dir, Cause(err))
	case !info.IsDir():
		return Errorf(ErrFile, "%s is not a directory.", dir)
	case wide(info):
		return Errorf(ErrFile, "Others can read the directory %s (mode %04o). Make it yours alone: chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// Sizes of files that Read takes at most: of what a user has chosen, and of what grows with
// the number of users and is found in a directory of ours.
const (
	Small = 1 << 20
	Large = 1 << 30
)

// Read reads a file that is ours alone; errors.Is finds fs.ErrNotExist. kind says what
// it is, for the sentence, most how many bytes it may have.
func Read(kind, path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, Errorf(ErrFile, "The %s %s is a directory or the like, not a file.", kind, path)
	}
	if err == nil && info.Size() > most {
		return nil, Errorf(ErrFile, "The %s %s is too large to be one.", kind, path)
	}
	if err == nil && wide(info) {
		return nil, Errorf(ErrFile, "Others can read the %s %s (mode %04o). Make it yours alone: chmod 600 %s", kind, path, info.Mode().Perm(), path)
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			return text, nil
		}
	}
	return nil, filef(err, "Cannot read the %s %s: %v.", kind, path, Cause(err))
}

// wide reports whether others can read something. Windows keeps that elsewhere.
func wide(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// Write writes a file that only we can read, whole or not at all.
func Write(path string, text []byte) error { return write(path, text, os.Rename) }

// Create is Write for a file that is not there yet: errors.Is finds fs.ErrExist if it
// is.
func Create(path string, text []byte) error { return write(path, text, link) }

// link is a rename that takes no other file's place, also where files have one name only.
func link(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	return os.Rename(from, to)
}

// temporary is how the names of files begin that have not got their own yet.
const temporary = ".new-"

// Temporary reports whether a file is one that Write has left which was cut short.
func Temporary(name string) bool { return strings.HasPrefix(name, temporary) }

// write writes beside the path, and then gives what was written its name.
func write(path string, text []byte, name func(from, to string) error) error {
	d, err := NewDraft(path, text)
	if err != nil {
		return err
	}
	defer d.Drop()
	return d.name(name)
}

// Draft is a file that is written, and is not there yet: it takes the room that it needs.
type Draft struct{ path, written string }

// NewDraft writes a file that only we can read beside the path.
func NewDraft(path string, text []byte) (*Draft, error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporary) // mode 0600
	if err != nil {
		return nil, filef(err, "Cannot write %s: %v.", path, Cause(err))
	}
	d := &Draft{path, f.Name()}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		d.Drop()
		return nil, filef(err, "Cannot write %s: %v.", path, Cause(err))
	}
	return d, nil
}

// Create gives the file its name, as the function Create does.
func (d *Draft) Create() error { return d.name(link) }

// Drop removes what was written, unless it has its name.
func (d *Draft) Drop() { _ = os.Remove(d.written) }

func (d *Draft) name(name func(from, to string) error) error {
	if err := name(d.written, d.path); err != nil {
		return filef(err, "Cannot write %s: %v.", d.path, Cause(err))
	}
	return SyncDir(filepath.Dir(d.path))
}

// SyncDir makes a new name in a directory last. Windows knows no such thing.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return filef(err, "Cannot use %s: %v.", dir, Cause(err))
	}
	return nil
}

// Cause is the part of a file's error that a sentence about that file has not said
// yet.
func Cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
