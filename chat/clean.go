package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What others wrote is printed only after it went through here: messages, file
// names, reasons, texts of the server, on a user's terminal as on the operator's
// console and in logs. What comes out holds no control but LF, no escape sequence,
// nothing that turns the direction of a line, and nothing that cannot be seen but for
// the joiners and variation selectors that shape their neighbours (joiners.go).
//
// What is sent and stored is what was written; only what is shown is clean. So a tab
// arrives as a tab.

// Limits of what is shown of one text at a time.
const (
	ShownLines      = 200
	ShownCharacters = 4000
	marksShown      = 8 // combining marks on one character
	tabBlanks       = "    "
)

// Clean makes a text of several lines fit to be shown: see CleanAll and Excerpt. A
// text over the limits ends with a remark that says how much is missing.
func Clean(s string) string {
	if len(s) <= ShownCharacters && plain(s) {
		return s
	}
	shown, rest := Excerpt(CleanAll(s))
	if rest == "" {
		return shown
	}
	return shown + fmt.Sprintf("... %d more characters", Characters(rest))
}

// CleanLine is Clean for what must stay on one line: a line feed or a tab becomes a
// blank.
func CleanLine(s string) string {
	if len(s) <= ShownCharacters && plain(s) {
		return s
	}
	s = strings.ReplaceAll(s, "\t", " ")
	return strings.ReplaceAll(Clean(s), "\n", " ")
}

// plain reports whether a text is one line of printable ASCII: most are.
func plain(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		if !printable(s) {
			return false
		}
	}
	for i := range len(s) {
		if s[i]-' ' > '~'-' ' {
			return false
		}
	}
	return true
}

// CleanAll makes a text harmless and keeps its length. In this order: bytes that are
// not UTF-8 become U+FFFD; CR LF becomes LF; escape sequences go whole, in their 7-bit
// and 8-bit forms, to the end of the text if they have none; other controls go; a tab
// becomes four blanks, U+2028 and U+2029 a line feed; what cannot be seen goes, and
// combining marks after the eighth on one character; joiners and variation selectors
// stay where they belong. A text that is clean is not changed.
func CleanAll(s string) string {
	if plain(s) {
		return s
	}
	c := cleaner{in: s}
	c.out.Grow(len(s))
	for c.in != "" {
		c.step()
	}
	if c.joins {
		return placed(c.out.String())
	}
	return c.out.String()
}

// WithoutControls removes escape sequences, whole, and other control characters from a text
// that is to be sent, except line feeds and tabs; CR LF becomes LF. Receivers clean what they
// show all the same: see CleanAll.
func WithoutControls(s string) string {
	if !hasControls(s) {
		return s
	}
	c := cleaner{in: s}
	for c.in != "" {
		switch r := c.next(); {
		case r == esc:
			c.escape()
		case r >= 0x80 && r < 0xa0:
			c.control(r - 0x40)
		case r >= ' ' && r != 0x7f, r == '\n', r == '\t':
			c.out.WriteRune(r)
		}
	}
	return c.out.String()
}

func hasControls(s string) bool {
	for len(s) > 0 {
		n := min(8, len(s))
		if n < 8 || !printable(s) {
			for i := range n {
				b := s[i]
				if b < ' ' && b != '\n' && b != '\t' || b == 0x7f || b == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
					return true
				}
			}
		}
		s = s[n:]
	}
	return false
}

// printable reports whether the first eight bytes are printable ASCII, all at once: what is
// sent mostly is.
func printable(s string) bool {
	const each = 0x0101010101010101
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	return ((x-each*' ')|x|(x+each))&(each*0x80) == 0 // less than a blank, not ASCII, DEL
}

// Blank reports whether nothing of a text is left to be seen once it is clean. Such a
// text is not sent.
func Blank(s string) bool { return strings.TrimSpace(CleanAll(s)) == "" }

