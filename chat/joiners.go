package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Joiners and variation selectors are not seen themselves, but change how their
// neighbours are drawn. One stays where Unicode says that it belongs:
//
//   - ZWJ between two emoji, each maybe with a selector or a skin tone (UTS #51,
//     emoji ZWJ sequences);
//   - ZWJ and ZWNJ between two letters of one cursive script, such as Arabic, and
//     behind a virama that stands on a letter (RFC 5892, appendices A.1 and A.2; the
//     shape of the letters is not looked at); ZWJ also between a letter and its virama,
//     as Bengali and Kannada write it (The Unicode Standard, chapter 12);
//   - a variation selector directly behind a character that has variants: emoji and
//     keycaps (UTS #51), ideographs (UTS #37), and the operators and letters of
//     StandardizedVariants.txt.
//
// Every other one is dropped, and so is a second one in the same place: a text cannot
// hide anything in them.
const (
	zwnj    = 0x200c
	zwj     = 0x200d
	textual = 0xfe0e // the variation selector of what is drawn as text, and of what
	emoji   = 0xfe0f // is drawn as an emoji
	keycap  = 0x20e3

	joinsShown = 8 // joiners of one emoji sequence; those that are in use have three
)

// joins reports whether a character is a joiner or a variation selector.
func joins(r rune) bool {
	return r >= 0x180b && (r == zwnj || r == zwj || unicode.Is(unicode.Variation_Selector, r))
}

// placed drops the joiners and variation selectors that do not belong where they are
// from a text that is clean otherwise.
func placed(s string) string {
	var p placer
	p.out.Grow(len(s))
	for i, r := range s {
		if !joins(r) || p.belongs(r, s[i+utf8.RuneLen(r):]) {
			p.keep(r)
		}
	}
	return p.out.String()
}

// placer appends to out what belongs there.
type placer struct {
	out   strings.Builder
	glued int // joiners of the emoji sequence that out ends with
}

func (p *placer) keep(r rune) {
	switch last, _ := p.last(); {
	case r == zwj:
		p.glued++
	case last != zwj && !unicode.Is(unicode.M, r) && !toned(r):
		p.glued = 0
	}
	p.out.WriteRune(r)
}

// last is the last character of what was kept, and what is before it; at the
// beginning it is utf8.RuneError, which joins nothing.
func (p *placer) last() (rune, string) { return lastOf(p.out.String()) }

func lastOf(s string) (rune, string) {
	r, n := utf8.DecodeLastRuneInString(s)
	return r, s[:len(s)-n]
}

// belongs reports whether a joiner or a selector belongs between what was kept and rest.
func (p *placer) belongs(r rune, rest string) bool {
	next, _ := utf8.DecodeRuneInString(rest)
	if r != zwj && r != zwnj {
		last, _ := p.last()
		return varies(last, r, next)
	}
	last, before := p.last()
	switch {
	case unicode.Is(viramas, last):
		base, _ := baseOf(before)
		return unicode.IsLetter(base)
	case r == zwj && unicode.Is(pictographs, next):
		return p.glued < joinsShown && endsInEmoji(p.out.String())
	}
	base, _ := baseOf(p.out.String())
	if r == zwj && unicode.Is(viramas, next) {
		return unicode.IsLetter(base)
	}
	return shareCursive(base, firstBase(rest))
}

// endsInEmoji reports whether a text ends in an emoji, maybe with a selector or a skin
// tone behind it.
func endsInEmoji(s string) bool {
	last, before := lastOf(s)
	if last == emoji || toned(last) {
		last, _ = lastOf(before)
	}
	return unicode.Is(pictographs, last)
}

// toned reports whether a character is a skin tone, which colours the emoji before it.
func toned(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// baseOf is the last character of a text that is not a mark, and what is before it.
func baseOf(s string) (rune, string) {
	r, before := lastOf(s)
	for unicode.Is(unicode.M, r) {
		r, before = lastOf(before)
	}
	return r, before
}

// firstBase is the first character of a text that is not a mark. Selectors, which may
// not stay, are none here.
func firstBase(s string) rune {
	for _, r := range s {
		if !unicode.Is(unicode.M, r) || joins(r) {
			return r
		}
	}
	return utf8.RuneError
}

// shareCursive reports whether two characters are letters of one cursive script.
func shareCursive(a, b rune) bool {
	if !unicode.IsLetter(a) || !unicode.IsLetter(b) {
		return false
	}
	for _, script := range cursive {
		if unicode.Is(script, a) {
			return unicode.Is(script, b)
		}
	}
	return false
}

// varies reports whether base has a variant that the selector chooses. A digit has one
// only as a key.
func varies(base, selector, next rune) bool {
	switch {
	case selector == textual || selector == emoji:
		return unicode.Is(pictographs, base) || next == keycap && strings.ContainsRune("0123456789#*", base)
	case selector >= 0xe0100:
		return unicode.Is(unicode.Ideographic, base)
	case selector < 0xfe00:
		return unicode.Is(unicode.Mongolian, base) && unicode.IsLetter(base)
	case unicode.IsLetter(base):
		return unicode.In(base, unicode.Ideographic, unicode.Myanmar, unicode.Phags_Pa, unicode.Manichaean, unicode.Egyptian_Hieroglyphs)
	}
	return base > 0xff && unicode.Is(unicode.Sm, base) || strings.ContainsRune("\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f", base)
}

// continues reports whether a character belongs to the one before it, in the eyes of a
// reader.
func continues(before, r rune) bool {
	return unicode.Is(unicode.M, r) || joins(r) || before == zwj && unicode.Is(pictographs, r) || toned(r) && unicode.Is(pictographs, before)
}

// cursive are the scripts whose letters join, those of ArabicShaping.txt.
var cursive = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko, unicode.Mandaic, unicode.Phags_Pa, unicode.Adlam, unicode.Hanifi_Rohingya,
	unicode.Manichaean, unicode.Psalter_Pahlavi, unicode.Sogdian, unicode.Chorasmian, unicode.Old_Uyghur,
}
