package client

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"natter/broker"
	"natter/chat"
	"natter/session"
)

// directs are the direct messages under way and what has been heard.
type directs struct {
	line    sync.Mutex // messages go out in the order of their numbers: who gets a later one first takes the others for old
	run     string
	n       uint64
	waiting map[directID]waitingDirect
	heard   map[chat.User]heardDirect // the last of each sender
	wrote   map[chat.User]bool        // whom the user wrote to: they may answer even a hidden user

	pace   *rate.Limiter   // of what is sent; nil: no limit
	others *broker.Buckets // of what is taken from each sender
	told   time.Time       // that somebody is too fast
}

type directID struct {
	to chat.User
	n  uint64
}

// waitingDirect is a direct message that nobody has acknowledged yet.
type waitingDirect struct {
	to      chat.Name
	text    string
	arrived chan struct{}
}

// heardDirect is the number of a direct message.
type heardDirect struct {
	run string
	n   uint64
}

// newDirects draws a name for its numbers, so that a client that starts again is not taken
// for one that repeats itself. They do not count from the time: it may have been set back.
func newDirects() directs {
	return directs{
		run:     rand.Text(),
		waiting: map[directID]waitingDirect{},
		heard:   map[chat.User]heardDirect{},
		wrote:   map[chat.User]bool{},
	}
}

// limit keeps to a rate a second, and lets others have half as much again: what was sent
// in time may be bunched on the way.
func (d *directs) limit(perSecond int) {
	d.others = broker.NewBuckets(1.5 * float64(perSecond))
	if d.pace = nil; perSecond > 0 {
		d.pace = rate.NewLimiter(rate.Limit(perSecond), chat.BurstFactor*perSecond)
	}
}

// paceDirect waits until a direct message may be sent. Code Rate if that takes too long.
func (c *Client) paceDirect(ctx context.Context) error {
	c.mu.Lock()
	pace := c.directs.pace
	c.mu.Unlock()
	if pace == nil {
		return nil
	}
	now := time.Now()
	r := pace.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	if wait <= chat.DirectTimeout {
		select {
		case <-time.After(wait):
			return nil
		case <-ctx.Done():
		}
	}
	r.CancelAt(now)
	return broker.TooFast("direct messages", wait)
}

// tooFast tells whether somebody sends more direct messages than are taken.
func (d *directs) tooFast(from chat.User, now time.Time) (over, tell bool) {
	if d.others.Take(string(from), now) == 0 {
		return false, false
	}
	if tell = now.Sub(d.told) >= time.Minute; tell {
		d.told = now
	}
	return true, tell
}

// Direct sends a direct message and waits until it has arrived. Code Unavailable.
func (c *Client) Direct(ctx context.Context, name, text string) error {
	to, err := chat.ParseName(name)
	switch {
	case err != nil:
		return chat.Errorf(chat.Unavailable, "%s cannot be reached.", chat.CleanLine(name))
	case to.User() == c.me.User():
		return chat.Errorf(chat.Self, "That is you.")
	case len(text) > c.rules.MaxText:
		return session.TooLong(len(text), c.rules.MaxText)
	}
	if err := c.paceDirect(ctx); err != nil {
		return err
	}
	nc := c.conn()
	if nc == nil || !nc.IsConnected() {
		return chat.Errorf(chat.NotConnected, "Not connected to the server.")
	}
	arrived := make(chan struct{})
	c.directs.line.Lock()
	c.mu.Lock()
	c.directs.n++
	id := directID{to.User(), c.directs.n}
	c.directs.waiting[id] = waitingDirect{to, text, arrived}
	c.directs.wrote[id.to] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		if w, silent := c.directs.waiting[id]; silent {
			c.keepDirect(w, true)
		}
		delete(c.directs.waiting, id)
		c.mu.Unlock()
	}()
	err = broker.Tell(nc, chat.Direct, chat.Address{To: id.to, User: c.me.User()}, chat.DirectMessage{N: id.n, Run: c.directs.run, Name: c.me, Text: text})
	c.directs.line.Unlock()
	if err != nil {
		return chat.Errorf(chat.NotConnected, "Not connected to the server.")
	}
	select {
	case <-arrived:
		return nil
	case <-time.After(chat.DirectTimeout):
	case <-ctx.Done():
	}
	return chat.Errorf(chat.Unavailable, "%s cannot be reached.", to)
}

// direct takes a direct message or an acknowledgement. Who hides does not answer,
// except to those they wrote to themselves.
func (c *Client) direct(from chat.User, d chat.DirectMessage) {
	c.mu.Lock()
	if d.Ack > 0 {
		if w, ok := c.directs.waiting[directID{from, d.Ack}]; ok {
			c.keepDirect(w, false)
			close(w.arrived)
			delete(c.directs.waiting, directID{from, d.Ack})
		}
		c.mu.Unlock()
		return
	}
	welcome := c.presence == chat.Visible || c.directs.wrote[from]
	last := c.directs.heard[from]
	fresh := d.Run != last.run || d.N > last.n
	if c.blocked(from) {
		welcome = false
	}
	if d.N == 0 || len(d.Run) > chat.MaxTerminal || d.Text == "" || len(d.Text) > c.rules.MaxText || !welcome {
		c.mu.Unlock()
		return
	}
	if over, tell := c.directs.tooFast(from, time.Now()); over {
		c.mu.Unlock()
		if tell {
			c.events.push(DirectTooFast{From: chat.Name(from)})
		}
		return
	}
	if fresh {
		c.directs.heard[from] = heardDirect{d.Run, d.N}
	}
	nc := c.nc
	c.mu.Unlock()
	if fresh {
		name := chat.Name(from)
		if n, err := chat.ParseName(string(d.Name)); err == nil && n.User() == from {
			name = n // not only folded to it: U+212A is a k in lower case
		}
		c.events.push(DirectText{From: name, Text: d.Text})
	}
	if err := broker.Tell(nc, chat.Direct, chat.Address{To: from, User: c.me.User()}, chat.DirectMessage{Ack: d.N}); err != nil {
		c.log.Debug("acknowledge a direct message", "err", err)
	}
}
