//go:build !windows

package cmd_test

import "testing"

// TestNearlyAVerb: at a terminal, a word that is nearly a verb is asked about before it is a
// username.
func TestNearlyAVerb(t *testing.T) {
	t.Parallel()
	h := open(t)
	const question = `"lsit" is nearly the verb list. Is it your username? (yes/no) [no]: `
	for _, no := range []string{"\r", "no\r", "list\r", "\x04"} {
		c := h.sit("alice", "lsit")
		c.expect(question)
		c.press(no)
		c.expect("chatcli: \"lsit\" is nearly the verb list, did you mean that? A username like this is written --name lsit\r\n")
		c.exits("2")
	}
	c := h.sit("alice", "--presence", "visible", "lsit")
	c.expect(question)
	c.press("yes\r")
	c.expect("* Welcome, lsit. ")
	c.expect(choice)
	c.press("3\r")
	c.exits("0")
	c = h.sit("alice", "lsit") // who is known by now
	c.expect("* Welcome back, lsit. ")
	c.expect(choice)
	c.press("3\r")
	c.exits("0")
}
