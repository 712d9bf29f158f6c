package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/session"
)

// directs are the direct messages under way and what has been heard.
type directs struct {
	incarnation string
	n           uint64
	waiting     map[directID]*waitingDirect
	unsure      []unsureDirect            // also when they cannot be kept in a file
	asked       *broker.Recent[directKey] // who was told that they may send, and what
	heard       *broker.Recent[directKey] // what was shown
	wrote       map[chat.User]bool        // whom the user wrote to: they may answer even a hidden user

	pace   *rate.Limiter // of what is sent; nil: no limit
	others *rpc.Buckets  // of what is taken from each sender
	told   time.Time     // that somebody is too fast
}

// directKey is a direct message as its receiver knows it.
type directKey struct {
	from        chat.User
	incarnation string
	n           uint64
}

// directID is a direct message as its sender knows it.
type directID struct {
	to          chat.User
	incarnation string
	n           uint64
}

// waitingDirect is a direct message that nobody has acknowledged yet.
type waitingDirect struct {
	here, arrived chan struct{} // closed when the receiver has said so
}

// How many direct messages a receiver remembers: enough for those of several senders who
// are as fast as they may be, for as long as one is sent again.
const (
	maxAsked = 1 << 10
	maxHeard = 1 << 14
)

// newDirects draws a name for its numbers, so that a client that starts again is not taken
// for one that repeats itself. They do not count from the time: it may have been set back.
func newDirects() directs {
	return directs{
		incarnation: rand.Text(),
		waiting:     map[directID]*waitingDirect{},
		asked:       broker.NewRecent[directKey](maxAsked),
		heard:       broker.NewRecent[directKey](maxHeard),
		wrote:       map[chat.User]bool{},
	}
}

// limit keeps to a rate a second, and lets others have half as much again: what was sent
// in time may be bunched on the way.
func (d *directs) limit(perSecond int) {
	d.others = rpc.NewBuckets(1.5 * float64(perSecond))
	if d.pace = nil; perSecond > 0 {
		d.pace = rate.NewLimiter(rate.Limit(perSecond), chat.BurstFactor*perSecond)
	}
}

// paceDirect waits until a direct message may be sent: long ones count for several. Code
// Rate if that takes too long.
func (c *Client) paceDirect(ctx context.Context, text string) error {
	c.mu.Lock()
	pace := c.directs.pace
	c.mu.Unlock()
	if pace == nil {
		return nil
	}
	now := time.Now()
	wire, _ := json.Marshal(text) // a text always can be
	r := pace.ReserveN(now, min(chat.DirectCost(len(wire)), pace.Burst()))
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
	return rpc.TooFast("direct messages", wait)
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

// maxText is the longest text that the user's connection carries.
func (c *Client) maxText() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ticket.MaxText(c.rules.MaxText)
}

// Direct sends a direct message and waits until it has arrived. Code Unavailable if the
// receiver does not answer: then the text was not sent. Code Unknown if they have answered,
// but nobody knows whether they got the text: the same one, sent again, is shown once.
func (c *Client) Direct(ctx context.Context, name, text string) error {
	to, err := chat.ParseName(name)
	switch {
	case err != nil:
		return unreachable(chat.CleanLine(name))
	case to.User() == c.me.User():
		return chat.Errorf(chat.Self, "That is you.")
	}
	if most := c.maxText(); len(text) > most {
		return session.TooLong(len(text), most)
	}
	if err := c.paceDirect(ctx, text); err != nil {
		return err
	}
	sum := textSum(text)
	u, again := c.findUnsure(to.User(), sum)
	if !again {
		u = unsureDirect{Server: c.Server(), To: to.User(), Text: sum, Incarnation: c.directs.incarnation, N: c.nextDirect()}
	}
	if c.side != nil { // else the user's terminals, while the user hides, let no answer through
		c.mu.Lock()
		again := c.directs.wrote[u.To]
		c.mu.Unlock()
		if !again {
			_ = c.tellDirect(c.me.User(), chat.DirectMessage{Incarnation: c.directs.incarnation, Wrote: u.To}) // deliver tells when there is no connection
		}
	}
	w, done := c.awaitDirect(directID{u.To, u.Incarnation, u.N})
	defer done()
	sent, err := c.deliver(ctx, to, text, u, w)
	if err != nil && (sent || again) {
		u.At = time.Now()
		err = notKnown(to, c.keepUnsure(u))
	} else if err == nil && again {
		c.dropUnsure(u)
	}
	c.keepDirect(to, text, err)
	return err
}

func unreachable(name string) error {
	return chat.Errorf(chat.Unavailable, "%s cannot be reached.", name)
}

// notKnown says that a message may have arrived, and how to be sure if that is kept.
func notKnown(to chat.Name, kept bool) error {
	again := ""
	if kept {
		again = fmt.Sprintf(" Send the same text again within %d minutes: it is shown once.", int(chat.DirectRepeat.Minutes()))
	}
	return chat.Errorf(chat.Unknown, "It is not known whether %s has got the message.%s", to, again)
}

func (c *Client) nextDirect() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.directs.n++
	return c.directs.n
}

// awaitDirect begins to wait for what the receiver of a message says, until done is called.
func (c *Client) awaitDirect(id directID) (w *waitingDirect, done func()) {
	w = &waitingDirect{make(chan struct{}), make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.directs.waiting[id] = w
	c.directs.wrote[id.to] = true
	return w, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.directs.waiting[id] == w {
			delete(c.directs.waiting, id)
		}
	}
}

