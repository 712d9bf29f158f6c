package main

import (
	"io"
	"os"
)

// cutsAt returns after how many bytes the terminal in silently drops the rest of a line; 0 if in is no
// terminal, or does not wait for whole lines.
func cutsAt(in io.Reader) int {
	if !isTerminal(in) {
		return 0
	}
	return longestLine(in.(*os.File).Fd())
}

// hider returns a function that makes the terminal in hide or show what is typed; nil if in is no
// terminal.
func hider(in io.Reader) func(hidden bool) {
	if !isTerminal(in) {
		return nil
	}
	show := func() {}
	return func(hidden bool) {
		show()
		show = func() {}
		if hidden {
			show = hideTyping(in.(*os.File).Fd())
		}
	}
}

// ownTerminal opens the controlling terminal if standard input is something else; nil if a question on
// standard error would not be seen.
func ownTerminal(stderr io.Writer) *os.File {
	if !isTerminal(stderr) {
		return nil
	}
	f, err := os.OpenFile(terminalName, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return f
}
