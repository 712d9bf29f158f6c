package client

import (
	"sync"
	"time"
)

const (
	beatEvery  = time.Second
	skipped    = 3 * time.Second  // beats that are so far apart show that the program has stood still
	noticedFor = 15 * time.Second // a connection that was lost meanwhile is noticed within this time
)

// pulse notices that the program was suspended, because the computer slept or the process was stopped:
// a connection that is found to be lost afterwards may have been lost all that time. Its times are
// of a clock that goes on during sleep.
type pulse struct {
	mu         sync.Mutex
	last       time.Time
	from, woke time.Time // the last time that it was suspended
}

// beat must be called every beatEvery.
func (p *pulse) beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.take(now)
}

func (p *pulse) take(now time.Time) {
	if !p.last.IsZero() && now.Sub(p.last) >= skipped {
		p.from, p.woke = p.last, now
	}
	p.last = now
}

// lostSince returns since when a connection that is found to be lost now may have been lost.
func (p *pulse) lostSince(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.take(now)
	if !p.woke.IsZero() && now.Sub(p.woke) < noticedFor {
		return p.from
	}
	return now
}

// beats calls beat until the client ends.
func (l *link) beats() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.pulse.beat(awake())
		case <-l.ctx.Done():
			return
		}
	}
}
