package chat

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// What people write with joiners and variation selectors arrives as they wrote it.
func TestJoinersThatStay(t *testing.T) {
	for what, s := range map[string]string{
		"a family":             "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
		"a heart on fire":      "\u2764\ufe0f\u200d\U0001f525",
		"a rainbow flag":       "\U0001f3f3\ufe0f\u200d\U0001f308",
		"a dark astronaut":     "\U0001f469\U0001f3ff\u200d\U0001f680",
		"a kiss":               "\U0001f469\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f469\U0001f3fb",
		"a health worker":      "\U0001f9d1\u200d\u2695\ufe0f",
		"a red heart":          "\u2764\ufe0f",
		"a heart as text":      "\u2764\ufe0e",
		"a key":                "1\ufe0f\u20e3 #\ufe0f\u20e3 *\ufe0f\u20e3",
		"Persian":              "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u062e\u0627\u0646\u0647\u200c\u0627\u06cc",
		"Persian, vowels":      "\u0645\u06cc\u0650\u200c\u062e\u064e\u0648\u0627\u0647\u0645",
		"Arabic, joined":       "\u0647\u200d\u0647",
		"Syriac":               "\u0712\u200c\u0712",
		"Hindi, half form":     "\u0915\u094d\u200d\u0937",
		"Hindi, explicit":      "\u0915\u094d\u200c\u0937",
		"Marathi, eyelash":     "\u0930\u094d\u200d\u092f",
		"Sinhala":              "\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0dbd\u0d82\u0d9a\u0dcf",
		"Malayalam, chillu":    "\u0d28\u0d4d\u200d",
		"Telugu":               "\u0c38\u0c3e\u0c2b\u0c4d\u0c1f\u0c4d\u200c\u0c35\u0c47\u0c30\u0c4d",
		"Bengali, ra-ya":       "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
		"Mongolian":            "\u1820\u180b\u1820\u180d\u1820",
		"an ideograph":         "\u845b\U000e0100\u845b\U000e0101 \u6674\ufe00",
		"an operator":          "\u2229\ufe00",
		"a full stop in a box": "\uff0e\ufe00",
	} {
		if got := CleanAll(s); got != s {
			t.Errorf("%s: CleanAll(%+q) = %+q", what, s, got)
		}
	}
}

func TestJoinersThatGo(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a\u200db", "ab"}, {"a\u200cb", "ab"}, {"pass\u200dword", "password"}, {"1\ufe0f0", "10"}, {"a\ufe0f", "a"}, {"a\U000e0100", "a"},
		{"\u200d\U0001f468", "\U0001f468"}, {"\U0001f468\u200d", "\U0001f468"}, {"\U0001f468\u200da", "\U0001f468a"}, {"\U0001f468\u200c\U0001f468", "\U0001f468\U0001f468"},
		{"\U0001f468\u200d\u200d\U0001f468", "\U0001f468\u200d\U0001f468"}, {"\u2764\ufe0f\ufe0f\ufe0f", "\u2764\ufe0f"}, {"\u2764\ufe01", "\u2764"},
		{"\u2502\u200d\u2502", "\u2502\u2502"}, {"\U0001f1e9\u200d\U0001f1ea", "\U0001f1e9\U0001f1ea"}, {"\U0001f3fb\u200d\U0001f468", "\U0001f3fb\U0001f468"},
		{"\u0645\u200c\u200c\u062e", "\u0645\u200c\u062e"}, {"\u0645\u200c \u062e", "\u0645 \u062e"}, {"\u0645\u200c", "\u0645"}, {"\u0645\u200ca", "\u0645a"}, {"\u0645\u200c\u0712", "\u0645\u0712"},
		{"\u0915\u200c\u0937", "\u0915\u0937"}, {"\u094d\u200d", "\u094d"}, {"1\u094d\u200d", "1\u094d"}, {"\u0915\u094d\u200d\u200d\u200c", "\u0915\u094d\u200d"},
		{"\u0645\x1b[1m\u200c\x1b[0m\u062e", "\u0645\u200c\u062e"},
		{"\U0001f468" + strings.Repeat("\u200d\U0001f468", 9), "\U0001f468" + strings.Repeat("\u200d\U0001f468", 8) + "\U0001f468"},
		{"\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4"}, // tags are no joiners
		{strings.Repeat("\u200d", 1<<16), ""}, {"\u2764" + strings.Repeat("\ufe0f", 1<<16), "\u2764\ufe0f"},
	} {
		if got := CleanAll(c.in); got != c.want {
			t.Errorf("CleanAll(%+.60q) = %+.60q, want %+.60q", c.in, got, c.want)
		}
	}
}

