package private

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// LockedError is the error of Lock for a file that another process has locked.
type LockedError struct {
	Path string
	PID  string // of the other process, or "unknown"
}

// Error says who holds the lock.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is held by process %s", e.Path, e.PID)
}

// Lock takes a lock that the system gives back when the process ends, however it
// ends, and leaves the PID in the file for whoever finds it locked. Its error is a
// *LockedError, or what the system says.
//
// Who unlocks may remove the file before; whoever has opened it meanwhile opens the
// next one.
func Lock(path string) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := tryLock(f); err != nil {
			defer f.Close()
			if errors.Is(err, ErrLocked) {
				err = &LockedError{path, holder(f)}
			}
			return nil, err
		}
		if !stillThere(f, path) {
			f.Close()
			continue
		}
		if err := writePID(f); err != nil {
			f.Close()
			return nil, err
		}
		return func() { f.Close() }, nil
	}
}

// ErrLocked is the error of LockFile for a file that is locked already.
var ErrLocked = errors.New("locked")

// LockFile locks an open file until it is closed, however the process ends. Its content can
// still be read.
func LockFile(f *os.File) error { return tryLock(f) }

// stillThere reports whether path is the file that was opened.
func stillThere(f *os.File, path string) bool {
	opened, err := f.Stat()
	now, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(opened, now)
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
