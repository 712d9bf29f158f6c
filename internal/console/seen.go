package console

import (
	"slices"

	"natter/chat"
)

// seen remembers which of a sender's numbers were shown. Senders send again what
// may be lost, so a number can come twice; and a number is whatever the sender
// says, so a great one must not make the console blind to those that follow.
type seen struct {
	high    uint64 // the greatest so far
	missing []span // below high, in ascending order
}

// span is the numbers from first to last, both included.
type span struct{ first, last uint64 }

// maxSpans bounds what one sender can make the console remember.
const maxSpans = 32

// mark notes n and tells whether it is to be shown, and how many numbers have
// been jumped over to get there. Of the first number of a console that came late
// nothing can be said: what lies before is neither reported nor refused.
func (s *seen) mark(n uint64, late bool) (fresh bool, skipped uint64) {
	if n <= s.high {
		return s.fill(n), 0
	}
	if n > s.high+1 {
		if s.high > 0 || !late {
			skipped = n - s.high - 1
		}
		if run := chat.RunOf(n); run <= chat.MaxRun && s.high < chat.FirstOf(run) {
			skipped = n - chat.FirstOf(run) - 1 // of a member who has begun anew
		}
		s.missing = append(s.missing, span{s.high + 1, n - 1})
		s.bound()
	}
	s.high = n
	return true, skipped
}

// fill takes n out of what is missing; false if it was not.
func (s *seen) fill(n uint64) bool {
	for i, m := range s.missing {
		if n < m.first || n > m.last {
			continue
		}
		var rest []span
		if m.first < n {
			rest = append(rest, span{m.first, n - 1})
		}
		if n < m.last {
			rest = append(rest, span{n + 1, m.last})
		}
		s.missing = slices.Replace(s.missing, i, i+1, rest...)
		s.bound()
		return true
	}
	return false
}

// bound joins the two oldest spans when there are too many. What lies between
// them may then be shown twice, which is better than not at all.
func (s *seen) bound() {
	if len(s.missing) > maxSpans {
		s.missing = slices.Replace(s.missing, 0, 2, span{s.missing[0].first, s.missing[1].last})
	}
}
