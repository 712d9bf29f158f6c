//go:build !windows

package download

import "syscall"

const noSpaceError = syscall.ENOSPC
