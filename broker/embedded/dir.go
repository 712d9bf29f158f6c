package embedded

import (
	"errors"
	"os"
	"path/filepath"

	"natter/internal/private"
)

// openDataDir returns the directory to use and what gives it back: a directory
// of ours that is locked, or with "" a new one that is removed.
func openDataDir(dir string) (string, func(), error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "natter-")
		if err != nil {
			return "", nil, private.Errorf(ErrDataDir, "Cannot make a temporary directory: %v.", private.Cause(err))
		}
		return dir, func() { os.RemoveAll(dir) }, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, private.Errorf(ErrDataDir, "Cannot make the data directory %s: %v.", dir, private.Cause(err))
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, err
	}
	return dir, unlock, nil
}

// lock takes the lock of a data directory. The file stays.
func lock(path string) (func(), error) {
	unlock, err := private.Lock(path)
	if busy := (*private.LockedError)(nil); errors.As(err, &busy) {
		return nil, private.Errorf(ErrDataDir, "The data directory %s is in use by process %s (it holds %s). Stop it, or use another directory.",
			filepath.Dir(path), busy.PID, path)
	}
	if err != nil {
		return nil, private.Errorf(ErrDataDir, "Cannot use the data directory: %v.", err)
	}
	return unlock, nil
}
