package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// openDataDir returns the directory to use and what gives it back: a directory
// of ours that is locked, or with "" a new one that is removed.
func openDataDir(dir string) (string, func(), error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "natter-")
		if err != nil {
			return "", nil, problemf(ErrDataDir, "Cannot make a temporary directory: %v.", cause(err))
		}
		return dir, func() { os.RemoveAll(dir) }, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, problemf(ErrDataDir, "Cannot make the data directory %s: %v.", dir, cause(err))
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, err
	}
	return dir, unlock, nil
}

// lock takes a lock that the system gives back when the process ends, however it
// ends, and leaves the PID in the file for whoever finds it locked. The file
// stays: to remove it would race with the next process.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, problemf(ErrDataDir, "Cannot use the data directory: %v.", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, problemf(ErrDataDir, "Cannot lock %s: %v.", path, err)
		}
		return nil, problemf(ErrDataDir, "The data directory %s is in use by process %s (it holds %s). Stop it, or use another directory.",
			filepath.Dir(path), holder(f), path)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, problemf(ErrDataDir, "Cannot write %s: %v.", path, cause(err))
	}
	return func() { f.Close() }, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func holder(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(text)); pid != "" {
		return pid
	}
	return "unknown"
}

// privateDir makes a directory that is ours alone, or checks that it is.
func privateDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return syncDir(filepath.Dir(dir))
	}
	if !errors.Is(err, fs.ErrExist) {
		return problemf(ErrDataDir, "Cannot make %s: %v.", dir, cause(err))
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return problemf(ErrDataDir, "Cannot use %s: %v.", dir, cause(err))
	case !info.IsDir():
		return problemf(ErrDataDir, "%s is not a directory.", dir)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return problemf(ErrDataDir, "Others can read the directory %s (mode %04o). Make it yours alone: chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// writePrivate writes a file that only we can read, whole or not at all, also if
// the power fails.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return problemf(ErrDataDir, "Cannot write %s: %v.", path, cause(err))
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return problemf(ErrDataDir, "Cannot write %s: %v.", path, cause(err))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in a directory last. Windows knows no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return problemf(ErrDataDir, "Cannot use %s: %v.", dir, cause(err))
	}
	return nil
}

// cause is the part of a file's error that a sentence about that file has not
// said yet.
func cause(err error) error {
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
