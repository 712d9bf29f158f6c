package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// An unwritable is a standard output that takes nothing.
type unwritable struct {
	name, cause string
	open        func(t *testing.T) *os.File
}

var unwritables = []unwritable{
	{"full", "no space left on device", func(t *testing.T) *os.File { return mustOpen(t, "/dev/full") }},
	{"closed", "broken pipe", func(t *testing.T) *os.File {
		syscall.ForkLock.Lock() // no program of another test has the other end, not even until it is started
		defer syscall.ForkLock.Unlock()
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		read.Close()
		return write
	}},
}

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// toNowhere starts a program whose output cannot be written.
func (s *stage) toNowhere(t *testing.T, u unwritable, name, program string, args ...string) *actor {
	t.Helper()
	a := &actor{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	out := u.open(t)
	defer out.Close()
	a.cmd.Stdout, a.cmd.Stderr, a.cmd.Stdin = out, &a.err, strings.NewReader("")
	a.cmd.Env = append(s.environ(name), "CHATCOORD_DATA_DIR="+filepath.Join(s.dir, "data"), "CHATCOORD_SERVER=nats://"+s.listen)
	if program == "chatcoord" && (args[0] == "restore" || strings.HasPrefix(args[0], "--")) { // which need no server
		a.cmd.Env = s.environ(name)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(a.ended)
		_ = a.cmd.Wait() // the state has it
	}()
	t.Cleanup(a.stop)
	return a
}

// lost checks that a program does not end with 0, nor by a signal, and says why.
func (a *actor) lost(t *testing.T, u unwritable, program string) {
	t.Helper()
	want := program + ": cannot write to standard output: " + u.cause + "\n"
	if code := a.exit(); code == "0" || code == "killed" || strings.Count(a.err.String(), want) != 1 {
		t.Errorf("exit %s:\n%swant another code than 0, and\n%s", code, &a.err, want)
	}
}

// TestOutputIsLost: whichever verb it is, when its output cannot be written the program says
// so and does not end with 0.
func TestOutputIsLost(t *testing.T) {
	for _, u := range unwritables {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			outputIsLost(t, u)
		})
	}
}

func outputIsLost(t *testing.T, u unwritable) {
	h := open(t, "--http", "127.0.0.1:0")
	page := h.actors["coord"].find(regexp.MustCompile(`health and figures on (http://\S+)$`))[1] + "/healthz"
	saved := filepath.Join(h.dir, "saved")
	h.do(t, "coord", "chatcoord", "backup", saved, "--data-dir", h.dir+"/data", "--server", "nats://"+h.listen)
	words := filepath.Join(h.dir, "words")
	alice := h.guest("alice", "--transcript", words)
	h.guest("bob")
	h.types(alice, "/chat bob\n")
	h.sees(h.actors["bob"], "* alice invites you to chat. It is shown on the server console. Accept? (y/n)")
	h.types(h.actors["bob"], "y\n")
	h.sees(alice, "* This chat is shown on the server console.")
	h.types(alice, "hello\nQuit\n3\n")
	alice.exit()
	link := strings.TrimSpace(h.do(t, "coord", "chatcoord", "invite", "--data-dir", h.dir+"/data", "--server", "nats://"+h.listen))
	h.do(t, "alice", "chatcli", "join", "--context", "other", link)
	h.do(t, "alice", "chatcli", "key", "export", "alice", filepath.Join(h.dir, "copy"))

	kept, err := filepath.Glob(filepath.Join(words, "*.jsonl"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("transcripts: %q, %v", kept, err)
	}
	none := filepath.Join(h.dir, "none")
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string][]string{
		"chatcli": {
			"help", "version", "completion bash", "completion zsh", "completion fish", "completion powershell", "--help", "--version", "--print-config", "--completion bash", "key --help", "alice", "send --name alice bob hello", "list --name alice",
			"listen --name alice", "join " + link, "context ls", "context use other", "context rm other", "key list", "key show", "key export alice -", "key export alice " + h.dir + "/another",
			"key import " + h.dir + "/copy", "key passphrase --new-passphrase-file " + none, "rotate", "transcript list", "transcript show " + kept[0], "transcript search hello",
			"transcript export all", "transcript export all --format json", "transcript export all --format markdown",
		},
		"chatcoord": {
			"help", "version", "completion bash", "completion zsh", "completion fish", "completion powershell", "--help", "--version", "--print-config", "--completion zsh", "users", "users --json", "sessions", "bans", "invite", "invite --json", "ban --yes ghost", "unban ghost", "free --yes alice",
			"kick bob", "delete --yes bob", "doctor", "doctor --json", "init --external --out " + h.dir + "/external", "backup " + h.dir + "/again", "verify " + saved, "health " + page,
			"restore --dry-run --data-dir " + h.dir + "/empty " + saved, "restore --data-dir " + h.dir + "/empty " + saved,
		},
	}
	for _, program := range []string{"chatcli", "chatcoord"} { // which frees alice
		lines := cases[program]
		var tried []string
		for _, line := range lines {
			args := strings.Fields(line)
			tried = append(tried, args...)
			name := "coord"
			if program == "chatcli" {
				name = "alice"
				args = append(args, "--transcript", words)
			}
			t.Run(program+" "+strings.ReplaceAll(line, "/", "|"), func(t *testing.T) { h.toNowhere(t, u, name, program, args...).lost(t, u, program) })
		}
		usage, err := exec.Command(program, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range verbsIn(program, string(usage)) {
			if verb != "watch" && !slices.Contains(tried, verb) {
				t.Errorf("%s %s was not tried", program, verb)
			}
		}
	}
}

// do runs a program and returns its output.
func (h *house) do(t *testing.T, name, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = h.environ(name)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, args, err, out, &problems)
	}
	return string(out)
}

