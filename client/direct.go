package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/session"
)

// directs are the user's direct messages: those being sent, and those received.
type directs struct {
	*owner
	link        *link
	login       *login
	blocks      *blocks
	incarnation string

	mu          sync.Mutex
	n           uint64
	waiting     map[directID]*waitingDirect
	unconfirmed []unconfirmedDirect       // also when they cannot be kept in a file
	asked       *broker.Recent[directKey] // who was told that they may send, and what
	heard       *broker.Recent[directKey] // what was shown
	wrote       map[chat.User]bool        // whom the user wrote to: they may answer even a hidden user
	listens     bool                      // beside the user's terminals, to what they hear

	limiter *rate.Limiter // of sent messages; nil: no limit
	others  *rpc.Buckets  // of what is taken from each sender
	told    time.Time     // that somebody is too fast
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

// waitingDirect is a direct message that was not acknowledged yet.
type waitingDirect struct {
	here, arrived chan struct{} // closed when the receiver has said so
}

// How many direct messages a receiver remembers: enough for several senders at the full rate, for as
// long as a message may be repeated.
const (
	maxAsked = 1 << 10
	maxHeard = 1 << 14
)

// newDirects draws the incarnation, so that messages of a client that starts again are not taken for
// repetitions. The numbers do not come from the clock, which may be set back.
func newDirects(o *owner, l *link, g *login, b *blocks) *directs {
	return &directs{
		owner: o, link: l, login: g, blocks: b,
		incarnation: rand.Text(),
		waiting:     map[directID]*waitingDirect{},
		asked:       broker.NewRecent[directKey](maxAsked),
		heard:       broker.NewRecent[directKey](maxHeard),
		wrote:       map[chat.User]bool{},
	}
}

// limit sets the rate for the user's messages, and 1.5 times the rate for those of others: messages
// that were sent at the rate may arrive together.
func (d *directs) limit(perSecond int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others = rpc.NewBuckets(1.5 * float64(perSecond))
	if d.limiter = nil; perSecond > 0 {
		d.limiter = rate.NewLimiter(rate.Limit(perSecond), chat.BurstFactor*perSecond)
	}
}

// listen sets whether texts are shown on a connection beside the user's terminals.
func (d *directs) listen(listens bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listens = listens
}

// pace waits until a direct message may be sent: long ones count for several. Code Rate if
// that takes too long.
func (d *directs) pace(ctx context.Context, text string) error {
	d.mu.Lock()
	limiter := d.limiter
	d.mu.Unlock()
	if limiter == nil {
		return nil
	}
	now := time.Now()
	wire, _ := json.Marshal(text) // cannot fail for a text
	r := limiter.ReserveN(now, min(chat.DirectCost(len(wire)), limiter.Burst()))
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

// tooFast reports whether a user sends more direct messages than are accepted, and whether the user
// must be told.
func (d *directs) tooFast(from chat.User, now time.Time) (over, tell bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.others.Take(string(from), now) == 0 {
		return false, false
	}
	if tell = now.Sub(d.told) >= time.Minute; tell {
		d.told = now
	}
	return true, tell
}

// Direct sends a direct message to a user by name and waits until it has arrived, at most a few
// seconds. Code Unavailable if the receiver does not answer: then the text was not sent. Code
// Unknown if they have answered, but nobody knows whether they got the text: the same one, sent
// again within ten minutes, is shown once. Codes Arguments if it is empty, TooLong beyond
// Rules.MaxText bytes, Self, Rate.
func (c *Client) Direct(ctx context.Context, name, text string) error {
	return c.directs.send(ctx, name, text)
}

func (d *directs) send(ctx context.Context, name, text string) error {
	to, err := chat.ParseName(name)
	switch {
	case err != nil:
		return unreachable(chat.CleanLine(name))
	case d.link.conn() == nil:
		return errNotRegistered
	case to.User() == d.me.User():
		return chat.Errorf(chat.Self, "That is you.")
	case chat.Blank(text):
		return chat.Errorf(chat.Arguments, "The message is empty; nothing was sent.")
	}
	if most := d.link.held().MaxText(d.login.limits().MaxText); len(text) > most {
		return session.TooLong(len(text), most)
	}
	if err := d.pace(ctx, text); err != nil {
		return err
	}
	sum := textSum(text)
	u, again := d.findUnconfirmed(to.User(), sum)
	if !again {
		u = unconfirmedDirect{Server: d.server(), To: to.User(), Text: sum, Incarnation: d.incarnation, N: d.next()}
	}
	if d.side != nil && !d.wroteTo(u.To) { // else the user's terminals, while the user hides, let no answer through
		_ = d.tell(d.me.User(), chat.DirectMessage{Incarnation: d.incarnation, Wrote: u.To}) // deliver tells when there is no connection
	}
	w, done := d.await(directID{u.To, u.Incarnation, u.N})
	defer done()
	sent, err := d.deliver(ctx, to, text, u, w)
	if err != nil && (sent || again) {
		u.At = time.Now()
		err = notKnown(to, d.keepUnconfirmed(u))
	} else if err == nil && again {
		d.dropUnconfirmed(u)
	}
	d.keep(to, text, err)
	return err
}

func unreachable(name string) error {
	return chat.Errorf(chat.Unavailable, "%s cannot be reached.", name)
}

// notKnown says that a message may have arrived, and what to do.
func notKnown(to chat.Name, kept bool) error {
	again := ""
	if kept {
		again = fmt.Sprintf(" Send the same text again within %d minutes: it is shown once.", int(chat.DirectRepeat.Minutes()))
	}
	return chat.Errorf(chat.Unknown, "It is not known whether %s has got the message.%s", to, again)
}

func (d *directs) next() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	return d.n
}

// wroteTo reports whether the user has written to another one.
func (d *directs) wroteTo(u chat.User) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wrote[u]
}

