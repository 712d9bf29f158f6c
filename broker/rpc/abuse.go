package rpc

import (
	"sync"
	"time"

	"natter/chat"
)

// pass lets a request through, or returns why not, and whether to say so. Clients that
// exceed a limit are reported later, with the number of their requests.
func (s *Service) pass(r *chat.Route, c Caller) (refusal *chat.Error, tell bool) {
	if refusal, tell = s.limiters().pass(r, c, s.now()); refusal != nil {
		s.excess()
	}
	return refusal, tell
}

// excess has those who were refused something reported soon.
func (s *Service) excess() {
	if s.Limited != nil && s.limiters().due() {
		time.AfterFunc(reportEvery, func() { s.background(s.reportExcess) })
	}
}

func (s *Service) reportExcess() { s.Limited(s.limiters().report(s.now())) }

// background runs something beside the requests, unless the service has stopped.
func (s *Service) background(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.wg.Go(f)
	}
}

// Refused counts the requests that were over a limit, by its class.
func (s *Service) Refused() map[string]uint64 { return s.limiters().refused() }

const (
	strikeWindow = 10 * time.Second
	maxStrikes   = 100 // requests in that time that are none
)

// strikes counts each user's requests that are none.
type strikes struct {
	mu    sync.Mutex
	users keyed[strikeCount]
}

type strikeCount struct {
	since time.Time
	n     int
}

func newStrikes() strikes {
	return strikes{users: newKeyed(strikeWindow, func(now time.Time) *strikeCount { return &strikeCount{since: now} })}
}

// note counts one and reports whether it is the one that is too many.
func (b *strikes) note(u chat.User, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.users.get(string(u), now)
	if now.Sub(r.since) >= strikeWindow {
		r.since, r.n = now, 0
	}
	r.n++
	return r.n == maxStrikes+1
}

// strike counts a user's request that is none.
func (s *Service) strike(u chat.User) {
	if u != "" && s.Abuse != nil && s.strikes.note(u, s.now()) {
		s.background(func() { s.Abuse(u) })
	}
}
