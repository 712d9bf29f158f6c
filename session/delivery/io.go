package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
)

// line is a connection to one channel of the session.
type line struct {
	nc       *nats.Conn
	epoch    int
	prefix   string         // of the channel's subjects
	msg, sig string         // where the member publishes
	carries  int            // bytes of a payload; 0: not known
	in       chan *nats.Msg // payloads of the others; nil when the connection is closed
	once     sync.Once
}

// close closes the connection. Its reader takes what has arrived, and stops.
func (l *line) close() {
	l.nc.Close()
	l.closed()
}

func (l *line) closed() { l.once.Do(func() { l.in <- nil }) }

// to returns the subject for one member.
func (l *line) to(me, u chat.User) string { return l.prefix + "to." + string(u) + "." + string(me) }

// outbox is what must be written to the connection, in order. One goroutine at a time writes,
// without the lock.
type outbox struct {
	waiting []outgoing
	writing []outgoing // the former waiting
	busy    bool
	frame   []byte // of the frame under way: there is one at most
	last    Time   // when something was written
}

type outgoing struct {
	nc      *nats.Conn
	subject string
	data    []byte
	frame   bool
}

// lone reports whether a message that is said now is published at once, instead of together with
// those that follow it.
func (o *outbox) lone(now Time) bool { return !o.busy && now-o.last > together }

// queueOut queues an effect to be written. c.mu is held.
func (c *Conn) queueOut(e *Effect) {
	l := c.line
	if l == nil {
		return
	}
	out := outgoing{nc: l.nc, subject: l.sig}
	switch e.Kind {
	case Publish:
		c.out.frame = c.core.AppendFrame(c.out.frame[:0], *e)
		out.subject, out.data, out.frame = l.msg, c.out.frame, true
		if l.carries > 0 && len(out.data) > l.carries {
			out.data = nil // accepted under another rule: the server would close the connection
		}
	case SendReceipt:
		out.subject, out.data = l.to(c.opt.Me, e.To), strconv.AppendUint(nil, e.N, 10)
	case AskReceipts:
		out.data = mustJSON(chat.MemberSignal{Receipt: true})
	case SendBye:
		out.data = mustJSON(chat.MemberSignal{Bye: new(e.Yes)})
	case SendAnnounce:
		out.data = mustJSON(c.announcement(e))
		if e.To != "" {
			out.subject = l.to(c.opt.Me, e.To)
		}
	}
	c.out.waiting = append(c.out.waiting, out)
}

// announcement returns our announcement, for one peer or for all.
func (c *Conn) announcement(e *Effect) chat.MemberSignal {
	s := chat.Sync{Have: map[chat.User]uint64{}, Acked: map[chat.User]uint64{}, Ask: e.Announce.Ask}
	add := func(u chat.User, a Announcement) {
		s.First = a.First
		if a.Have > 0 { // at the beginning nobody has anything, and in a group all tell all
			s.Have[u] = a.Have
		}
		if a.Acked > 0 {
			s.Acked[u] = a.Acked
		}
	}
	if e.To != "" {
		add(e.To, e.Announce)
	} else {
		for _, p := range c.core.peers {
			add(p.user, c.core.Standing(p.user))
		}
	}
	sig := chat.MemberSignal{Sync: &s}
	if e.Yes {
		sig.Bye = new(true)
	}
	return sig
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("delivery: " + err.Error()) // our own types can always be encoded
	}
	return data
}