// A joined emoji is one character, and no excerpt ends inside of it.
func TestJoinedEmojiAreOneCharacter(t *testing.T) {
	for s, want := range map[string]int{
		"\U0001f468\u200d\U0001f469\u200d\U0001f467": 1, "\u2764\ufe0f": 1, "\U0001f44d\U0001f3ff": 1, "1\ufe0f\u20e3": 1, "\u0645\u06cc\u200c\u062e": 3, "\U0001f468\U0001f469": 2,
	} {
		if got := Characters(s); got != want {
			t.Errorf("%+q has %d characters, want %d", s, got, want)
		}
	}
	family := "\U0001f468\u200d\U0001f469\u200d\U0001f467"
	shown, rest := Excerpt(CleanAll(strings.Repeat(family, ShownCharacters+1)))
	if rest != family || shown != strings.Repeat(family, ShownCharacters) {
		t.Errorf("the excerpt leaves %+q", rest)
	}
}

// The tables that package unicode lacks are those of the libraries that have them. Two
// pictographs with a ZWJ between them are one cluster (UAX #29, GB11).
func TestTablesAreThoseOfUnicode(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		s := string(r)
		if pictograph := one(s+"\u200d"+s) && !one("a"+s); pictograph != unicode.Is(pictographs, r) {
			t.Errorf("%U: a pictograph: %v", r, pictograph)
		}
		if virama := norm.NFC.PropertiesString(s).CCC() == 9; virama != unicode.Is(viramas, r) {
			t.Errorf("%U: a virama: %v", r, virama)
		}
	}
}

func one(s string) bool { return uniseg.GraphemeClusterCount(s) == 1 }

// Every joiner that RFC 5892 allows stays; precis decides by it.
func TestJoinersOfRFC5892Stay(t *testing.T) {
	letters := []rune{0x628, 0x627, 0x645, 0x648, 0x6cc, 0x712, 0x715, 0x7ca, 0xa840, 0x1820, 0x1e900, 0x915, 0x937, 0x9b0, 0xbb7, 0xd28, 0xdc1, 0x1000, 0x1780, 'a', 0x5d0}
	between := []string{"", "\u064e", "\u094d", "\u09cd", "\u0d4d", "\u0dca", "\u17d2", "\u1039"}
	rules, allowed := precis.NewFreeform(), 0
	for _, a := range letters {
		for _, b := range letters {
			for _, mark := range between {
				for _, joiner := range []string{"\u200c", "\u200d"} {
					s := string(a) + mark + joiner + string(b)
					if _, err := rules.String(s); err != nil || !sameScript(a, b) {
						continue
					}
					allowed++
					if got := CleanAll(s); got != s {
						t.Errorf("CleanAll(%+q) = %+q", s, got)
					}
				}
			}
		}
	}
	if allowed < 100 {
		t.Errorf("%d were allowed", allowed)
	}
}

func sameScript(a, b rune) bool {
	for _, script := range unicode.Scripts {
		if unicode.Is(script, a) {
			return unicode.Is(script, b)
		}
	}
	return false
}

func TestBlank(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, " \t\n ": true, "\u200b\u200d": true, "\x1b[31m": true, "\x1b]0;title\a": true, "\u3164": true, "\u00a0\u3000": true,
		"a": false, "\u0301": false, ".": false, "\u200bx": false,
	} {
		if Blank(s) != want {
			t.Errorf("Blank(%+q) = %v", s, !want)
		}
	}
}
