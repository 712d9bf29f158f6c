package account

import "time"

// FarOff is how far a clock may be off before it is doubted: up to that, nothing that lasts for
// days ends too early.
const FarOff = 24 * time.Hour

// Known is the newest time that was stored. After a clock that was far ahead has been found to be
// right, what would have ended between From and To ends at Until: users have a day to come back.
type Known struct {
	Newest time.Time `json:"newest"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Until  time.Time `json:"until,omitzero"`
}

// Reading is the time of a clock, and how long the process had run by then.
type Reading struct {
	Wall time.Time
	Up   time.Duration
}

// Clock judges the readings of a clock by what is known. Names lapse, and bans, mutes and passes
// end, by Settled, which no single reading can move forward by days; what begins has the time of
// Latest, which no reading can move back.
type Clock struct {
	known    Known
	believed Reading  // the last reading that was believed
	doubted  *Reading // the first one that was not; nil: the last one was
	start    bool     // doubted since the start, so that only the operator can say that it is right
}

// NewClock makes a clock from the first reading after a start. The reading is believed if nothing
// is known, if it is near, or if the operator says that it is right.
func NewClock(k Known, first Reading, right bool) *Clock {
	c := &Clock{known: k, believed: Reading{k.Newest, first.Up}, start: true}
	if k.Newest.IsZero() {
		c.believe(first)
	}
	c.Look(first)
	if c.doubted != nil && right {
		c.vouch(first)
	}
	return c
}

// Look judges a reading. A clock that is far ahead is believed after a day, unless it was far ahead
// at the start.
func (c *Clock) Look(r Reading) {
	ahead := r.Wall.Sub(c.expected(r))
	switch {
	case near(ahead), near(r.Wall.Sub(c.known.Newest)):
		c.believe(r)
	case c.doubted == nil:
		c.doubted = &r
	case ahead > 0 && !c.start && r.Up-c.doubted.Up >= FarOff:
		c.believe(r)
	}
}

func near(d time.Duration) bool { return d.Abs() <= FarOff }

// expected returns what the clock should say.
func (c *Clock) expected(r Reading) time.Time { return c.believed.Wall.Add(r.Up - c.believed.Up) }

func (c *Clock) believe(r Reading) {
	c.believed, c.doubted, c.start = r, nil, false
	c.known.Newest = later(c.known.Newest, r.Wall)
}

// vouch accepts a reading because the operator says that it is right.
func (c *Clock) vouch(r Reading) {
	if from := c.Settled(r); r.Wall.After(from) {
		c.known = Known{From: from, To: r.Wall, Until: r.Wall.Add(FarOff)}
	}
	c.known.Newest = r.Wall
	c.believe(r)
}

// Adopt accepts what is stored by now, perhaps by another replica.
func (c *Clock) Adopt(k Known) { c.known = k }

// Known returns what is to be stored. It is false while the clock is doubted.
func (c *Clock) Known() (Known, bool) { return c.known, c.doubted == nil }

// Doubted returns the first reading that is not believed, and what was expected then; nil if the
// last reading is believed. start reports that this has been so since the start.
func (c *Clock) Doubted() (first *Reading, expected time.Time, start bool) {
	if c.doubted == nil {
		return nil, time.Time{}, false
	}
	return c.doubted, c.expected(*c.doubted), c.start
}

// Settled is the time by which something has ended.
func (c *Clock) Settled(r Reading) time.Time {
	t := r.Wall
	if c.doubted != nil {
		t = c.expected(r)
	}
	if t.Before(c.known.Until) {
		t = t.Add(c.known.From.Sub(c.known.To))
	}
	return t
}

// Latest is the time from which something begins.
func (c *Clock) Latest(r Reading) time.Time {
	t := later(r.Wall, c.known.Newest)
	if c.doubted != nil {
		t = later(t, c.expected(r))
	}
	return t
}

// Merge returns what is stored after a replica has seen a newer time, or the operator has said that
// its clock is right.
func (k Known) Merge(seen Known, right bool) Known {
	if right {
		return seen
	}
	if seen.Newest.After(k.Newest) {
		k.Newest = seen.Newest
	}
	if seen.Until.After(k.Until) {
		k.From, k.To, k.Until = seen.From, seen.To, seen.Until
	}
	return k
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
