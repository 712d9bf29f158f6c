//go:build !windows

package embedded

import (
	"math"
	"syscall"

	"golang.org/x/sys/unix"
)

const addrInUse = syscall.EADDRINUSE

// openFiles is how many files and connections this process may have open, and whether
// there is such a limit.
func openFiles() (int, bool) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return int(min(limit.Cur, math.MaxInt32)), err == nil
}
