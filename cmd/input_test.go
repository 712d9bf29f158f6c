//go:build !windows

package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNames: everything that is no name is refused with the rule, and what cannot be
// seen is named by its code point.
func TestNames(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, err := launch("chatcli", []string{"--plain"}, h.environ("alice"), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.actors["alice"] = c
	h.sees(c, "Enter your username: ")
	const rule = ": start with a letter, then letters, digits, - or _, at most 24."
	for _, n := range []struct{ typed, shown string }{
		{"", `""`},
		{" ", `""`},
		{"abcdefghijklmnopqrstuvwxy", `"abcdefghijklmnopqrstuvwxy"`},
		{strings.Repeat("a", 60000), `"` + strings.Repeat("a", 40) + `"...`},
		{"аlice", `"\u0430lice" (U+0430)`},
		{"ａｌｉｃｅ", `"\uff41\uff4c\uff49\uff43\uff45" (U+FF41)`},
		{"al\u200bice", `"al\u200bice" (U+200B)`},
		{"alice\u00ad", `"alice\u00ad" (U+00AD)`},
		{"alice\u034f", `"alice\u034f" (U+034F)`},
		{"alice\u3164", `"alice\u3164" (U+3164)`},
		{"alice\ufeff", `"alice\ufeff" (U+FEFF)`},
		{"ALİCE", `"AL\u0130CE" (U+0130)`},
		{"ı", `"\u0131" (U+0131)`},
		{"\u212aate", `"\u212aate" (U+212A)`},
		{"ß", `"\u00df" (U+00DF)`},
		{"ﬁ", `"\ufb01" (U+FB01)`},
		{"a.b", `"a.b"`}, {"a*", `"a*"`}, {"a>", `"a>"`}, {">", `">"`}, {"*", `"*"`},
		{"$SYS", `"$SYS"`}, {"$JS", `"$JS"`}, {"_INBOX", `"_INBOX"`}, {"a b", `"a b"`},
		{"a\tb", `"a\tb" (U+0009)`},
		{"a\x00b", `"a\x00b" (U+0000)`},
		{"a\rb", `"a\rb" (U+000D)`},
		{"--help", `"--help"`}, {"-h", `"-h"`}, {"@bob", `"@bob"`}, {"bob:", `"bob:"`}, {"##x", `"#x"`},
		{"\x1b[31mred", `"\x1b[31mred" (U+001B)`},
		{"a\u009b", `"a\u009b" (U+009B)`},
		{"\u202ebob", `"\u202ebob" (U+202E)`},
		{"z\u0300\u0301", `"z\u0300\u0301" (U+0300)`},
	} {
		name, point, _ := strings.Cut(n.shown, " (")
		if point == "" || strings.HasSuffix(n.shown, `b"`) {
			name, point = n.shown, ""
		} else {
			point = " (" + point
		}
		h.types(c, n.typed+"\n")
		if want := "! " + name + " is not a username" + point + rule; !c.next(want, "Enter your username: ") {
			t.Fatalf("%q: not %q\n%s", n.typed, want, c)
		}
	}
	for _, word := range []string{"/quit", "/list", "help", "bye", "exit", "QUIT"} {
		h.types(c, word+"\n")
		if want := "! Enter your username first. /exit leaves, /help shows more."; !c.next(want, "Enter your username: ") {
			t.Fatalf("%s: not %q\n%s", word, want, c)
		}
	}
	for _, bytes := range []string{"\xff\xfe", "\xed\xa0\x80"} {
		h.types(c, bytes+"\n")
		if !c.next("* That line is not UTF-8; what could not be read was replaced.", `! "\ufffd" is not a username (U+FFFD)`+rule, "Enter your username: ") {
			t.Fatalf("%q\n%s", bytes, c)
		}
	}
	for word := range strings.FieldsSeq("admin all chatcoord coord coordinator everyone here lobby me n no observer server system y yes you Admin operator someone direct moderator root support") {
		h.types(c, word+"\n")
		if !c.next(fmt.Sprintf("! %q is a reserved word. Choose another username.", word), "Enter your username: ") {
			t.Fatalf("%s\n%s", word, c)
		}
	}
	noControls(t, "the screen", c.out.String())
	noControls(t, "the console", h.coord.out.String())
	h.types(c, "#a-name_of-24-characters--\n")
	h.sees(c, "! \"a-name_of-24-characters--\" is not a username"+rule)
	h.types(c, "a-name_of-24-characters-\n")
	h.sees(c, "* Welcome, a-name_of-24-characters-. *")
}

// TestLongAndStrangeLines: what is too long is refused with the limit, never cut; what
// is not UTF-8 is shown with what it was replaced by, or refused with --strict.
func TestLongAndStrangeLines(t *testing.T) {
	t.Parallel()
	h := open(t)
	alice, bob := h.guest("alice"), h.guest("bob", "--accept", "all")
	h.types(alice, "/chat bob\n")
	h.sees(alice, "* This chat is shown on the server console.")
	most := strings.Repeat("é", 8<<10) // 16 KB
	const over = "! Message is *"
	for _, line := range []struct{ typed, answer string }{
		{most + "x", over},
		{strings.Repeat("x", 65536), over},
		{"@bob " + most + "x", over},
		{strings.Repeat("x", 65537), "! Line too long."},
		{strings.Repeat("x", 10<<20), "! Line too long."},
		{"\xff\xfe", "* That line is not UTF-8; what could not be read was replaced."},
	} {
		h.types(alice, line.typed+"\n")
		if !alice.next(line.answer) {
			t.Fatalf("%.20q, %d bytes: not %q\n%s", line.typed, len(line.typed), line.answer, alice)
		}
	}
	h.sees(bob, "alice: \ufffd")
	h.types(alice, most+"\n")
	shown := "alice: " + strings.Repeat("é", 4000)
	h.sees(bob, shown, "* ... 4192 more characters, /more")
	h.types(bob, "/more\n/more\n/more\n")
	h.sees(bob, shown, "* ... 192 more characters, /more", "alice: "+strings.Repeat("é", 192), "! There is nothing more to show.")
	h.types(alice, "the end\n")
	h.sees(bob, "alice: the end")

	strict := h.guest("carol", "--strict")
	h.types(strict, "@alice \xff\n3\n")
	h.sees(strict, "! That line is not UTF-8; it was not used. Write it in UTF-8.")
	if code := strict.exit(); code != "1" {
		t.Errorf("exit %s", code)
	}
}

// TestTenThousandLines: a paste of 10,000 lines arrives, each line once and in order.
func TestTenThousandLines(t *testing.T) {
	t.Parallel()
	h := open(t)
	alice, bob := h.guest("alice"), h.guest("bob", "--accept", "all")
	h.types(alice, "/chat bob\n")
	h.sees(alice, "* This chat is shown on the server console.")
	var paste strings.Builder
	want := make([]string, 10000)
	for i := range want {
		fmt.Fprintf(&paste, "line %d\n", i)
		want[i] = fmt.Sprintf("alice: line %d", i)
	}
	h.types(alice, paste.String())
	h.sees(bob, want[0])
	h.sees(bob, want[len(want)-1])
	i := 0
	for _, l := range bob.lines() {
		if !strings.HasPrefix(l, "alice: line ") {
			continue
		}
		if i == len(want) || l != want[i] {
			t.Fatalf("line %d is %q", i, l)
		}
		i++
	}
}

// TestAHundredLinesWait: without a connection about 100 lines are kept, and arrive once and in
// order when it is back; those beyond are refused, and said to be.
func TestAHundredLinesWait(t *testing.T) {
	t.Parallel()
	h := open(t)
	alice, bob := h.guest("alice"), h.guest("bob", "--accept", "all")
	h.types(alice, "/chat bob\nbefore\n")
	h.sees(bob, "alice: before")
	h.coord.stop()
	h.sees(alice, "! Connection to nats://"+h.listen+" lost. Trying again.")
	const refused = "! Not connected; this line was not kept."
	kept := 0
	for !slices.Contains(alice.lines(), refused) {
		h.types(alice, fmt.Sprintf("line %d\n/who\n", kept+1))
		h.sees(alice, "* You are chatting with bob; this chat is shown on the server console.")
		kept++
	}
	kept--
	if kept < 98 { // what nobody has acknowledged yet counts, too
		t.Errorf("only %d lines are kept", kept)
	}
	if _, err := h.serve(nil); err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		h.sees(bob, fmt.Sprintf("alice: line %d", i+1))
	}
	h.sees(alice, "* Connected again after *")
	h.types(alice, "end\n")
	if !bob.see("alice: end") || slices.Contains(bob.lines(), fmt.Sprintf("alice: line %d", kept+1)) {
		t.Errorf("after the end:\n%s", bob)
	}
}