// deliver sends a message to a receiver who says that they take it. Without an error it has
// arrived; with one, sent says whether the text has left.
func (c *Client) deliver(ctx context.Context, to chat.Name, text string, u unsureDirect, w *waitingDirect) (sent bool, err error) {
	if err := c.tellDirect(u.To, chat.DirectMessage{Incarnation: u.Incarnation, Ask: u.N}); err != nil {
		return false, errNotConnected
	}
	late := time.NewTimer(chat.DirectTimeout)
	defer late.Stop()
	select {
	case <-w.arrived:
		return true, nil // the earlier try
	case <-w.here:
	case <-late.C:
		return false, unreachable(string(to))
	case <-ctx.Done():
		return false, chat.Errorf(chat.Timeout, "%s has not answered yet; nothing was sent.", to)
	}
	err = c.tellDirect(u.To, chat.DirectMessage{Incarnation: u.Incarnation, N: u.N, Name: c.me, Text: text})
	if errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, errNotConnected) {
		return false, errNotConnected
	}
	late.Reset(chat.DirectTimeout)
	select {
	case <-w.arrived:
		return true, nil
	case <-late.C:
	case <-ctx.Done():
	}
	return true, errSilent
}

// errSilent is a receiver who does not acknowledge a text.
var errSilent = errors.New("no acknowledgement")

// tellDirect publishes one step of a direct message.
func (c *Client) tellDirect(to chat.User, d chat.DirectMessage) error {
	nc := c.conn()
	if nc == nil {
		return errNotConnected
	}
	return rpc.Tell(nc, chat.Direct, chat.Address{To: to, User: c.me.User()}, d)
}

// direct takes one step of a direct message.
func (c *Client) direct(from chat.User, d chat.DirectMessage) {
	if len(d.Incarnation) > chat.MaxTerminal {
		return
	}
	switch {
	case d.Here > 0:
		c.answered(directID{from, d.Incarnation, d.Here}, false)
	case d.Ack > 0:
		c.answered(directID{from, d.Incarnation, d.Ack}, true)
	case d.Wrote != "":
		if n, err := chat.ParseName(string(d.Wrote)); err == nil && from == c.me.User() {
			c.mu.Lock()
			c.directs.wrote[n.User()] = true
			c.mu.Unlock()
		}
	case c.side != nil:
		if d.N > 0 {
			c.heardBeside(from, d)
		}
	case d.Ask > 0:
		c.answerDirect(directKey{from, d.Incarnation, d.Ask})
	case d.N > 0:
		c.takeDirect(directKey{from, d.Incarnation, d.N}, d)
	}
}

// answered notes what the receiver of one's own message says.
func (c *Client) answered(id directID, arrived bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.directs.waiting[id]
	switch {
	case w == nil:
	case arrived:
		closeOnce(w.arrived)
	default:
		closeOnce(w.here)
	}
}

// closeOnce closes a channel of which c.mu is held.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// answerDirect answers who asks whether they may send: the text may come, or has come. Who
// hides does not answer, except to those they wrote to themselves.
func (c *Client) answerDirect(k directKey) {
	answer := chat.DirectMessage{Incarnation: k.incarnation, Here: k.n}
	c.mu.Lock()
	ok := c.welcome(k.from)
	switch {
	case ok && c.directs.heard.Has(k):
		answer = chat.DirectMessage{Incarnation: k.incarnation, Ack: k.n}
	case ok:
		c.directs.asked.Add(k)
	}
	c.mu.Unlock()
	if ok && c.inTime(k.from) {
		c.replyDirect(k.from, answer)
	}
}

// takeDirect shows a message that has not been shown yet, and acknowledges it.
func (c *Client) takeDirect(k directKey, d chat.DirectMessage) {
	c.mu.Lock()
	ok := c.welcome(k.from) && d.Text != "" && len(d.Text) <= c.rules.MaxText
	asked := c.directs.asked.Has(k)
	c.mu.Unlock()
	if !ok || c.events.crowded() || !asked && !c.inTime(k.from) {
		return
	}
	c.mu.Lock()
	fresh := c.directs.heard.Add(k)
	c.mu.Unlock()
	if fresh {
		c.events.push(DirectText{From: nameOf(k.from, d.Name), Text: d.Text})
	}
	c.replyDirect(k.from, chat.DirectMessage{Incarnation: k.incarnation, Ack: k.n})
}

// nameOf is how a sender writes their name.
func nameOf(from chat.User, says chat.Name) chat.Name {
	if n, err := chat.ParseName(string(says)); err == nil && n.User() == from {
		return n // not only folded to it: U+212A is a k in lower case
	}
	return chat.Name(from)
}

// welcome reports whether the user takes messages of somebody. c.mu is held.
func (c *Client) welcome(from chat.User) bool {
	return (c.presence == chat.Visible || c.directs.wrote[from]) && !c.blocked(from) && !c.signedOut
}

// inTime reports whether somebody keeps to the rate at which messages are taken.
func (c *Client) inTime(from chat.User) bool {
	c.mu.Lock()
	over, tell := c.directs.tooFast(from, time.Now())
	c.mu.Unlock()
	if tell {
		c.events.push(DirectTooFast{From: chat.Name(from)})
	}
	return !over
}

func (c *Client) replyDirect(to chat.User, d chat.DirectMessage) {
	if err := c.tellDirect(to, d); err != nil {
		c.log.Debug("answer a direct message", "err", err)
	}
}
