//go:build !windows

package cmd_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestNohup: a hang-up that is ignored, as under nohup, ends no verb of chatcli; a termination
// does.
func TestNohup(t *testing.T) {
	t.Parallel()
	h := open(t)
	bob := h.guest("bob")
	for name, verb := range map[string]string{"alice": "--plain --presence visible --linger forever alice", "carol": "listen --new --name carol"} {
		cmd := exec.Command("sh", "-c", `trap "" HUP; exec chatcli `+verb)
		cmd.Env = h.environ(name)
		a, err := begun(cmd)
		if err != nil {
			t.Fatal(err)
		}
		h.actors[name] = a
		h.sees(a, "bob\tAvailable")
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		h.types(bob, "@"+name+" still there?\n")
		h.sees(a, "bob (direct): still there?")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := a.exit(); code != "143" {
			t.Errorf("chatcli %s: exit %s\n%s", verb, code, strings.TrimSpace(a.err.String()))
		}
	}
}