// TestWhatIsTypedIsSent: tabs, joiners and variation selectors arrive and are stored as
// they were typed; only the screen shows a tab as blanks.
func TestWhatIsTypedIsSent(t *testing.T) {
	t.Parallel()
	h := open(t)
	kept := filepath.Join(t.TempDir(), "kept")
	alice, bob := h.guest("alice"), h.guest("bob", "--accept", "all", "--transcript", kept)
	h.types(alice, "/chat bob\n")
	h.sees(alice, "* This chat is shown on the server console.")
	const family, persian = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
	h.types(alice, "one\ttwo "+family+"\n\u200b\u200d\n"+persian+" \u2764\ufe0f pass\u200dword\n@bob \tand "+family+"\nQuit\n")
	h.sees(bob, "alice: one    two "+family, "alice: "+persian+" \u2764\ufe0f password")
	h.sees(bob, "Chat session ended")
	if !slices.Contains(bob.lines(), "alice (direct):     and "+family) {
		t.Errorf("the direct message is not there:\n%s", bob)
	}
	h.types(bob, "3\n")
	if code := bob.exit(); code != "0" {
		t.Fatalf("exit %s", code)
	}
	files, err := filepath.Glob(filepath.Join(kept, "*.jsonl"))
	if err != nil || len(files) != 2 {
		t.Fatalf("transcripts %q, %v", files, err)
	}
	var said []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(data)) {
			var line struct{ Text string }
			if err := json.Unmarshal([]byte(l), &line); err != nil {
				t.Fatal(err)
			}
			if line.Text != "" {
				said = append(said, line.Text)
			}
		}
	}
	if want := []string{"one\ttwo " + family, persian + " \u2764\ufe0f pass\u200dword", "\tand " + family}; !slices.Equal(said, want) {
		t.Errorf("stored are %q, want %q", said, want)
	}
}