// writer writes the outbox, except for lone messages, which are written at once.
func (c *Conn) writer() {
	for {
		select {
		case <-c.write:
			c.flushOut()
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Conn) wakeWriter() {
	select {
	case c.write <- struct{}{}:
	default:
	}
}

// flushOut writes the outbox, unless another goroutine does so.
func (c *Conn) flushOut() {
	c.mu.Lock()
	if c.out.busy {
		c.mu.Unlock()
		return
	}
	c.out.busy = true
	for len(c.out.waiting) > 0 {
		c.out.waiting, c.out.writing = c.out.writing[:0], c.out.waiting
		c.mu.Unlock()
		done := c.publish()
		now := c.time()
		c.mu.Lock()
		c.out.last = now
		if done.down {
			c.stepLocked(Input{Kind: LinkDown}, now)
		}
		switch {
		case done.unsent:
			c.stepLocked(Input{Kind: Unsent}, now)
		case done.frame:
			c.stepLocked(Input{Kind: Published}, now)
		}
	}
	c.out.busy = false
	c.mu.Unlock()
}

// written is the result of writing a batch.
type written struct{ frame, unsent, down bool }

// publish writes a batch. Messages that get lost are sent again.
func (c *Conn) publish() (w written) {
	for i := range c.out.writing {
		o := &c.out.writing[i]
		if o.data == nil {
			w.frame = true
			continue
		}
		err := o.nc.Publish(o.subject, o.data)
		w.down = w.down || err != nil && !o.nc.IsConnected()
		w.frame = w.frame || o.frame
		// What the library has sent in part must not be cut.
		w.unsent = w.unsent || o.frame && (errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed))
		*o = outgoing{}
	}
	return w
}

// join connects to the session's present channel, and closes the former connection when the new
// one is up.
func (c *Conn) join(again bool) {
	l := &line{in: make(chan *nats.Msg, incoming)}
	mine := func(in Input) func(*nats.Conn) {
		return func(nc *nats.Conn) {
			c.mu.Lock()
			ok := c.line != nil && c.line.nc == nc && !c.closed
			c.mu.Unlock()
			if ok {
				c.step(in)
			}
		}
	}
	down, gone := mine(Input{Kind: LinkDown}), mine(Input{Kind: LinkClosed})
	closed := func(nc *nats.Conn) {
		gone(nc)
		l.closed()
	}
	c.mu.Lock()
	l.epoch = c.core.link.epoch
	c.mu.Unlock()
	// Frames collect messages, so the library's goroutine that collects writes is not needed.
	nc, reply, err := c.opt.Join(c.ctx, c.id, again, nats.NoEcho(), nats.WriteBufferSize(1),
		nats.DisconnectErrHandler(func(nc *nats.Conn, _ error) { down(nc) }),
		nats.ReconnectHandler(mine(Input{Kind: LinkUp})), nats.ClosedHandler(closed))
	if err == nil {
		a := chat.Address{User: c.opt.Me, Session: reply.Channel}
		l.nc, l.msg, l.sig, l.carries = nc, chat.Said.Subject(a), chat.Signal.Subject(a), reply.Ticket.Payload()
		l.prefix = strings.TrimSuffix(l.msg, "msg."+string(c.opt.Me))
		if err = c.listen(l); err != nil {
			nc.Close()
			err = fmt.Errorf("listen to %s: %w", reply.Channel, err)
		}
	}
	if err != nil {
		c.opt.Log.Debug("join", "session", c.id, "err", err)
		c.step(Input{Kind: JoinFailed})
		return
	}
	if former := c.change(l, reply.Incarnation); former != nil {
		former.close()
	}
}

// change makes l the line, and returns the former one, which must be closed.
func (c *Conn) change(l *line, incarnation int) (former *line) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return l
	}
	former, c.line = c.line, l
	c.stepLocked(Input{Kind: Joined, Epoch: l.epoch, Incarnation: incarnation}, c.time())
	switch {
	case l.nc.IsClosed(): // before anybody could hear of it
		c.stepLocked(Input{Kind: LinkClosed}, c.time())
	case !l.nc.IsConnected():
		c.stepLocked(Input{Kind: LinkDown}, c.time())
	}
	c.mu.Unlock()
	c.flushOut()
	return former
}

