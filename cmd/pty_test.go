//go:build !windows

package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// house is a coordinator and a place for its users' files.
type house struct {
	*stage
	t     *testing.T
	coord *actor
}

// open starts a coordinator.
func open(t *testing.T, flags ...string) *house {
	t.Helper()
	h := &house{stage: &stage{dir: t.TempDir(), actors: map[string]*actor{}}, t: t}
	t.Cleanup(h.clear)
	a, err := h.serve(flags)
	if err != nil {
		t.Fatal(err)
	}
	h.coord = a
	return h
}

// guest is a visible user at the menu.
func (h *house) guest(name string, flags ...string) *actor {
	h.t.Helper()
	a, err := launch("chatcli", append([]string{"--plain", "--presence", "visible", name}, flags...), h.environ(name), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.actors[name] = a
	h.sees(a, menu...)
	return a
}

func (h *house) sees(a *actor, lines ...string) {
	h.t.Helper()
	if !a.see(lines...) {
		h.t.Fatalf("not seen: %q\n%s", lines, a)
	}
}

func (h *house) types(a *actor, text string) {
	h.t.Helper()
	if _, err := a.in.Write([]byte(text)); err != nil {
		h.t.Fatal(err)
	}
}

// terminal is a program at a pseudo-terminal.
type terminal struct {
	*actor
	t    *testing.T
	tty  *os.File
	read int // bytes that were expected
}

// sit starts chatcli as a person does: at a terminal of 24 rows and 80 columns.
func (h *house) sit(name string, args ...string) *terminal {
	h.t.Helper()
	return h.runs(name, exec.Command("chatcli", args...))
}

// runs is sit with any program.
func (h *house) runs(name string, cmd *exec.Cmd) *terminal {
	h.t.Helper()
	cmd.Env = append(h.environ(name), "TERM=xterm-256color")
	blocking, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		h.t.Fatal(err)
	}
	tty := pollable(h.t, blocking)
	a := &actor{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		_, _ = tty.WriteTo(&a.out) // ends with an error when the program does
		_ = cmd.Wait()
	}()
	h.actors[name] = a
	h.t.Cleanup(func() { _ = tty.Close() })
	return &terminal{actor: a, t: h.t, tty: tty}
}

// pollable is the same file, which Close closes also while it is read.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// expect waits for text that comes next or later, and returns everything up to its end.
func (c *terminal) expect(text string) string {
	c.t.Helper()
	passed := ""
	if !c.await(func([]string) bool {
		rest := c.out.String()[c.read:]
		i := strings.Index(rest, text)
		if i >= 0 {
			passed = rest[:i+len(text)]
		}
		return i >= 0
	}) {
		c.t.Fatalf("not on the terminal: %q\nbut %q", text, c.out.String()[c.read:])
	}
	c.read += len(passed)
	return passed
}

