package delivery

import (
	"cmp"
	"slices"
	"time"

	"natter/chat"
	"natter/session"
)

const (
	// waitsAfter is how long a message may be neither taken nor stored before the user is told
	// that it waits.
	waitsAfter = time.Second
	// lateAfter is how long it may be so before it is told as not delivered so far.
	lateAfter = 15 * time.Second
	// lateAgain is how often it is looked for such messages.
	lateAgain = time.Second
)

// waitsAt is when the user is to be told that something waits. What only those lack who are
// lost is no news: that they are was told, and that it is stored will be.
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

// tellStoredFor tells for whom messages up to last are stored. Who was heard a moment ago is
// back, and gets them.
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

// tellStored tells of which messages everybody has them or will get them from the store.
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

// lateAt is when to look for messages that are late.
func (c *Core) lateAt() Time {
	if c.queue.len() == 0 || c.link.holding {
		return never
	}
	return max(c.lateTime(c.queue.first), c.mail.lookAt)
}

func (c *Core) lateTime(n uint64) Time { return max(c.queue.get(n).said, c.link.upAt) + lateAfter }

// tellLate tells what has been neither taken nor stored for long although we are connected.
// It is tried again all the same.
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

// settled reports whether everybody has a message or will get it from the store.
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
