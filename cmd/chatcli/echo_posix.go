//go:build !windows

package main

import "golang.org/x/sys/unix"

// terminalName is where the terminal that controls a process can be opened.
const terminalName = "/dev/tty"

// hideTyping returns the function that undoes it.
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

// longestLine returns how many bytes the terminal keeps of a line; 0 if it passes on every byte.
func longestLine(fd uintptr) int {
	if now, err := unix.IoctlGetTermios(int(fd), getTermios); err != nil || now.Lflag&unix.ICANON == 0 {
		return 0
	}
	return maxCanon
}
