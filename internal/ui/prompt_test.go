package ui

import "testing"

// What looks like a call for help at the name prompt takes no name.
func TestNearlyCommand(t *testing.T) {
	for s, want := range map[string]bool{
		"/quit": true, "/list": true, "/": true, "help": true, " Help ": true, "quit": true, "EXIT": true, "bye": true,
		"alice": false, "helper": false, "list": false, `\help`: false, "@bob": false, "": false,
	} {
		if got := nearlyCommand(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
