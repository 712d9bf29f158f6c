package main

import (
	"io"
	"os"
)

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
