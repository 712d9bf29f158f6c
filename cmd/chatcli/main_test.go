package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// chatcli runs the program with nothing to read and returns what it says.
func chatcli(args ...string) (code int, out, err string) {
	var o, e strings.Builder
	code = run(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--nmae x":              "unknown flag --nmae, did you mean --name?",
		"--passphrase x":        "unknown flag --passphrase",
		"-x":                    "unknown flag -x",
		"-n":                    "--name needs a value",
		"-n a -n b":             "--name is given twice",
		"--name a -n a":         "--name is given twice",
		"--echo --echo":         "--echo is given twice",
		"--echo=maybe":          `--echo: "maybe" is neither true nor false`,
		"--linger 5":            `--linger: "5" is not a duration: a number and a unit, for example 10s`,
		"--wait-server -1s":     `--wait-server: "-1s" is negative`,
		"--wait-server forever": `--wait-server: "forever" is not a duration: a number and a unit, for example 10s`,
		"--presence maybe":      `--presence: "maybe" is none of ask, visible, hidden`,
		"--on-bye never":        `--on-bye: "never" is none of menu, exit`,
		"--log-level loud":      `--log-level: "loud" is none of debug, info, warn, error`,
		"--completion csh":      `--completion: "csh" is none of bash, zsh, fish, powershell`,
		"a b c":                 `too many arguments: ["a" "b" "c"]; a NAME or HOST PORT is enough`,
		"a b":                   `too many arguments: ["a" "b"]; a NAME or HOST PORT is enough`,
		"localhost 0":           "0 is not a port, which is between 1 and 65535",
		"localhost 65536":       "65536 is not a port, which is between 1 and 65535",
		"bob --name al":         `two usernames, "al" and "bob"; one is enough`,
		"h 1 -s x":              `two servers, nats://x:4222 and "h:1"; one is enough`,
		"-s http://u:secret@x":  "--server: http://u:xxxxx@x: a server is reached by nats://, tls:// or ws://, not by http://",
		"send bob":              "send needs whom to write to and a text, or - for standard input",
		"send bob hello":        "your own username is missing: --name NAME or CHATCLI_NAME",
		"list x":                "list takes no arguments",
		"listen":                "your own username is missing: --name NAME or CHATCLI_NAME",
	} {
		code, out, err := chatcli(strings.Fields(args)...)
		if lines := "chatcli: " + want + "\nTry chatcli --help.\n"; code != 2 || out != "" || err != lines {
			t.Errorf("%s: exit %d\n%s%swant %s", args, code, out, err, lines)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"send", "--help"}, {"bob", "-h"}} {
		if code, out, err := chatcli(args...); code != 0 || out != usage || err != "" {
			t.Errorf("%q: exit %d %q", args, code, err)
		}
	}
	if code, out, _ := chatcli("-V"); code != 0 || out != "chatcli 0.1.0\n" {
		t.Errorf("exit %d, %q", code, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, err := chatcli("--completion", shell); code != 0 || !strings.Contains(out, "chatcli") {
			t.Errorf("%s: exit %d, %q", shell, code, err)
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	p := &program{}
	root := p.commands()
	for _, word := range strings.FieldsFunc(usage, func(r rune) bool { return strings.ContainsRune(" ,\n", r) }) {
		if name, ok := strings.CutPrefix(word, "--"); ok && !known(root, name) {
			t.Errorf("there is no flag --%s", name)
		}
	}
	for _, f := range []string{"name", "key", "server", "linger", "log-file"} {
		if !strings.Contains(usage, "--"+f) {
			t.Errorf("help does not name --%s", f)
		}
	}
}

// known reports whether a command or one of its verbs has a flag.
func known(cmd *cobra.Command, name string) bool {
	return cmd.PersistentFlags().Lookup(name) != nil || cmd.Flags().Lookup(name) != nil ||
		slices.ContainsFunc(cmd.Commands(), func(verb *cobra.Command) bool { return known(verb, name) })
}

// setting runs --print-config and returns one line of it.
func setting(t *testing.T, name string, args ...string) string {
	t.Helper()
	code, out, err := chatcli(append(args, "--print-config")...)
	if code != 0 {
		t.Fatalf("%q: exit %d, %s", args, code, err)
	}
	for l := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(l, name+"\t"); ok {
			return strings.TrimSuffix(rest, "\n")
		}
	}
	t.Fatalf("no %s in %s", name, out)
	return ""
}

func TestPrecedence(t *testing.T) {
	check := func(want, name string, args ...string) {
		t.Helper()
		if got := setting(t, name, args...); got != want {
			t.Errorf("%s of %q: %q, want %q", name, args, got, want)
		}
	}
	check("nats://127.0.0.1:4222\tdefault", "server")
	t.Setenv("NATS_URL", "nats.example:5000")
	check("nats://nats.example:5000\tNATS_URL", "server")
	t.Setenv("CHATCLI_SERVER", "tls://u:secret@chat.example")
	check("tls://u:xxxxx@chat.example:4222\tCHATCLI_SERVER", "server")
	check("nats://x:4222\tflag", "server", "-s", "x")
	check("nats://localhost:9090\tflag", "server", "localhost", "9090")
	t.Setenv("CHATCLI_NAME", "carol")
	check("carol\tCHATCLI_NAME", "name")
	check("bob\tflag", "name", "bob")
	check("bob\tflag", "name", "-n", "bob")
	t.Setenv("CHATCLI_ECHO", "1")
	check("true\tCHATCLI_ECHO", "echo")
	check("false\tflag", "echo", "--echo=false")
	t.Setenv("CHATCLI_LINGER", "")
	check("0s\tdefault", "linger")
	check("forever\tflag", "linger", "--linger", "forever")
	t.Setenv("CHATCLI_WAIT_SERVER", "30s")
	check("30s\tCHATCLI_WAIT_SERVER", "wait-server")
	t.Setenv("CHATCLI_LINGER", "5")
	if code, _, err := chatcli("bob"); code != 2 || !strings.HasPrefix(err, `chatcli: CHATCLI_LINGER: "5" is not a duration`) {
		t.Errorf("exit %d, %s", code, err)
	}
}

func TestParseServer(t *testing.T) {
	for s, want := range map[string]string{
		"localhost":             "nats://localhost:4222",
		"10.1.2.3":              "nats://10.1.2.3:4222",
		"localhost:9090":        "nats://localhost:9090",
		"::1":                   "nats://[::1]:4222",
		"[::1]":                 "nats://[::1]:4222",
		"[::1]:9090":            "nats://[::1]:9090",
		"nats://h/":             "nats://h:4222",
		"tls://h:1":             "tls://h:1",
		"wss://h/path":          "wss://h/path",
		"ws://h":                "ws://h",
		"nats://u:p@h":          "nats://u:p@h:4222",
		"nats://a:1, nats://b":  "nats://a:1,nats://b:4222",
		"":                      "! a server has a name, for example nats://127.0.0.1:4222",
		"nats://":               `! "nats://" names no host, for example nats://127.0.0.1:4222`,
		"http://h":              "! http://h: a server is reached by nats://, tls:// or ws://, not by http://",
		"h:0":                   "! 0 is not a port, which is between 1 and 65535",
		"h:abc":                 `! "nats://h:abc" is not the address of a server, for example nats://127.0.0.1:4222`,
		"nats://u:secret@h:abc": `! "nats://xxxxx@h:abc" is not the address of a server, for example nats://127.0.0.1:4222`,
		"nats://h/path":         "! nats://h/path: nothing may follow the port",
	} {
		got, err := parseServer(s)
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

// A file with a link may have gone through an editor.
func TestReadLink(t *testing.T) {
	for text, want := range map[string]string{
		"natter://h\n":                   "natter://h",
		"natter://h":                     "natter://h",
		"\ufeffnatter://h\r\n":           "natter://h",
		"\n \r\n natter://h \nmore\n":    "natter://h",
		"\ufeff\r\nnatter://h":           "natter://h",
		"\xff\xfeh\x00:\x00\r\x00\n\x00": "h:",
		"\n\n":                           "",
		"":                               "",
	} {
		if got, err := readLink(strings.NewReader(text)); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestDataDir(t *testing.T) {
	abs := t.TempDir()
	noHome := func() (string, error) { return "", errors.New("no home") }
	for _, c := range []struct {
		xdg  string
		home func() (string, error)
		want string
	}{
		{abs, noHome, filepath.Join(abs, "chatcli")},
		{"relative", func() (string, error) { return abs, nil }, filepath.Join(abs, ".local", "share", "chatcli")},
		{"", noHome, ""},
	} {
		env := func(name string) string { return map[string]string{"XDG_DATA_HOME": c.xdg}[name] }
		if got, err := dataDir(env, c.home); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q: %q %v", c.xdg, got, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	code, out, err := chatcli("bob", "-s", "127.0.0.1:1")
	want := "chatcli: cannot reach nats://127.0.0.1:1: connection refused\n" +
		"Start a server with: chatcoord        or name another one: chatcli --server nats://HOST:4222\n"
	if code != 5 || out != "" || err != want {
		t.Errorf("exit %d\n%s%s", code, out, err)
	}
}
