//go:build !windows && !linux

package main

import "golang.org/x/sys/unix"

// maxCanon is how much of a line macOS keeps: MAX_CANON without the end of the line.
const maxCanon = 1023

const getTermios, setTermios = unix.TIOCGETA, unix.TIOCSETA
