package transcript

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"natter/chat"
)

// Words are what a search looks for, folded.
type Words []string

// NewWords folds the words of a query. Those of which nothing is left are dropped.
func NewWords(query []string) Words {
	var w Words
	for _, q := range query {
		if q = Fold(q); q != "" {
			w = append(w, q)
		}
	}
	return w
}

// In reports whether a text has all the words, in whatever form it was written. No
// words are in no text.
func (w Words) In(text string) bool {
	text = Fold(text)
	return len(w) > 0 && !slices.ContainsFunc(w, func(q string) bool { return !strings.Contains(text, q) })
}

// Fold returns the form in which texts are compared: all written forms of one text have
// the same. It is close to NFKC_Casefold (UAX #31): clean as on the screen, with case
// and compatibility variants, joiners and variation selectors taken away, and each run
// of white space one blank.
func Fold(s string) string {
	s = chat.CleanAll(s)
	if isASCII(s) {
		return oneBlank(strings.ToLower(s))
	}
	s = strings.Map(unjoined, s)
	for range 2 { // a folded character may have another form again
		s = strings.ToUpper(norm.NFKD.String(s)) // cases leaves Cherokee as it is
		s = norm.NFKC.String(cases.Fold().String(s))
	}
	return oneBlank(s)
}

func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func unjoined(r rune) rune {
	if unicode.In(r, unicode.Join_Control, unicode.Variation_Selector) {
		return -1
	}
	return r
}
