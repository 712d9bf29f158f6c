package main

import (
	"io"
	"os"
)

// cutsAt is after how many bytes the terminal that in is drops the rest of a line, without
// a word; 0 if in is none, or does not wait for whole lines.
func cutsAt(in io.Reader) int {
	if !isTerminal(in) {
		return 0
	}
	return longestLine(in.(*os.File).Fd())
}

// hider stops the terminal that in is from showing what is typed, and has it begin
// again; nil if in is none.
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

// ownTerminal opens the terminal of a person whose standard input is something else; nil if
// nobody would see a question on standard error.
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
