//go:build !windows

package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPassphraseIsNotShown: what is typed as a passphrase is not on the screen, what is
// typed afterwards is, and however the program ends, the terminal is as it was.
func TestPassphraseIsNotShown(t *testing.T) {
	t.Parallel()
	h := open(t)
	const secret = "correct horse"
	file := filepath.Join(h.dir, "passphrase")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := h.guest("alice")
	h.types(alice, "3\n")
	alice.exit()
	protect := exec.Command("chatcli", "key", "passphrase", "--new-passphrase-file", file)
	protect.Env = h.environ("alice")
	if out, err := protect.CombinedOutput(); err != nil {
		t.Fatalf("%s%v", out, err)
	}

	c := h.sit("alice", "--presence", "visible", "alice")
	c.expect("Passphrase for alice: ")
	c.press("wrong horse\r")
	c.expect("alice.key. 2 tries left.\r\nPassphrase for alice: ")
	c.press(secret + "\r")
	c.expect("\r\n* Welcome back, alice. ")
	c.expect(choice)
	c.press("3\r")
	c.exits("0")
	if screen := c.out.String(); strings.Contains(screen, "horse") || !strings.HasSuffix(screen, choice+"3\r\n") {
		t.Errorf("the screen is %q", screen)
	}

	const after = "; code=$?; stty -a; echo code $code" // what the shell does when chatcli is over
	for _, way := range []struct{ command, keys, code string }{
		{"chatcli alice", "\x03", "130"},
		{"chatcli alice", "\x04", "4"},
		{"chatcli alice", "x\rx\rx\r", "4"},
		{"chatcli key show alice", "\x03", "130"},
		{"chatcli key show alice", "\x04", "4"},
		{"chatcli key show alice", secret + "\r", "0"},
		{"chatcli rotate alice", "\x03", "130"},
		{"echo hello | chatcli send --name alice bob -", "\x03", "130"},
		{"echo hello | chatcli send --name alice bob -", secret + "\r", "7"},
	} {
		c := h.runs("alice", exec.Command("sh", "-c", "trap : INT; "+way.command+after))
		c.expect("Passphrase for alice: ")
		c.press(way.keys)
		settings := c.expect("code " + way.code + "\r\n")
		if !strings.Contains(settings, " echo ") || strings.Contains(settings, "horse") {
			t.Errorf("%s, %q: %s", way.command, way.keys, settings)
		}
		c.exits("0")
	}
}

// TestColumns: what are rows with tabs for programs is a table for people.
func TestColumns(t *testing.T) {
	t.Parallel()
	h := open(t)
	alice := h.guest("alice")
	h.types(alice, "3\n")
	alice.exit()
	c := h.runs("alice", exec.Command("chatcli", "key", "list"))
	c.expect("Name   Login key  ")
	c.expect("\r\nalice  U")
	c.exits("0")
	c = h.runs("alice", exec.Command("chatcli", "key", "show"))
	c.expect("name         alice\r\nlogin        U")
	c.exits("0")
	c = h.runs("alice", exec.Command("chatcli", "transcript", "list", "--transcript", h.dir))
	c.expect("Transcript  Began  With  ")
	c.exits("0")
}
