package rpc

import (
	"sync"
	"time"

	"natter/chat"
)

// pass lets a request through, or returns why not, and whether to say so. Whoever asks
// too much is told of in a while, when it is known how much it was.
func (s *Service) pass(r *chat.Route, c Caller) (refusal *chat.Error, tell bool) {
	if refusal, tell = s.gates().pass(r, c, s.now()); refusal != nil {
		s.excess()
	}
	return refusal, tell
}

// excess has those who were refused something reported soon.
func (s *Service) excess() {
	if s.Limited != nil && s.gates().due() {
		time.AfterFunc(reportEvery, func() { s.aside(s.reportExcess) })
	}
}

func (s *Service) reportExcess() { s.Limited(s.gates().report(s.now())) }

// aside runs something beside the requests, unless the service has stopped.
func (s *Service) aside(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.wg.Go(f)
	}
}

// Refused counts the requests that were over a limit, by its class.
func (s *Service) Refused() map[string]uint64 { return s.gates().refused() }

const (
	badFor  = 10 * time.Second
	mostBad = 100 // requests in that time that are none
)

// badness counts each user's requests that are none.
type badness struct {
	mu    sync.Mutex
	users keyed[badRequests]
}

type badRequests struct {
	since time.Time
	n     int
}

func newBadness() badness {
	return badness{users: newKeyed(badFor, func(now time.Time) *badRequests { return &badRequests{since: now} })}
}

// note counts one and tells whether it is the one that is too many.
func (b *badness) note(u chat.User, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.users.get(string(u), now)
	if now.Sub(r.since) >= badFor {
		r.since, r.n = now, 0
	}
	r.n++
	return r.n == mostBad+1
}

// suspect counts a user's request that is none.
func (s *Service) suspect(u chat.User) {
	if u != "" && s.Abuse != nil && s.bad.note(u, s.now()) {
		s.aside(func() { s.Abuse(u) })
	}
}