// TestConsoleIsLost: a coordinator serves without a console, and says so at its end; whoever
// only watches ends.
func TestConsoleIsLost(t *testing.T) {
	for _, u := range unwritables {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			watch := h.toNowhere(t, u, "coord", "chatcoord", "watch")
			watch.says(t, "* Watching ")
			h.guest("alice")
			watch.lost(t, u, "chatcoord")

			serve := h.toNowhere(t, u, "coord", "chatcoord", "--ephemeral", "--listen", "127.0.0.1:0")
			serve.says(t, "console: write")
			if err := serve.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			serve.lost(t, u, "chatcoord")
		})
	}
}

// says waits for a text on standard error.
func (a *actor) says(t *testing.T, want string) {
	t.Helper()
	for {
		text, changed := a.err.read()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-changed:
		case <-a.ended:
			t.Fatalf("it never says %q:\n%s", want, text)
		}
	}
}

// TestLinkIsTakenBack: a link that could not be written lets nobody in.
func TestLinkIsTakenBack(t *testing.T) {
	t.Parallel()
	h := open(t, "--join", "invited")
	h.secret = true
	for _, u := range unwritables {
		a := h.toNowhere(t, u, "coord", "chatcoord", "invite")
		a.lost(t, u, "chatcoord")
		if !strings.HasPrefix(a.err.String(), "* The link was taken back; it lets nobody in.\n") {
			t.Errorf("it says\n%s", &a.err)
		}
		if h.actors["coord"].find(regexp.MustCompile(`ACTION   the operator takes a link back$`)) == nil {
			t.Error(h.actors["coord"])
		}
	}
	cut := h.firstBytes(t, "invite", "--json")
	pass := regexp.MustCompile(`pass=([A-Za-z0-9_-]{22})`).FindStringSubmatch(cut)
	if pass == nil {
		t.Fatalf("no pass in %q", cut)
	}
	join := exec.Command("chatcli", "join", "natter://"+h.listen+"/there?pass="+pass[1], "carol")
	join.Env = h.environ("carol")
	if out, err := join.CombinedOutput(); err != nil { // which uses no pass
		t.Fatalf("%s%v", out, err)
	}
	enter := exec.Command("chatcli", "--plain", "--presence", "visible", "carol")
	enter.Env = h.environ("carol")
	if out, err := enter.CombinedOutput(); err == nil || !strings.Contains(string(out), "This link has expired.") {
		t.Errorf("a link that was taken back lets in: %v\n%s", err, out)
	}
}

// firstBytes runs chatcoord with a file as its output that has no room for all of it, and
// returns what has arrived there.
func (h *house) firstBytes(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(h.dir, "cut")
	limited := exec.Command("sh", append([]string{"-c", `ulimit -f 1; exec chatcoord "$@"`, "sh"}, args...)...)
	limited.Env = append(h.environ("coord"), "CHATCOORD_DATA_DIR="+filepath.Join(h.dir, "data"), "CHATCOORD_SERVER=nats://"+h.listen)
	before := strings.Repeat("-", 512-150) // the limit is 512 bytes
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var problems bytes.Buffer
	limited.Stdout, limited.Stderr = out, &problems
	const want = "chatcoord: cannot write to standard output: file too large\n"
	if err := limited.Run(); err == nil || !strings.HasSuffix(problems.String(), want) {
		t.Errorf("%v\n%s", err, &problems)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(text), before)
}