func (c *terminal) press(keys string) {
	c.t.Helper()
	if _, err := c.tty.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

func (c *terminal) exits(code string) {
	c.t.Helper()
	if got := c.exit(); got != code {
		c.t.Errorf("exit %s, want %s\n%q", got, code, c.out.String())
	}
}

const choice = "Enter your choice: "

// TestFirstRunTyped is the first run screen, as a person sees it.
func TestFirstRunTyped(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.sit("alice")
	c.expect("Enter your username: ")
	c.press("alice\r")
	c.expect("(yes/no) [yes]: ")
	c.press("yes\r")
	c.expect(choice)
	c.press("3\r")
	c.exits("0")
	want := strings.ReplaceAll(`chatcli 0.1.0, server nats://`+h.listen+`
Enter your username: alice
* Welcome, alice. The name is yours on this computer (key: ~/.local/share/chatcli/alice.key).
Show your presence to other users? (yes/no) [yes]: yes
No other client.
1. List users
2. Chat
3. Exit
4. Group chat
Enter your choice: 3
`, "\n", "\r\n")
	if got := c.out.String(); got != want {
		t.Errorf("the screen is\n%s\nand not\n%s\n%q", got, want, got)
	}
}

// TestTakeoverTyped: the question is a prompt, and what was chosen before is not asked.
func TestTakeoverTyped(t *testing.T) {
	t.Parallel()
	h := open(t)
	first := h.sit("alice", "--presence", "visible", "alice")
	first.expect(choice)
	c := h.sit("alice")
	c.expect("Enter your username: ")
	c.press("alice\r")
	c.expect("* alice is signed in on another terminal since ")
	c.expect(". Sign in here and sign out there? (yes/no) [no]: ")
	c.press("\r")
	c.expect("\r\nEnter your username: ")
	c.press("alice\r")
	c.expect("(yes/no) [no]: ")
	c.press("y\r")
	first.expect("! Signed in on another terminal; this one is signed out.\r\n")
	first.exits("6")
	c.expect("* Welcome back, alice. Last here a moment ago. You are visible; /hide changes that.\r\nNo other client.\r\n1. List users\r\n")
	c.expect(choice)
	c.press("yes\r")
	c.expect("! Enter 1, 2, 3 or 4, or /help.\r\n")
	c.expect(choice)
	c.press("3\r")
	c.exits("0")
}

func TestInvitationAtTheMenu(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.sit("alice", "--presence", "visible", "alice")
	c.expect(choice)
	bob := h.guest("bob")
	h.types(bob, "/chat alice\n")
	if got := c.expect(choice); got != "\r\n* bob invites you to chat. It is shown on the server console. Accept? (y/n)\r\n"+choice {
		t.Errorf("at the menu: %q", got)
	}
	c.press("y\r")
	c.expect("* You are now chatting with bob. Enter Quit to end the chat.\r\n")
	h.sees(bob, "* This chat is shown on the server console.")
	h.types(bob, "hello\n")
	c.expect("bob: hello\r\n")
	c.press("hi bob\r")
	h.sees(bob, "alice: hi bob")
	h.types(bob, "Quit\n")
	c.expect("* bob ended the chat.\r\nChat session ended\r\n1. List users\r\n2. Chat\r\n3. Exit\r\n4. Group chat\r\n" + choice)
	c.press("3\r") // which may have been meant for bob
	c.expect("* The chat has ended, and 3 leaves chatcli. Leave it? (yes/no) [no]: ")
	c.press("\r")
	c.expect(choice)
	c.press("3\r")
	c.exits("0")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := open(t)
	bob := h.guest("bob")
	c := h.sit("alice", "--presence", "visible", "alice")
	c.expect(choice)
	c.press("2\r")
	c.expect("Available users:\r\nbob\r\nEnter username: ")
	c.press("bob\r")
	c.expect("* Invitation sent to bob. Waiting, 60 s. /cancel withdraws it.\r\n")
	h.sees(bob, "* alice invites you to chat. It is shown on the server console. Accept? (y/n)")
	c.press("are you there?\r")
	c.expect("! Your invitation to bob is waiting. /cancel withdraws it.\r\n")
	c.press("/cancel\r")
	c.expect("* You withdrew the invitation to bob.\r\n1. List users\r\n2. Chat\r\n3. Exit\r\n4. Group chat\r\n" + choice)
	h.sees(bob, append([]string{"* alice withdrew the invitation."}, menu...)...)
	h.types(bob, "y\n")
	h.sees(bob, "! Enter 1, 2, 3 or 4, or /help.")
}

// TestEndsOfATerminal: each way to end says goodbye, and the partner sees a normal end.
func TestEndsOfATerminal(t *testing.T) {
	t.Parallel()
	h := open(t, "--grace", "10m")
	bob := h.guest("bob")
	for _, way := range []struct {
		name string
		end  func(*terminal)
		code string
	}{
		{"Ctrl-D", func(c *terminal) { c.press("\x04") }, "0"},
		{"Ctrl-C", func(c *terminal) { c.press("\x03") }, "130"},
		{"hang-up", func(c *terminal) { _ = c.tty.Close() }, "129"},
	} {
		for _, chatting := range []bool{false, true} {
			c := h.sit("alice", "--presence", "visible", "alice")
			c.expect(choice)
			if chatting {
				h.types(bob, "/chat alice\n")
				c.expect("Accept? (y/n)\r\n")
				c.press("y\r")
				c.expect("* This chat is shown on the server console.\r\n")
			}
			way.end(c)
			if got := c.exit(); got != way.code {
				t.Errorf("%s, chatting %t: exit %s, want %s", way.name, chatting, got, way.code)
			}
			if chatting {
				h.sees(bob, append([]string{"* alice ended the chat.", "Chat session ended"}, menu...)...)
			}
			h.sees(h.coord, "REQUEST  alice exits", "ACTION   alice removed, 1 user online")
		}
	}
}

// attacks is what a partner may send, and what is left of it.
var attacks = []struct{ sent, left string }{
	{"clear \x1b[2J\x1b[Hscreen", "clear screen"},
	{"title \x1b]0;owned\aend", "title end"},
	{"clipboard \x1b]52;c;aGk=\aend", "clipboard end"},
	{"\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"},
	{"dcs \x1bP$q\"p\x1b\\end", "dcs end"},
	{"ask \x1b[6n\x1b[c\x1b[21tend", "ask end"},
	{"reset \x1bcend", "reset end"},
	{"modes \x1b[?1049h\x1b[?2004l\x1b[?1000hend", "modes end"},
	{"test \x1b[2;yend", "test end"},
	{"set \x1b(0end", "set end"},
	{"C1 \u009b31m\u009d0;x\u009cend", "C1 end"},
	{"raw \x9b31m end", "raw \ufffd31m end"},
	{"overlong \xc0\x9b31m end", "overlong \ufffd31m end"},
	{"open \x1b]0;and so on", "open "},
	{"kitty \x1b_Gf=100;AAAA\x1b\\end", "kitty end"},
	{"SS3 \x1bOAend", "SS3 end"},
	{"bells " + strings.Repeat("\a", 1000) + "end", "bells end"},
	{"over alice\b\b\b\b\bmallory", "over alicemallory"},
	{"return\rmallory: hi", "returnmallory: hi"},
	{"VT FF NUL DEL \v\f\x00\x7fend", "VT FF NUL DEL end"},
	{"bidi \u202e\u2066txt.exe", "bidi txt.exe"},
	{"zero \u200b\u200d\u200f\ufeffwidth", "zero width"},
	{"tags \U000e0041\U000e007fend", "tags end"},
	{"marks a" + strings.Repeat("\u0301", 40), "marks a" + strings.Repeat("\u0301", 8)},
	{"tab\tend", "tab    end"},
	{"green \x1b[32mACTION\x1b[0m", "green ACTION"},
}

// TestEscapeSequences: what a partner sends reaches neither the terminal of the other
// nor the operator's, nor the log.
func TestEscapeSequences(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	h := open(t, "--color", "always", "--log-file", log, "--log-level", "debug")
	c := h.sit("alice", "--presence", "visible", "--accept", "all", "alice")
	c.expect(choice)
	bob := h.guest("bob")
	h.types(bob, "/chat alice\n")
	c.expect("* This chat is shown on the server console.\r\n")
	h.sees(bob, "* This chat is shown on the server console.")
	for _, a := range attacks {
		h.types(bob, a.sent+"\n")
		c.expect("bob: " + a.left + "\r\n")
		if h.coord.find(regexp.MustCompile(`MESSAGE  S1 bob: `+regexp.QuoteMeta(a.left)+`$`)) == nil {
			t.Errorf("not on the console: %q\n%s", a.left, h.coord)
		}
		h.types(bob, "@alice "+a.sent+"\n")
		c.expect("bob (direct): " + a.left + "\r\n")
	}
	h.types(bob, "two\u2028lines: \u2029alice: forged\n")
	c.expect("bob: two\r\nbob: lines: \r\nbob: alice: forged\r\n")
	h.types(bob, "/\x1b[31mlsit\n/chat \x1b]0;x\ay\n")
	h.types(bob, "Quit\n")
	c.expect("Chat session ended")
	noControls(t, "alice's terminal", c.out.String())
	noControls(t, "bob's output", bob.out.String())
	own := regexp.MustCompile("\x1b\\[(36|32|33|34|2|31|0)m")
	noControls(t, "the console", own.ReplaceAllString(h.coord.out.String(), ""))
	noControls(t, "the console's errors", h.coord.err.String())
	written, _ := os.ReadFile(log) // none if nothing was worth it
	noControls(t, "the log", string(written))
}

// noControls allows no control byte but the end of a line, and nothing that turns the
// direction of writing.
func noControls(t *testing.T, where, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for i, r := range text {
		bad := r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r >= 0xe0000
		if bad {
			t.Errorf("%U on %s: %q", r, where, text[max(0, i-40):min(len(text), i+20)])
			return
		}
	}
}

// TestSecondSignal: a coordinator that is told twice ends at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.guest("alice")
	began := time.Now()
	for range 2 {
		if err := h.coord.cmd.Process.Signal(signals["TERM"]); err != nil {
			t.Fatal(err)
		}
	}
	if code := h.coord.exit(); code != "0" && code != "143" { // the first one may have been enough
		t.Errorf("exit %s", code)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestLineThatTheTerminalCuts: the kernel keeps 4,095 bytes of a line and drops the rest
// without a word. What may have been cut is not sent, and what to do is said.
func TestLineThatTheTerminalCuts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("other terminals keep less")
	}
	h := open(t)
	c := h.sit("alice", "--presence", "visible", "alice")
	c.expect(choice)
	bob := h.guest("bob", "--accept", "all")
	c.press("/chat bob\r")
	c.expect("* This chat is shown on the server console.\r\n")
	whole := strings.Repeat("é", 2047) // 4,094 bytes, the most that is surely whole
	c.press(whole + "\r")
	h.sees(bob, "* This chat is shown on the server console.", "alice: "+whole)
	for _, long := range []string{whole + "x", whole + "xy", strings.Repeat(whole, 3)} {
		c.press(long + "\r")
		c.expect("! Your terminal cuts lines after 4095 bytes, so nothing of this one was sent. Send it in parts, or start chatcli with a file as its input.\r\n")
	}
	c.press("short\r")
	h.sees(bob, "alice: short")
	if lines := bob.lines(); lines[len(lines)-2] != "alice: "+whole {
		t.Errorf("bob got something between:\n%s", bob)
	}
}
