package chat_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"natter/chat"
)

func TestNamesThatAreNames(t *testing.T) {
	for _, s := range []string{"a", "Z", "alice", "Alice", "alice2", "a-b_c", "a-", "x_", "noble", "Admin1", "abcdefghijklmnopqrstuvwx"} {
		n, err := chat.ParseName(s)
		if err != nil || string(n) != s || string(n.User()) != strings.ToLower(s) {
			t.Errorf("%q: name %q, user %q, %v", s, n, n.User(), err)
		}
	}
}

func TestNamesThatAreNot(t *testing.T) {
	const rule = "start with a letter, then letters, digits, - or _, at most 24."
	for _, test := range []struct{ in, says string }{
		{"", `"" is not`}, {" ", `" " is not`}, {"abcdefghijklmnopqrstuvwxy", "is not"}, {strings.Repeat("a", 10<<20), `aaaa"... is not`},
		{"\u0430lice", "U+0430"}, {"\uff41\uff4c\uff49\uff43\uff45", "U+FF41"}, {"al\u200bice", "U+200B"}, {"alice\u00ad", "U+00AD"},
		{"alice\u034f", "U+034F"}, {"alice\u3164", "U+3164"}, {"\ufeffalice", "U+FEFF"},
		{"AL\u0130CE", "U+0130"}, {"\u0131", "U+0131"}, {"\u212a", "U+212A"}, {"\u00df", "U+00DF"}, {"\ufb01", "U+FB01"},
		{"a.b", `"a.b" is not`}, {"a*", "is not"}, {"a>", "is not"}, {">", "is not"}, {"*", "is not"}, {"$SYS", "is not"}, {"$JS", "is not"}, {"_INBOX", "is not"},
		{"a b", `"a b" is not a username: start`}, {"a\tb", "U+0009"}, {"a\r", "U+000D"}, {"a\n", "U+000A"}, {"a\x00", "U+0000"}, {"a\x7f", "U+007F"},
		{"--help", "is not"}, {"-h", "is not"}, {"/quit", "is not"}, {"@bob", "is not"}, {"bob:", "is not"}, {"##x", "is not"}, {"9a", "is not"},
		{"\x1b[31mred", `"\x1b[31mred" is not a username (U+001B)`}, {"a\u009b", `"a\u009b" is not a username (U+009B)`}, {"a\u202e", "U+202E"},
		{"\xff\xfe", "not UTF-8"}, {"\xed\xa0\x80", "not UTF-8"}, {"Z" + strings.Repeat("\u0301", 50), "U+0301"}, {"a\ufffd", "U+FFFD"},
	} {
		_, err := chat.ParseName(test.in)
		if !errors.Is(err, &chat.Error{Code: chat.Invalid}) {
			t.Errorf("%.40q: %v", test.in, err)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, test.says) || !strings.HasSuffix(text, rule) {
			t.Errorf("%.40q: says %q, want %q in it", test.in, text, test.says)
		}
	}
}

func TestReservedWords(t *testing.T) {
	for _, s := range strings.Fields("admin all bye chatcoord coord coordinator everyone exit here lobby me n no observer quit server system y yes you Quit ADMIN operator someone direct moderator root support Root somebody nobody Nobody anybody anyone everybody others none ask chatcli natter console") {
		_, err := chat.ParseName(s)
		if !errors.Is(err, &chat.Error{Code: chat.Reserved}) || !strings.Contains(err.Error(), "reserved word") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestLooksReserved(t *testing.T) {
	for name, want := range map[chat.Name]bool{
		"r00t": true, "rOot": true, "adrnin": true, "Sys-tem": true, "oper_ator": true, "a1l": true, "aIl": true, "rne": true,
		"alice": false, "ali": false, "roots": false, "mallory": false, "nat": false,
	} {
		if chat.LooksReserved(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// Names that look alike have one skeleton, others do not.
func TestSkeleton(t *testing.T) {
	for _, c := range []struct {
		want  string
		names []chat.Name
	}{
		{"walice", []chat.Name{"walice", "Walice", "waIice", "wa1ice", "wal-ice", "w_a-l_ice-", "vvalice", "vva1ice", "WaIicE"}},
		{"bob", []chat.Name{"bob", "Bob", "b0b", "bOb", "BoB", "b-o-b"}},
		{"mallory", []chat.Name{"mallory", "rnallory", "ma1I0ry", "rnal-lory"}},
		{"marn", []chat.Name{"mar-n", "MaR_n"}},            // r and n do not touch
		{"mam", []chat.Name{"marn", "rnarn"}},              // and here they do
		{"lllooo", []chat.Name{"Il1Oo0", "l1I0oO"}},        //
		{"alce", []chat.Name{"alce", "a1ce"}},              // no i
		{"allce", []chat.Name{"AllcE", "ALICE", "al-1ce"}}, // the form that was typed counts
		{"alice", []chat.Name{"alice", "Alice", "aliCe"}},
		{"rn", []chat.Name{"RN", "Rn", "r-n"}},
	} {
		for _, n := range c.names {
			if got := chat.Skeleton(n); got != c.want {
				t.Errorf("%s: %s, want %s", n, got, c.want)
			}
		}
	}
}

func TestNamesInASentence(t *testing.T) {
	for want, names := range map[string][]chat.Name{"": nil, "bob": {"bob"}, "bob, Carol": {"bob", "Carol"}} {
		if got := chat.Names(names); got != want {
			t.Errorf("%v: %q, want %q", names, got, want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "alice", "Quit", "a b", "\u0430lice", "\xff\xfe", "\x1b[31mred", "a.b", "abcdefghijklmnopqrstuvwxy"} {
		f.Add(s)
	}
	grammar := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,23}$`)
	printable := regexp.MustCompile(`^[ -~]{1,400}$`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := chat.ParseName(s)
		switch {
		case err != nil && !printable.MatchString(err.Error()):
			t.Errorf("%q: the sentence cannot be shown: %q", s, err)
		case errors.Is(err, &chat.Error{Code: chat.Reserved}):
			if !grammar.MatchString(s) {
				t.Errorf("%q is reserved and no name", s)
			}
		case (err == nil) != grammar.MatchString(s):
			t.Errorf("%q: %v", s, err)
		case err == nil && string(n) != s:
			t.Errorf("%q became %q", s, n)
		}
	})
}
