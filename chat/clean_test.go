package chat

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	zalgo := "a" + strings.Repeat("\u0301", 40)
	for _, c := range []struct{ what, in, want string }{
		{"plain", "hello, wörld ✓", "hello, wörld ✓"},
		{"lines", "a\nb\r\nc", "a\nb\nc"},
		{"clear screen", "a\x1b[2J\x1b[Hb", "ab"},
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"title", "a\x1b]0;title\ab", "ab"},
		{"clipboard", "a\x1b]52;c;aGk=\ab", "ab"},
		{"hidden link", "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "here"},
		{"DCS", "a\x1bP $q\"p\x1b\\b", "ab"},
		{"report position", "a\x1b[6nb", "ab"},
		{"device attributes", "a\x1b[cb", "ab"},
		{"report title", "a\x1b[21tb", "ab"},
		{"reset", "a\x1bcb", "ab"},
		{"alternate screen", "a\x1b[?1049hb\x1b[?2004lc\x1b[?1000hd", "abcd"},
		{"self-test", "a\x1b[2;yb", "ab"},
		{"character set", "a\x1b(0b", "ab"},
		{"8-bit CSI", "a\u009b31mb", "ab"},
		{"raw 0x9b", "a\x9b31mb", "a\ufffd31mb"},
		{"8-bit OSC", "a\u009d0;x\u009cb", "ab"},
		{"raw 0x9d", "a\x9d0;x\ab", "a\ufffd0;xb"},
		{"overlong", "a\xc0\x9b31mb", "a\ufffd\ufffd31mb"},
		{"unterminated OSC", "a\x1b]0;and so on", "a"},
		{"unterminated DCS", "a\x1bPand so on", "a"},
		{"unterminated CSI", "a\x1b[12;3", "a"},
		{"lone ESC", "a\x1b", "a"},
		{"ESC before a letter beyond ASCII", "a\x1bé", "aé"},
		{"string given up", "a\x1b]0;x\x18b", "ab"},
		{"sequence in a string", "a\x1b]0;x\x1b[1mb", "ab"},
		{"SOS", "a\x1bXx\x1b\\b", "ab"},
		{"PM", "a\x1b^x\x1b\\b", "ab"},
		{"kitty graphics", "a\x1b_Gf=100;AAAA\x1b\\b", "ab"},
		{"SS3", "a\x1bOAb", "ab"},
		{"8-bit SS3", "a\u008fAb", "ab"},
		{"bells", strings.Repeat("\a", 1000), ""},
		{"backspaces over a name", "alice\b\b\b\b\bmallory", "alicemallory"},
		{"overwriting", "alice: hi\rmallory", "alice: himallory"},
		{"VT FF NUL DEL", "a\v\f\x00\x7fb", "ab"},
		{"other C1", "a\u0085\u0084b", "ab"},
		{"line separators", "a\u2028b\u2029c", "a\nb\nc"},
		{"bidi", "a\u202a\u202b\u202c\u202d\u202eb\u2066\u2067\u2068\u2069c", "abc"},
		{"zero width", "a\u200b\u200c\u200d\u200e\u200fb\ufeffc", "abc"},
		{"soft hyphen, joiner, filler", "a\u00ad\u034f\u3164\u115f\u2060\u061cb", "ab"},
		{"tags", "a\U000e0001\U000e0041\U000e007fb", "ab"},
		{"variation selectors", "a\ufe0f\ufe00\U000e0100b", "ab"},
		{"a joined emoji", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"},
		{"Arabic number sign stays", "\u0600123", "\u0600123"},
		{"combining marks", zalgo + "b\u0301", "a" + strings.Repeat("\u0301", 8) + "b\u0301"},
		{"unseen ones do not reset the count", "a" + strings.Repeat("\u0301\u200b", 40), "a" + strings.Repeat("\u0301", 8)},
		{"tab", "a\tb", "a    b"},
		{"not UTF-8", "a\xff\xfeb", "a\ufffd\ufffdb"},
		{"surrogate", "a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", c.what, c.in, got, c.want)
		}
	}
}

func TestCleanLine(t *testing.T) {
	if got := CleanLine("a\tb\nc\r\nd\u2028e"); got != "a b c d e" {
		t.Errorf("got %q", got)
	}
}

func TestCleanLimits(t *testing.T) {
	for _, c := range []struct{ what, in, want string }{
		{"as many characters", strings.Repeat("é", 4000), strings.Repeat("é", 4000)},
		{"more characters", strings.Repeat("é", 4312), strings.Repeat("é", 4000) + "... 312 more characters"},
		{"as many lines", strings.Repeat("a\n", 199) + "a", strings.Repeat("a\n", 199) + "a"},
		{"more lines", strings.Repeat("a\n", 201) + "ab", strings.Repeat("a\n", 199) + "a... 4 more characters"},
		{"one character of a megabyte", "a" + strings.Repeat("\u0301", 1<<19), "a" + strings.Repeat("\u0301", 8)},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("%s: got %d bytes %.40q", c.what, len(got), got)
		}
	}
}