// listen reads the line's subjects as one stream, because a message takes back a bye before it.
func (c *Conn) listen(l *line) error {
	for _, subject := range []string{"msg.*", "sig.*", "to." + string(c.opt.Me) + ".*"} {
		if _, err := l.nc.ChanSubscribe(l.prefix+subject, l.in); err != nil {
			return err
		}
	}
	if err := rpc.Settle(l.nc); err != nil {
		return err
	}
	c.wg.Go(func() {
		for m := <-l.in; m != nil; m = <-l.in {
			c.receive(l, m)
		}
	})
	return nil
}

// receive handles a payload of another member. The subject says who sent it.
func (c *Conn) receive(l *line, m *nats.Msg) {
	what, from, ok := strings.Cut(strings.TrimPrefix(m.Subject, l.prefix), ".")
	if !ok {
		return
	}
	switch what {
	case "msg":
		f, err := ParseFrame(m.Data, c.opt.Rules.MaxText)
		if err == nil {
			if c.opt.Crowded != nil && c.opt.Crowded() {
				f.Messages = nil // only the receipts are used
			}
			c.step(Input{Kind: FrameIn, From: chat.User(from), Frame: f})
		}
	case "to":
		_, from, _ = strings.Cut(from, ".")
		if n, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil {
			c.step(Input{Kind: Receipt, From: chat.User(from), N: n})
			return
		}
		c.signal(chat.User(from), m.Data, false)
	case "sig":
		c.signal(chat.User(from), m.Data, true)
	}
}

func (c *Conn) signal(from chat.User, data []byte, toAll bool) {
	var sig chat.MemberSignal
	if json.Unmarshal(data, &sig) != nil {
		return
	}
	if s := sig.Sync; s != nil {
		c.step(Input{Kind: Announced, From: from, Yes: toAll, Announce: Announcement{Have: s.Have[c.opt.Me], First: s.First, Acked: s.Acked[c.opt.Me], Ask: s.Ask}})
	}
	if sig.Bye != nil {
		c.step(Input{Kind: ByeSaid, From: from, Yes: *sig.Bye})
	}
	if sig.Receipt {
		c.step(Input{Kind: Asked, From: from})
	}
}

// storeRequest returns the request for an effect Store. c.mu is held.
func (c *Conn) storeRequest(e Effect) chat.StoreRequest {
	q := chat.StoreRequest{Session: c.id, For: e.For, Received: e.Received}
	if len(e.For) > 0 {
		q.Messages = c.core.Messages(e.First, e.Last)
	}
	return q
}

func (c *Conn) store(q chat.StoreRequest, e Effect) {
	reply, err := c.opt.Store(c.ctx, q)
	if err != nil {
		c.opt.Log.Debug("store", "session", c.id, "err", err)
		c.step(Input{Kind: StoreFailed, First: e.First, Last: e.Last})
		return
	}
	c.step(Input{Kind: Stored, Stored: reply.Stored, First: e.First, Last: e.Last, Received: e.Received})
}

func (c *Conn) fetch() {
	err := c.opt.Fetch(c.ctx, c.id, c.fetched)
	if err != nil && !refused(err) {
		c.opt.Log.Debug("fetch", "session", c.id, "err", err)
		c.step(Input{Kind: FetchFailed})
		return
	}
	c.step(Input{Kind: FetchDone})
}

func (c *Conn) fetched(from chat.User, stored chat.StoredMessages) {
	fit := stored.Messages[:0]
	for _, m := range stored.Messages {
		if len(m.Text) <= c.opt.Rules.MaxText {
			fit = append(fit, m)
		}
	}
	c.step(Input{Kind: Fetched, From: from, Yes: stored.Lost, Frame: Frame{Messages: fit}})
}

// refused reports whether an error is the coordinator's answer, not the lack of one.
func refused(err error) bool {
	var told *chat.Error
	return errors.As(err, &told) && told.Code != chat.NotConnected && told.Code != chat.Timeout && told.Code != chat.Internal
}