// Excerpt cuts a clean text after ShownLines lines or ShownCharacters characters,
// whichever comes first. What it left out is rest, of which there may be another
// excerpt.
func Excerpt(clean string) (shown, rest string) {
	if len(clean) <= ShownCharacters && strings.Count(clean, "\n") < ShownLines {
		return clean, ""
	}
	lines, characters, before := 1, 0, rune(0)
	for i, r := range clean {
		more := continues(before, r)
		before = r
		switch {
		case r == '\n':
			lines++
			if lines > ShownLines {
				return clean[:i], clean[i+1:]
			}
		case more:
			continue
		}
		characters++
		if characters > ShownCharacters {
			return clean[:i], clean[i:]
		}
	}
	return clean, ""
}

// Characters counts what a reader would count: combining marks belong to the
// character that they stand on, and emoji that are joined are one.
func Characters(s string) int {
	n, before := 0, rune(0)
	for _, r := range s {
		if !continues(before, r) {
			n++
		}
		before = r
	}
	return n
}

// cleaner consumes in and appends to out what may be shown of it.
type cleaner struct {
	in    string
	out   strings.Builder
	marks int // combining marks on the last character
	joins bool
}

// step consumes one character or one escape sequence.
func (c *cleaner) step() {
	r := c.next()
	switch {
	case r == esc:
		c.escape()
	case r >= 0x80 && r < 0xa0:
		c.control(r - 0x40)
	case r == '\t':
		c.keep(tabBlanks)
	case r == '\n', r == 0x2028, r == 0x2029:
		c.keep("\n")
	case joins(r): // whether it belongs there is seen when its neighbours are known
		c.joins = true
		c.out.WriteRune(r)
	case r < ' ', r == 0x7f, unseen(r):
	case unicode.Is(unicode.M, r):
		if c.marks++; c.marks <= marksShown {
			c.out.WriteRune(r)
		}
	default:
		c.keep(string(r))
	}
}

// next takes a character; a byte that is not UTF-8 is U+FFFD.
func (c *cleaner) next() rune {
	r, n := utf8.DecodeRuneInString(c.in)
	c.in = c.in[n:]
	return r
}

// peek looks at the next character; at the end it is not one.
func (c *cleaner) peek() rune {
	if c.in == "" {
		return -1
	}
	r, _ := utf8.DecodeRuneInString(c.in)
	return r
}

func (c *cleaner) keep(s string) {
	c.out.WriteString(s)
	c.marks = 0
}

const esc = 0x1b

// escape drops what follows an ESC: blanks to slashes as often as there are, then
// one character that says what the sequence is.
func (c *cleaner) escape() {
	c.skip(' ', '/')
	if final := c.peek(); final >= '0' && final <= '~' {
		c.next()
		c.control(final)
	}
}

// control drops the rest of a sequence that ESC and final began.
func (c *cleaner) control(final rune) {
	switch final {
	case '[': // CSI: parameters, intermediates, one final character
		c.skip('0', '?')
		c.skip(' ', '/')
		c.one('@', '~')
	case ']', 'P', '_', '^', 'X': // OSC, DCS, APC, PM, SOS
		c.str()
	case 'N', 'O': // SS2, SS3: one character from another set
		c.one(' ', '~')
	}
}

// str drops the text of an OSC or one of its kin, up to the string terminator, a bell,
// or a control that makes terminals give it up.
func (c *cleaner) str() {
	for c.in != "" {
		if c.peek() == esc {
			c.in = strings.TrimPrefix(c.in, "\x1b\\")
			return // terminated, or another sequence begins
		}
		switch c.next() {
		case 0x9c, '\a', 0x18, 0x1a:
			return
		}
	}
}

func (c *cleaner) one(from, to rune) bool {
	r := c.peek()
	if r < from || r > to {
		return false
	}
	c.next()
	return true
}

func (c *cleaner) skip(from, to rune) {
	for c.one(from, to) {
	}
}

// unseen reports whether a character shows nothing of itself: formats (directions, tags,
// U+FEFF, soft hyphens) but for the few that are drawn around digits, and letters that are
// blank by definition. Joiners and variation selectors are none of them: see joins.
func unseen(r rune) bool {
	if r < 0xad { // nothing of the kind in ASCII and Latin-1 before the soft hyphen
		return false
	}
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		r >= 0xe0000 && r <= 0xe0fff
}
