//go:build linux

package cmd_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestLittleRoom: a coordinator that may open only a few files, or use little memory, turns away
// whom it has no room for, in words, and goes on serving and storing for those who are in.
func TestLittleRoom(t *testing.T) {
	t.Run("files", func(t *testing.T) { littleRoom(t, "ulimit -n 64") })
	t.Run("memory", func(t *testing.T) { littleRoom(t, "export GOMEMLIMIT=41MiB") })
}

// littleRoom starts a coordinator that has room for eight users once the shell has limited it.
func littleRoom(t *testing.T, limit string) {
	t.Parallel()
	h := open(t)
	h.coord.stop()
	limited := exec.Command("sh", "-c", limit+` && exec chatcoord "$@"`, "sh", "--listen", h.listen, "--data-dir", h.dir+"/data")
	limited.Env = h.environ("coord")
	c, err := begun(limited)
	if err != nil {
		t.Fatal(err)
	}
	h.actors["coord"] = c
	if c.find(regexp.MustCompile(`ready: embedded broker on`)) == nil {
		t.Fatal(c)
	}
	const room = 8 // users with two connections each; 48 of 64 files are the server's, or 40 MiB of 41
	var in []*actor
	for i := range 2 * room {
		a, err := launch("chatcli", []string{"--plain", "--presence", "visible", fmt.Sprintf("user%d", i)}, h.environ(fmt.Sprintf("user%d", i)), nil)
		if err != nil {
			t.Fatal(err)
		}
		h.actors[fmt.Sprintf("user%d", i)] = a
		if i < room {
			h.sees(a, menu...)
			in = append(in, a)
			continue
		}
		h.sees(a, "! The server is full (8 of 8 users).")
		a.stop()
	}
	for i := 0; i < room; i += 2 { // all of them at the same time
		h.types(in[i], fmt.Sprintf("/chat user%d\n", i+1))
		h.sees(in[i+1], fmt.Sprintf("* user%d invites you to chat. It is shown on the server console. Accept? (y/n)", i))
		h.types(in[i+1], "y\n")
		h.sees(in[i], "* This chat is shown on the server console.")
		h.types(in[i], "hello\n")
		h.sees(in[i+1], fmt.Sprintf("user%d: hello", i))
	}
	for i := 0; i < room; i += 2 {
		h.types(in[i], "Quit\n")
		h.sees(in[i+1], fmt.Sprintf("* user%d ended the chat.", i), "Chat session ended")
	}
	if text := c.out.String(); strings.Contains(text, "disk") {
		t.Errorf("it takes the lack for one of room on the disk:\n%s", text)
	}
}
