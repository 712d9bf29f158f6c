//go:build !windows

package embedded

import (
	"errors"
	"os"
	"syscall"
)

const addrInUse = syscall.EADDRINUSE

// errLocked is what tryLock says of a file that another process has locked.
var errLocked = errors.New("locked")

func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