func TestExcerptLosesNothing(t *testing.T) {
	text := CleanAll(strings.Repeat("0123456789\n", 1000))
	var parts []string
	for rest := text; rest != ""; {
		var shown string
		shown, rest = Excerpt(rest)
		parts = append(parts, shown)
	}
	if got := strings.Join(parts, "\n"); got != strings.TrimSuffix(text, "\n") && got != text {
		t.Errorf("%d parts hold %d bytes of %d", len(parts), len(got), len(text))
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"hello", "a\x1b[2Jb", "a\x1b]0;t\ab", "\x1b]\x1b]\x1b\\", "\u009b31m", "\x9b", "\xc0\x9b", "\x1bP", "\x1b", "\x1bO",
		"\r\n\t", "a\u0301\u0301", "\u202e", "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f469", "\u0645\u06cc\u200c\u062e", "\u0915\u094d\u200d\u0937",
		"1\ufe0f\u20e3", "\u200d\u200d", "\u1820\u180b\u200d\u1820", "\u845b\U000e0100", "\u09b0\u200d\u09cd\u09af", "\U0001f3fb\u200d\U0001f3fb", "\U000e0001", "\u2028", "\x1b[1;2", "\x1b(0", "\x1b\x1b[m",
	} {
		f.Add(s)
	}
	f.Fuzz(checkClean)
}

// checkClean holds for whatever is made clean.
func checkClean(t *testing.T, s string) {
	t.Helper()
	all := CleanAll(s)
	if !utf8.ValidString(all) {
		t.Errorf("%q is not UTF-8", all)
	}
	for _, r := range all {
		if r != '\n' && unicode.IsControl(r) || unseen(r) && !joins(r) {
			t.Errorf("%q of %q holds %U", all, s, r)
		}
	}
	if bare := strings.Map(without(joins), all); joins(first(all)) || utf8.RuneCountInString(all) > 4*utf8.RuneCountInString(bare) {
		t.Errorf("%q of %q hides joiners", all, s)
	}
	if again := CleanAll(all); again != all {
		t.Errorf("%q becomes %q the second time", all, again)
	}
	if line := CleanLine(s); strings.ContainsAny(line, "\n\r\t\x1b") {
		t.Errorf("%q is not one line", line)
	}
	if clean := Clean(s); Characters(all) <= ShownCharacters && Clean(clean) != clean {
		t.Errorf("%q becomes %q the second time", clean, Clean(clean))
	}
	shown, rest := Excerpt(all)
	if Characters(shown) > ShownCharacters || len(shown)+len(rest) < len(all)-1 {
		t.Errorf("excerpt of %d bytes: %d and %d", len(all), len(shown), len(rest))
	}
}

// Joiners and what they stand between, in any order.
func TestCleanAnyJoiners(t *testing.T) {
	alphabet := []string{
		"\u200d", "\u200d", "\u200c", "\ufe0f", "\ufe0e", "\ufe00", "\U000e0100", "\u180b", "\u20e3", "\u0301", "\U0001f3fb",
		"\U0001f468", "\u2764", "1", "a", "\u0645", "\u062e", "\u064e", "\u0915", "\u093c", "\u094d", "\u1820", "\u845b", " ", "\n", "\x1b[m", "\u202e", "\u2066", "\u0600",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var b strings.Builder
		for range random.IntN(14) {
			b.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		checkClean(t, b.String())
	}
}

// without drops what is of a kind, in strings.Map.
func without(kind func(rune) bool) func(rune) rune {
	return func(r rune) rune {
		if kind(r) {
			return -1
		}
		return r
	}
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// What is sent has no control characters but line feeds and tabs.
func TestWithoutControls(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "two\nlines\tand a tab": "two\nlines\tand a tab", "cr\r\nlf\rcr": "cr\nlfcr", "\x1b[31mred\x1b[0m": "red", "open\x1b]0;title": "open",
		"nul\x00 del\x7f c1\u009b2J nbsp\u00a0": "nul del c1 nbsp\u00a0", "caf\u00e9 \u2615": "caf\u00e9 \u2615",
	} {
		if got := WithoutControls(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestControlsAnywhere: a control character is seen wherever it stands; what is checked is
// eight bytes at a time.
func TestControlsAnywhere(t *testing.T) {
	plain := strings.Repeat("a~ é\n\t", 5)
	if got := WithoutControls(plain); got != plain {
		t.Errorf("%q has become %q", plain, got)
	}
	for _, bad := range []string{"\x00", "\x1f", "\x7f", "\u0080", "\u009f"} {
		for i := range 20 {
			text := strings.Repeat("x", i) + bad + strings.Repeat("~", 20-i)
			if got := WithoutControls(text); strings.Contains(got, bad) {
				t.Errorf("%q stays in %q", bad, got)
			}
		}
	}
}
