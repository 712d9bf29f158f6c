package main

import "golang.org/x/sys/windows"

// terminalName is where the console of a process can be read.
const terminalName = "CONIN$"

// hideTyping returns the function that undoes it.
func hideTyping(fd uintptr) func() {
	var before uint32
	if windows.GetConsoleMode(windows.Handle(fd), &before) != nil {
		return func() {}
	}
	_ = windows.SetConsoleMode(windows.Handle(fd), before&^windows.ENABLE_ECHO_INPUT) // else it is shown
	return func() { _ = windows.SetConsoleMode(windows.Handle(fd), before) }
}

// longestLine is 0: the console drops nothing.
func longestLine(uintptr) int { return 0 }
