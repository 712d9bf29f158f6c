package transcript

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What was written in one of these forms is found by each of the others.
func TestSearchFindsEveryForm(t *testing.T) {
	for _, forms := range [][]string{
		{"caf\u00e9", "cafe\u0301", "CAF\u00c9", "CAFE\u0301"},
		{"stra\u00dfe", "STRASSE", "strasse", "STRA\u1e9eE"},
		{"\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03c3\u0399\u0301\u03c3\u03c5\u03c6\u03bf\u03c3", "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3"},
		{"office", "o\ufb03ce", "OFFICE", "\uff4f\uff46\uff46\uff49\uff43\uff45"},
		{"\u212bngstr\u00f6m", "\u00e5ngstro\u0308m", "A\u030angstr\u00d6m"},
		{"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"},
		{"\u2764\ufe0f", "\u2764", "\u2764\ufe0e"},
		{"\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"},
		{"\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8"},
		{"pass\u00adword", "PASS\u200bWORD", "password"},
		{"a\tb", "a b", "A\u00a0B", "a\nb"},
	} {
		for _, written := range forms {
			for _, wanted := range forms {
				if !NewWords([]string{wanted}).In("so: " + written + ".") {
					t.Errorf("%+q is not found by %+q", written, wanted)
				}
			}
		}
	}
}

func TestSearchFindsNothingElse(t *testing.T) {
	for _, c := range []struct{ words, text string }{
		{"b", "a"}, {"hello bob", "hello"}, {"caf\u00e9", "cafe"}, {"", "a"}, {"\u200d", "a"}, {"\u2764", "love"},
	} {
		if NewWords(strings.Fields(c.words)).In(c.text) {
			t.Errorf("%+q finds %+q", c.words, c.text)
		}
	}
}

// Every character folds as its other normal forms do, and as its capital does.
func TestFoldIsOneForm(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		s := string(r)
		if norm.NFKD.String(s) == s && norm.NFKC.String(s) == s && unicode.SimpleFold(r) == r || r == utf8.RuneError {
			continue // it has no other form
		}
		want := Fold(s)
		if again := Fold(want); again != want {
			t.Errorf("%U folds to %+q, and that to %+q", r, want, again)
		}
		for _, form := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
			if got := Fold(form.String(s)); got != want {
				t.Errorf("%U folds to %+q, its normal form to %+q", r, want, got)
			}
		}
		if got := Fold(strings.ToUpper(s)); got != want {
			t.Errorf("%U folds to %+q, its capital to %+q", r, want, got)
		}
	}
}