// await begins to wait for the answers to a message, until done is called.
func (d *directs) await(id directID) (w *waitingDirect, done func()) {
	w = &waitingDirect{make(chan struct{}), make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[id] = w
	d.wrote[id.to] = true
	return w, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.waiting[id] == w {
			delete(d.waiting, id)
		}
	}
}

// deliver sends a message to a receiver who answers. Without an error it has arrived; with one, sent
// says whether the text was sent.
func (d *directs) deliver(ctx context.Context, to chat.Name, text string, u unconfirmedDirect, w *waitingDirect) (sent bool, err error) {
	if err := d.tell(u.To, chat.DirectMessage{Incarnation: u.Incarnation, Ask: u.N}); err != nil {
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
	err = d.tell(u.To, chat.DirectMessage{Incarnation: u.Incarnation, N: u.N, Name: d.me, Text: text})
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

// errSilent means that a receiver does not acknowledge a text.
var errSilent = errors.New("no acknowledgement")

// tell publishes one step of a direct message.
func (d *directs) tell(to chat.User, m chat.DirectMessage) error {
	nc := d.link.conn()
	if nc == nil {
		return errNotConnected
	}
	return rpc.Tell(nc, chat.Direct, chat.Address{To: to, User: d.me.User()}, m)
}

// step handles one step of a direct message.
func (d *directs) step(from chat.User, m chat.DirectMessage) {
	if len(m.Incarnation) > chat.MaxTerminal {
		return
	}
	switch {
	case m.Here > 0:
		d.answered(directID{from, m.Incarnation, m.Here}, false)
	case m.Ack > 0:
		d.answered(directID{from, m.Incarnation, m.Ack}, true)
	case m.Wrote != "":
		if n, err := chat.ParseName(string(m.Wrote)); err == nil && from == d.me.User() {
			d.mu.Lock()
			d.wrote[n.User()] = true
			d.mu.Unlock()
		}
	case d.side != nil:
		if m.N > 0 {
			d.overhear(from, m)
		}
	case m.Ask > 0:
		d.answer(directKey{from, m.Incarnation, m.Ask})
	case m.N > 0:
		d.take(directKey{from, m.Incarnation, m.N}, m)
	}
}

// answered notes an answer to the user's own message.
func (d *directs) answered(id directID, arrived bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.waiting[id]
	switch {
	case w == nil:
	case arrived:
		closeOnce(w.arrived)
	default:
		closeOnce(w.here)
	}
}

// closeOnce closes a channel of which d.mu is held.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// answer answers a sender who asks: the text may come, or has come. A hidden user answers only those
// to whom they have written.
func (d *directs) answer(k directKey) {
	if !d.welcome(k.from) {
		return
	}
	answer := chat.DirectMessage{Incarnation: k.incarnation, Here: k.n}
	d.mu.Lock()
	if d.heard.Has(k) {
		answer = chat.DirectMessage{Incarnation: k.incarnation, Ack: k.n}
	} else {
		d.asked.Add(k)
	}
	d.mu.Unlock()
	if d.inTime(k.from) {
		d.reply(k.from, answer)
	}
}

// take shows a message that has not been shown yet, and acknowledges it.
func (d *directs) take(k directKey, m chat.DirectMessage) {
	if !d.welcome(k.from) || !d.fits(m.Text) || d.events.crowded() {
		return
	}
	d.mu.Lock()
	asked := d.asked.Has(k)
	d.mu.Unlock()
	if !asked && !d.inTime(k.from) {
		return
	}
	d.mu.Lock()
	fresh := d.heard.Add(k)
	d.mu.Unlock()
	if fresh {
		d.events.push(DirectText{From: nameOf(k.from, m.Name), Text: m.Text})
	}
	d.reply(k.from, chat.DirectMessage{Incarnation: k.incarnation, Ack: k.n})
}

// overhear shows a text to which a terminal of the user answers.
func (d *directs) overhear(from chat.User, m chat.DirectMessage) {
	if d.blocks.has(from) || !d.fits(m.Text) {
		return
	}
	d.mu.Lock()
	show := d.listens && d.heard.Add(directKey{from, m.Incarnation, m.N})
	d.mu.Unlock()
	if show && d.inTime(from) {
		d.events.push(DirectText{From: nameOf(from, m.Name), Text: m.Text})
	}
}

// fits reports whether a text is valid.
func (d *directs) fits(text string) bool {
	return text != "" && len(text) <= d.login.limits().MaxText
}

// nameOf returns the sender's name as they write it.
func nameOf(from chat.User, says chat.Name) chat.Name {
	if n, err := chat.ParseName(string(says)); err == nil && n.User() == from {
		return n // not only folded to it: U+212A is a k in lower case
	}
	return chat.Name(from)
}

// welcome reports whether the user accepts messages of another one.
func (d *directs) welcome(from chat.User) bool {
	return d.login.here() && (d.login.chosen() == chat.Visible || d.wroteTo(from)) && !d.blocks.has(from)
}

// inTime reports whether a user keeps to the rate of messages.
func (d *directs) inTime(from chat.User) bool {
	over, tell := d.tooFast(from, time.Now())
	if tell {
		d.events.push(DirectTooFast{From: chat.Name(from)})
	}
	return !over
}

func (d *directs) reply(to chat.User, m chat.DirectMessage) {
	if err := d.tell(to, m); err != nil {
		d.log.Debug("answer a direct message", "err", err)
	}
}
