package private

import (
	"os"
	"syscall"
	"unsafe"
)

const (
	lockExclusive   = 2                  // LOCKFILE_EXCLUSIVE_LOCK
	lockImmediately = 1                  // LOCKFILE_FAIL_IMMEDIATELY
	lockViolation   = syscall.Errno(33)  // ERROR_LOCK_VIOLATION
	lockPending     = syscall.Errno(997) // ERROR_IO_PENDING
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// tryLock locks one byte far behind the PID: a locked byte cannot be read.
func tryLock(f *os.File) error {
	at := &syscall.Overlapped{OffsetHigh: 1}
	ok, _, err := lockFileEx.Call(f.Fd(), lockExclusive|lockImmediately, 0, 1, 0, uintptr(unsafe.Pointer(at)))
	if ok != 0 {
		return nil
	}
	if err == lockViolation || err == lockPending {
		return ErrLocked
	}
	return err
}
