//go:build !windows

package embedded

import "syscall"

const addrInUse = syscall.EADDRINUSE
