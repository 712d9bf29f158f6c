package manifest

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ offered, want string }{
		{"report.pdf", "report.pdf"},
		{"Übergröße 2 (3).tar.gz", "Übergröße 2 (3).tar.gz"},
		{"資料.txt", "資料.txt"},
		{"x.part", "x.part"},
		{"../x", "_.._x"},
		{"/etc/passwd", "_etc_passwd"},
		{"a/../../x", "a_.._.._x"},
		{"..", "__"},
		{".", "_"},
		{"", "_"},
		{".ssh/authorized_keys", "_.ssh_authorized_keys"},
		{".bashrc", "_.bashrc"},
		{"-rf", "_-rf"},
		{"--", "_--"},
		{"~root", "_~root"},
		{"CON", "_CON"},
		{"con", "_con"},
		{"NUL.txt", "_NUL.txt"},
		{"aux.tar.gz", "_aux.tar.gz"},
		{"Com1 .log", "_Com1 .log"},
		{"LPT²", "_LPT²"},
		{"CONIN$", "_CONIN$"},
		{"COM10", "COM10"},
		{"LPT", "LPT"},
		{"CONSOLE", "CONSOLE"},
		{"a:b", "a_b"},
		{`C:\x`, "C__x"},
		{`\\srv\x`, "__srv_x"},
		{`??\C:\x`, "___C__x"},
		{"x\u202etxt.exe", "x_txt.exe"},
		{"a\nb", "a_b"},
		{"\x1b[31mred", "_[31mred"},
		{"a\x00b", "a_b"},
		{"a\u009bb", "a_b"},
		{"a\xffb", "a_b"},
		{"a\u200bb\ufeff", "a_b_"},
		{"a\u3164b\u2800", "a_b_"},
		{"a\U000e0041b", "a_b"},
		{"e\u0301.txt", "é.txt"},
		{"x.", "x_"},
		{"x. . ", "x____"},
		{" x", "_x"},
		{"a\u00a0b", "a_b"},
		{long, long[:MaxSafe]},
		{long + ".pdf", long[:MaxSafe-4] + ".pdf"},
		{long + ".tar.zst", long[:MaxSafe-8] + ".tar.zst"},
		{"." + long, "_." + long[:MaxSafe-2]},
		{strings.Repeat("😀", 75), strings.Repeat("😀", MaxSafe/4)},
		{strings.Repeat("ä", 101) + ".txt", strings.Repeat("ä", 98) + ".txt"},
		{"a." + long, "a." + long[:MaxSafe-2]},
	} {
		if got := Safe(c.offered); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.offered, got, c.want)
		}
	}
}

// safe says what is wrong with a name that Safe returned.
func safe(name string) string {
	switch {
	case name == "", len(name) > MaxSafe, !utf8.ValidString(name):
		return "its length or encoding"
	case strings.ContainsAny(name, "/\\:*?\"<>|\x00\n\x1b"), strings.ContainsAny(name[:1], ".-~ "):
		return "a character"
	case strings.HasSuffix(name, "."), strings.HasSuffix(name, " "):
		return "its end"
	case device(name):
		return "a device"
	case Safe(name) != name:
		return fmt.Sprintf("it becomes %q", Safe(name))
	}
	return ""
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"../x", "CON", "con .", " .", "a\u0301\u202e", "😀.tar.gz", "x\xff", strings.Repeat("\u0301", 150), strings.Repeat("ab ", 80)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, offered string) {
		name := Safe(offered)
		if why := safe(name); why != "" {
			t.Fatalf("%q becomes %q: %s", offered, name, why)
		}
		for _, k := range []int{1, 199_999} {
			if why := safe(Numbered(name, k)); why != "" {
				t.Fatalf("%q becomes %q: %s", name, Numbered(name, k), why)
			}
		}
		for _, r := range Shown(offered) {
			if !visible(r) && r != utf8.RuneError {
				t.Fatalf("%q is shown with %q", offered, r)
			}
		}
	})
}

func TestNumbered(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf": "report (1).pdf", "photos": "photos (1)", "a.tar.gz": "a (1).tar.gz", "_.bashrc": "_ (1).bashrc",
		"report (1).pdf":               report1 + " (1).pdf",
		strings.Repeat("x", 199) + "é": strings.Repeat("x", 190) + " (1)",
	} {
		if got := Numbered(name, 1); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

const report1 = "report (1)"

// TestNamer: no two names of a directory are one to any file system.
func TestNamer(t *testing.T) {
	var n Namer
	var got []string
	for _, e := range []struct {
		parent int
		name   string
	}{
		{Top, "report.pdf"}, {Top, "Report.PDF"}, {Top, "report.pdf"}, {Top, "report (1).pdf"}, {0, "report.pdf"}, {Top, "e\u0301"}, {Top, "\u00e9"},
		{Top, "a:b"}, {Top, "a*b"}, {Top, "straße"}, {Top, "STRASSE"}, {Top, "ﬁx"}, {Top, "fix"},
	} {
		got = append(got, n.Name(e.parent, e.name))
	}
	want := "report.pdf Report (1).PDF report (2).pdf report (1) (1).pdf report.pdf é é (1) a_b a_b (1) straße STRASSE (1) ﬁx fix (1)"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
}

// TestNamerCrowd: names that were made so that they collide take no time that grows with
// their square, and still differ.
func TestNamerCrowd(t *testing.T) {
	var n Namer
	seen := map[string]bool{}
	stem := strings.Repeat("x", MaxSafe-6)
	for i := range 20_000 {
		name := n.Name(Top, fmt.Sprintf("%s%06d", stem, i/2))
		if seen[name] || len(name) > MaxSafe {
			t.Fatalf("%q again", name)
		}
		seen[name] = true
	}
	for range 20_000 {
		name := n.Name(Top, "a")
		if seen[name] {
			t.Fatalf("%q again", name)
		}
		seen[name] = true
	}
}

func TestShown(t *testing.T) {
	for offered, want := range map[string]string{
		"report.pdf": "report.pdf", "a b": "a b", "x\u202etxt.exe": "xU+202Etxt.exe", "\x1b[2J": `\x1b[2J`, "a\xffb": `a\xffb`, `a\b`: `a\\b`, "a\u009bb": "aU+009Bb", "\n": `\x0a`,
	} {
		if got := Shown(offered); got != want {
			t.Errorf("%q is shown as %q, want %q", offered, got, want)
		}
	}
}
