package client

import "time"

// clock is the wall clock of another computer, as it was told once. It goes on by our
// monotonic clock: what ours says may be wrong, and may be set while we run. Before it was
// told it is ours.
type clock struct {
	told  time.Time
	heard time.Time // when that was
}

// until is how long it is to a time by this clock.
func (c clock) until(t time.Time) time.Duration {
	if c.told.IsZero() {
		return time.Until(t)
	}
	return t.Sub(c.told) - time.Since(c.heard)
}

// setTheirs notes what the coordinator's clock says, and has the ticket be renewed by it.
func (c *Client) setTheirs(now time.Time) {
	c.mu.Lock()
	c.theirs = clock{now, time.Now()}
	c.mu.Unlock()
	select {
	case c.retimed <- struct{}{}:
	default:
	}
}
