//go:build !windows

package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"natter/internal/flags"
)

// verbs are all verbs of both programs with good arguments; those that need a server have
// their own list, because they fail without one.
var verbs = map[string]struct{ server, other []string }{
	"chatcli": {
		[]string{"alice", "send --name alice bob hello", "list --name alice", "listen --name alice", "join natter://127.0.0.1:1/x?pass=AAAAAAAAAAAAAAAAAAAAAA", "rotate --key KEY alice"},
		[]string{"context ls", "context use x", "context rm x", "key list", "key show alice", "key export alice -", "key import KEY", "key passphrase alice",
			"transcript list", "transcript show x", "transcript search x", "transcript export all", "help", "version", "completion bash"},
	},
	"chatcoord": {
		[]string{"users", "sessions", "bans", "watch", "invite", "kick bob", "ban bob", "unban bob", "free --yes bob", "delete --yes bob"},
		[]string{"doctor", "init --external --out x", "backup x", "restore x", "verify x", "health http://127.0.0.1:1/", "help", "version", "completion bash"},
	},
}

// exits runs a program in a home of its own and returns its exit code and what it says.
func exits(t *testing.T, home, program, line string) (int, string) {
	t.Helper()
	cmd := exec.Command(program, strings.Fields(line)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.Dir = home
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// TestExitCodes checks every verb against the table: a wrong command line, a wrong
// environment, a server that is not there, credentials that are not there.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.guest("alice")
	h.types(a, "3\n")
	a.exit()
	data, home := filepath.Join(h.dir, "data"), filepath.Join(h.dir, "home", "alice")
	key := filepath.Join(home, ".local/share/chatcli/alice.key")
	check := func(want int, program, line string) {
		t.Helper()
		line = strings.ReplaceAll(line, "KEY", key)
		if code, text := exits(t, home, program, line); code != want || strings.Contains(text, "goroutine ") {
			t.Errorf("%s %s: exit %d, want %d:\n%s", program, line, code, want, text)
		}
	}
	for program, of := range verbs {
		nowhere := map[string]string{"chatcli": " --server nats://127.0.0.1:1", "chatcoord": " --server nats://127.0.0.1:1 --data-dir " + data}[program]
		for _, line := range of.server {
			check(flags.ExitUsage, program, line+" --no-such-flag")
			check(flags.ExitUsage, program, line+" one two three four")
			if strings.HasPrefix(line, "join ") {
				check(flags.ExitUnreachable, program, line)
				continue
			}
			check(flags.ExitUnreachable, program, line+nowhere)
			if program == "chatcoord" {
				check(flags.ExitDenied, program, line+" --server nats://"+h.listen+" --data-dir "+home+"/none --creds none")
			}
		}
		for _, line := range of.other {
			check(flags.ExitUsage, program, line+" --no-such-flag")
		}
	}
	for line, want := range map[string]int{
		"": flags.ExitUnreachable, "--version": flags.ExitOK, "-h": flags.ExitOK, "help": flags.ExitOK, "version": flags.ExitOK, "completion zsh": flags.ExitOK, "--print-config": flags.ExitOK,
		"completion": flags.ExitUsage, "version 1": flags.ExitUsage, "context": flags.ExitUsage, "context use x": flags.ExitUsage, "--context x": flags.ExitUsage, "key": flags.ExitUsage,
		"join hello": flags.ExitUsage, "send bob hello": flags.ExitUsage, "transcript list": flags.ExitUsage, "--tls-ca none list --name alice": flags.ExitUsage,
		"--server ws://h,nats://h list --name alice": flags.ExitUsage, "key show": flags.ExitOK, "key list": flags.ExitOK, "key show a.b": flags.ExitName,
		"key show bob": flags.ExitDenied, "key export alice " + key: flags.ExitUsage, "key export alice /dev/full/x": flags.ExitFailure, "key import none": flags.ExitFailure,
		"--passphrase-file none alice": flags.ExitDenied, "rotate bob": flags.ExitDenied, "--log-file /dev/full/x alice": flags.ExitUsage,
	} {
		check(want, "chatcli", line)
	}
	empty := filepath.Join(h.dir, "empty")
	for line, want := range map[string]int{
		"-V": flags.ExitOK, "--help": flags.ExitOK, "help": flags.ExitOK, "version": flags.ExitOK, "completion fish": flags.ExitOK, "--print-config": flags.ExitOK, "usres": flags.ExitUsage,
		"kick": flags.ExitUsage, "kick a.b": flags.ExitUsage, "init": flags.ExitUsage, "--server nats://h": flags.ExitUsage, "--listen 0.0.0.0:4222": flags.ExitUsage,
		"--data-dir " + data + " --listen 127.0.0.1:0": flags.ExitFile, "--ephemeral --listen " + h.listen: flags.ExitInUse, "--ephemeral --http " + h.listen: flags.ExitInUse,
		"--server nats://127.0.0.1:1 --keys " + empty: flags.ExitFile, "verify none": flags.ExitFile, "restore none": flags.ExitFile, "backup " + key: flags.ExitFile,
		"verify --data-dir " + empty: flags.ExitFile, "doctor --data-dir " + empty: flags.ExitFile, "health http://127.0.0.1:1/": flags.ExitUnreachable, "health x": flags.ExitUsage,
		"kick nora --data-dir " + data + " --server nats://" + h.listen: flags.ExitFailure, "users --data-dir " + data + " --server nats://" + h.listen: flags.ExitOK,
	} {
		check(want, "chatcoord", line)
	}
}
