package console

import (
	"slices"
	"time"

	"natter/chat"
)

// seen is what is known of a sender in a session: which of their numbers were shown. Senders repeat
// messages that may be lost, so a number can come twice; and the sender chooses the number, so a high
// one must not hide those that follow.
type seen struct {
	high    uint64      // the greatest so far
	missing []span      // below high, in ascending order
	missed  bool        // messages were missed: numbers before the next one are not reported
	others  []chat.Name // whom the sender speaks to; nil if that is not known yet
	texts   []said      // the last ones shown, by number modulo their length, a power of two
}

// said is the text of a number.
type said struct{ n, sum uint64 }

// span is the numbers from first to last, both included.
type span struct {
	first, last uint64
	since       time.Time // when they were first missing
	told        bool      // or there is nothing to tell
}

const (
	// maxTexts is how many texts of a sender are recognised when they come again: more than may be
	// in flight to members.
	maxTexts = 4096
	// maxSpans bounds what one sender can make the console remember.
	maxSpans = 32
	// gapTime is how long a number may be missing before it is reported: senders repeat lost
	// messages, or store them.
	gapTime = 15 * time.Second
)

// mark notes n and reports whether it must be shown. For a console that was started late, numbers
// before the first one are neither missing nor refused.
func (s *seen) mark(n uint64, late bool, now time.Time) (fresh bool) {
	if n <= s.high {
		return s.fill(n)
	}
	told := s.missed || late && s.high == 0
	s.missed = false
	from := s.high + 1
	if incarnation := chat.IncarnationOf(n); incarnation <= chat.MaxIncarnation && s.high < chat.FirstOf(incarnation) { // of a member who has begun anew
		s.lack(span{from, chat.FirstOf(incarnation), now, true}) // how many messages they had sent is not known
		from = chat.FirstOf(incarnation) + 1
	}
	s.lack(span{from, n - 1, now, told})
	s.high = n
	return true
}

// knows reports whether this very text was shown under a number a short while ago.
func (s *seen) knows(n, sum uint64) bool {
	return len(s.texts) > 0 && s.texts[n%uint64(len(s.texts))] == said{n, sum}
}

// remember notes that a text was shown under a number, in the place of an older one.
func (s *seen) remember(n, sum uint64) {
	if s.texts == nil {
		s.texts = make([]said, 4)
	}
	for at := s.texts[n%uint64(len(s.texts))]; at.n != 0 && at.n != n && len(s.texts) < maxTexts; at = s.texts[n%uint64(len(s.texts))] {
		more := make([]said, 2*len(s.texts))
		for _, t := range s.texts {
			more[t.n%uint64(len(more))] = t
		}
		s.texts = more
	}
	s.texts[n%uint64(len(s.texts))] = said{n, sum}
}

// lack notes missing numbers.
func (s *seen) lack(m span) {
	if m.first <= m.last {
		s.missing = append(s.missing, m)
		s.bound()
	}
}

// fill removes n from the missing numbers; false if it was not missing.
func (s *seen) fill(n uint64) bool {
	for i, m := range s.missing {
		if n < m.first || n > m.last {
			continue
		}
		var rest []span
		if m.first < n {
			rest = append(rest, span{m.first, n - 1, m.since, m.told})
		}
		if n < m.last {
			rest = append(rest, span{n + 1, m.last, m.since, m.told})
		}
		s.missing = slices.Replace(s.missing, i, i+1, rest...)
		s.bound()
		return true
	}
	return false
}

// bound joins the two oldest spans when there are too many. Messages between them may then be shown
// twice, which is better than not at all, and missing ones there are not reported.
func (s *seen) bound() {
	if len(s.missing) > maxSpans {
		s.missing = slices.Replace(s.missing, 0, 2, span{s.missing[0].first, s.missing[1].last, s.missing[0].since, true})
	}
}

// lacks reports whether missing numbers must be reported.
func (s *seen) lacks() bool {
	return slices.ContainsFunc(s.missing, func(m span) bool { return !m.told })
}

// overdue returns the spans that have been missing for long, or all; each is reported once.
func (s *seen) overdue(now time.Time, all bool) []span {
	var due []span
	for i, m := range s.missing {
		if !m.told && (all || now.Sub(m.since) >= gapTime) {
			s.missing[i].told = true
			due = append(due, m)
		}
	}
	return due
}

// doubt stops reports about numbers that are missing, now and before the next number.
func (s *seen) doubt() {
	s.missed = true
	for i := range s.missing {
		s.missing[i].told = true
	}
}
