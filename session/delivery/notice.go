package delivery

import (
	"cmp"
	"slices"
	"time"

	"natter/chat"
	"natter/session"
)

const (
	// waitsAfter is how long a message may be neither received nor stored before the user is told
	// that it waits.
	waitsAfter = time.Second
	// lateAfter is the same until it is reported as not delivered so far.
	lateAfter = 15 * time.Second
	// lateAgain is how often the core looks for such messages.
	lateAgain = time.Second
)

// waitsAt returns when the user must be told that a message waits. Messages that only lost members
// lack do not count: the user knows that they are lost, and is told when the messages are stored.
func (c *Core) waitsAt() Time {
	first := c.queue.next
	for _, p := range c.peers {
		if p.state != Lost {
			first = min(first, c.unstored(p))
		}
	}
	if c.mail.toldWaits || first >= c.queue.next {
		return never
	}
	return max(c.queue.get(first).said, c.link.upAt) + waitsAfter
}

// tellWaits tells that something waits, and for whom: once, until everything has arrived.
func (c *Core) tellWaits() {
	if c.closed || c.waitsAt() > c.now {
		return
	}
	c.mail.toldWaits = true
	e := session.MessageWaits{Session: c.id(), Offline: !c.link.up}
	for _, p := range c.peers {
		n := c.unstored(p)
		if p.state != Lost && n < c.queue.next && c.now-c.queue.get(n).said >= waitsAfter {
			e.For = append(e.For, p.name)
		}
	}
	sortNames(e.For)
	c.tell(e)
}

// tellStoredFor tells for whom messages up to last are stored. Members who have sent something since
// are back, and receive them.
func (c *Core) tellStoredFor(last uint64, stored map[chat.User]uint64) {
	e := session.MessageStored{Session: c.id()}
	for _, p := range c.peers {
		_, in := stored[p.user]
		if !in || p.toldStored || p.acked >= last || p.state != Lost && c.now-p.heardAt < slowAfter {
			continue
		}
		p.toldStored = true
		e.For = append(e.For, p.name)
	}
	if len(e.For) > 0 {
		sortNames(e.For)
		c.tell(e)
	}
}

// tellStored reports the messages that everybody has received or will fetch.
func (c *Core) tellStored() {
	if !c.cfg.Report || c.queue.len() == 0 || c.link.holding {
		return
	}
	upTo := c.last()
	for _, p := range c.peers {
		upTo = min(upTo, max(p.acked, p.stored))
	}
	for n := max(c.mail.told+1, c.queue.first); n <= upTo; n++ {
		c.report(n, session.Stored)
		c.mail.told = n
	}
}

// lateAt returns when to look for late messages.
func (c *Core) lateAt() Time {
	if c.queue.len() == 0 || c.link.holding {
		return never
	}
	return max(c.lateTime(c.queue.first), c.mail.lookAt)
}

func (c *Core) lateTime(n uint64) Time { return max(c.queue.get(n).said, c.link.upAt) + lateAfter }

// tellLate tells of messages that have long been neither received nor stored although we are
// connected. They are sent again all the same.
func (c *Core) tellLate() {
	if c.closed || c.lateAt() > c.now {
		return
	}
	c.mail.lookAt = c.now + lateAgain
	if !c.link.up {
		return
	}
	for n := c.queue.first; n < c.queue.next && c.lateTime(n) <= c.now; n++ {
		m := c.queue.get(n)
		if !m.late && !c.settled(n) {
			c.tell(session.NotDelivered{Session: c.id(), Text: m.text, Kept: true})
		}
		m.late = true
	}
}

// settled reports whether everybody has received a message or will fetch it.
func (c *Core) settled(n uint64) bool {
	for _, p := range c.peers {
		if max(p.acked, p.stored) < n {
			return false
		}
	}
	return true
}

func (c *Core) scheduleNotices() {
	c.sooner(c.waitsAt())
	if c.queue.len() > 0 && !c.settled(c.last()) {
		c.sooner(c.lateAt())
	}
}

func sortNames(names []chat.Name) {
	slices.SortFunc(names, func(a, b chat.Name) int { return cmp.Compare(a.User(), b.User()) })
}
