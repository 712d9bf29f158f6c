//go:build !windows

package main

import "golang.org/x/sys/unix"

// hideTyping returns what undoes it.
func hideTyping(fd uintptr) func() {
	before, err := unix.IoctlGetTermios(int(fd), getTermios)
	if err != nil {
		return func() {}
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(int(fd), setTermios, &hidden) // else it is shown
	return func() { _ = unix.IoctlSetTermios(int(fd), setTermios, before) }
}
