package embedded

import (
	"errors"
	"io/fs"
	"log/slog"
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
	if err := cutShort(dir); err != nil {
		unlock()
		return "", nil, err
	}
	return dir, unlock, nil
}

// Restoring is the directory, in a data directory, that a restore works in. It is there until
// everything is in its place.
const Restoring = "restoring"

// cutShort is why a directory cannot be used in which a restore has not come to its end.
func cutShort(dir string) error {
	at := filepath.Join(dir, Restoring)
	if !exists(at) {
		return nil
	}
	return private.Errorf(ErrDataDir, "A restore into %s was cut short: %s is left of it, and the state is not complete. Nothing was changed. Begin it again: chatcoord restore --again FILE --data-dir %s", dir, at, dir)
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

// Belongings reads the files that make a data directory this installation and no other:
// keys and certificates, by their path in the directory. The server may be running.
func Belongings(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, sub := range []string{"keys", "tls"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil {
				path, err = filepath.Rel(dir, path)
			}
			files[filepath.ToSlash(path)] = text
			return err
		})
		if err != nil {
			return nil, private.Errorf(ErrDataDir, "Cannot read the keys in %s: %v.", dir, private.Cause(err))
		}
	}
	return files, nil
}

// Verify starts a server in a data directory and stops it again: its error is why the
// directory cannot be used, or does not hold what it should.
func Verify(dir string, log *slog.Logger) error {
	if err := cutShort(dir); err != nil {
		return err
	}
	if !exists(filepath.Join(dir, "jetstream")) {
		return private.Errorf(ErrDataDir, "There is no state in %s.", dir)
	}
	srv, err := Start(Config{Listen: "127.0.0.1:0", DataDir: dir, Log: log, strict: true})
	if err != nil {
		return err
	}
	srv.Shutdown()
	return nil
}
