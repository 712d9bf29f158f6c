//go:build !windows

package cmd_test

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// What cannot be taken back, or concerns many, is asked about on a terminal, before anything
// is sent: there is no server here.
func TestOperatorIsAsked(t *testing.T) {
	for _, test := range []struct {
		args         []string
		asks, answer string
		says         string
	}{
		{[]string{"free", "bob"}, "Take the username bob from its owner, so that anybody can take it? (yes/no) ", "no", "chatcoord: nothing was done"},
		{[]string{"delete", "bob"}, "Delete the account bob, and let nobody have the name? (yes/no) ", "", "chatcoord: nothing was done"},
		{[]string{"ban", "192.0.2.0/24"}, "Keep away everybody who comes from 192.0.2.0/24? (yes/no) ", "maybe", "chatcoord: nothing was done"},
		{[]string{"free", "bob"}, "(yes/no) ", "yes", "credentials"},
		{[]string{"free", "bob", "--yes"}, "", "", "credentials"},
		{[]string{"ban", "bob"}, "", "", "credentials"},
	} {
		cmd := exec.Command("chatcoord", append(test.args, "--data-dir", t.TempDir())...)
		terminal, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(terminal)
		if test.asks != "" {
			if question, err := in.ReadString(')'); err != nil || !strings.HasSuffix(question+" ", test.asks) {
				t.Errorf("%q asks %q, %v", test.args, question, err)
			}
			if _, err := io.WriteString(terminal, test.answer+"\n"); err != nil {
				t.Error(err)
			}
		}
		rest, _ := io.ReadAll(in) // a terminal that is gone is an error
		terminal.Close()
		if err := cmd.Wait(); err == nil || !strings.Contains(string(rest), test.says) || test.asks == "" && strings.Contains(string(rest), "(yes/no)") {
			t.Errorf("%q %q: %v\n%s", test.args, test.answer, err, rest)
		}
	}
}
