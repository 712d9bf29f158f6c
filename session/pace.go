package session

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"natter/chat"
)

const (
	// noticeable is how much waiting the user is told of.
	noticeable = time.Second
	// bearable is how much faster than the rate another member may be: who keeps to it may
	// still be bunched on the way.
	bearable = 1.5
	// tellAgain is how often the user is told that somebody is faster than that.
	tellAgain = time.Minute
)

// limiter keeps to a rate per second; nil for 0.
func limiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(chat.BurstFactor*perSecond))
}

// keepPace waits until the member may say something again. The first time that this can
// be noticed, it is told.
func (t *Talk) keepPace(ctx context.Context) error {
	if t.pace == nil {
		return nil
	}
	now := time.Now()
	r := t.pace.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	t.mu.Lock()
	before := t.paced
	t.paced += wait
	tell := before < noticeable && t.paced >= noticeable
	t.mu.Unlock()
	if tell {
		t.Tell(Slowed{Session: t.id, Rate: t.Rules.MessageRate})
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		r.Cancel()
		return chat.Errorf(chat.Rate, "You write faster than %d messages a second; this line was not kept.", t.Rules.MessageRate)
	}
}

// tooFast tells whether another member is too fast for the next of their messages to be
// taken. It comes again, as long as it is not acknowledged, and is not asked for earlier.
func (t *Talk) tooFast(p *peer) bool {
	if t.pace == nil {
		return false
	}
	if p.pace == nil {
		p.pace = limiter(bearable * float64(t.Rules.MessageRate))
	}
	now := time.Now()
	if p.pace.AllowN(now, 1) {
		return false
	}
	p.missed, p.asked = p.have+1, now.Add(resendAfter)
	if now.Sub(p.fast) >= tellAgain {
		p.fast = now
		t.Tell(TooFast{Session: t.id, From: p.name})
	}
	return true
}
