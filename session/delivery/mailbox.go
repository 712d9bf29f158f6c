package delivery

import (
	"time"

	"natter/chat"
	"natter/session"
)

const (
	// storeLost and storeSilent are how long a message waits before it is stored for a member who
	// is lost, and for one who is connected but does not acknowledge.
	storeLost   = 500 * time.Millisecond
	storeSilent = redeliverAfter
	// storeAgain is how long the next messages for somebody are collected.
	storeAgain = time.Second
	// storeRefused is the pause after the coordinator could not store.
	storeRefused = 5 * time.Second
	// storeBytes bounds one request: its texts as JSON may need six bytes for each.
	storeBytes = (chat.MaxPayload - 8<<10)
	// perMessage is how many bytes a message in a request has beside its text.
	perMessage = 80
	// fetchLost is how long a peer is lost before the mailbox is fetched because of that: most come
	// back at once.
	fetchLost  = time.Second
	fetchAgain = time.Second
)

// mailbox is what a core knows of stored messages.
type mailbox struct {
	busy      bool   // a request to store is under way
	fetching  bool   // a request to fetch is under way
	must      bool   // our mailbox may not be empty
	draining  bool   // everything is to be stored at once
	asked     bool   // the mailbox was fetched since the start
	fetchAt   Time   // when to fetch it
	fetchedAt Time   // when it was fetched last; 0: never
	retryAt   Time   // nothing is stored before that that
	lookAt    Time   // late messages are not looked for before that
	toldWaits bool   // that something waits, and not everything has arrived since
	told      uint64 // the last message that was told as stored
}

// mailJoined notes that the connection to a channel is up. Members who have left, or who sent to an
// earlier incarnation of ours, may have stored messages. Those who are connected can tell what the
// earlier one has received, so the core waits for them, for a short time.
func (c *Core) mailJoined(first bool) {
	switch {
	case !first:
		c.mail.must = true
		c.fetchBy(c.now)
	case c.cfg.Rejoin:
		c.mail.must = true
		c.fetchBy(c.now + redeliverAfter)
		c.fetchIfAllKnown()
	}
}

// fetchBy schedules a fetch at t or earlier, but not more often than fetchAgain, whatever others
// announce.
func (c *Core) fetchBy(t Time) {
	if c.mail.fetchedAt > 0 {
		t = max(t, c.mail.fetchedAt+fetchAgain)
	}
	c.mail.fetchAt = min(c.mail.fetchAt, t)
}

// fetchIfAllKnown fetches as soon as all connected peers have announced themselves.
func (c *Core) fetchIfAllKnown() {
	if !c.cfg.Rejoin || c.mail.asked {
		return
	}
	for _, p := range c.peers {
		if !p.known && p.state != Lost {
			return
		}
	}
	c.fetchBy(c.now)
}

// unstored returns the first message that a peer lacks and that is not stored for them; the queue's
// next if there is none.
func (c *Core) unstored(p *peer) uint64 {
	return min(max(p.acked+1, p.stored+1, c.queue.first), c.queue.next)
}

// storeAt returns when the first message that a peer has not received, and that is not stored for
// them, must be stored.
func (c *Core) storeAt(p *peer) Time {
	n := c.unstored(p)
	if c.link.holding || !c.link.made || n == c.queue.next {
		return never
	}
	if c.mail.draining {
		return c.now
	}
	wait := storeSilent
	if p.state == Lost {
		wait = storeLost
	}
	return max(c.queue.get(n).said, p.ackedAt, c.link.upAt) + wait
}

// mailTick fetches and stores what is due.
func (c *Core) mailTick() {
	if c.closed {
		return
	}
	c.fetch()
	c.store()
}

func (c *Core) fetch() {
	m := &c.mail
	if m.fetching || m.fetchAt > c.now || !c.link.up || c.over {
		return
	}
	lost := false
	for _, p := range c.peers {
		lost = lost || p.state == Lost
		p.fetching = p.first
	}
	m.fetchAt = never
	if !m.must && !lost {
		return // the lost peers are back
	}
	m.fetching, m.must, m.asked, m.fetchedAt = true, false, true, max(c.now, 1)
	c.emit(Effect{Kind: Fetch})
}

// store stores messages; peers who lack the same ones share a request.
func (c *Core) store() {
	m := &c.mail
	if m.busy || m.retryAt > c.now || !c.link.up && !m.draining || c.over {
		return
	}
	first := c.queue.next
	e := Effect{Kind: Store}
	for _, p := range c.peers {
		if p.received() {
			if e.Received == nil {
				e.Received = map[chat.User]uint64{}
			}
			e.Received[p.user] = p.record
		}
		n := c.unstored(p)
		if c.storeAt(p) > c.now || n > first || n == c.queue.next {
			continue
		}
		if n < first {
			first, e.For = n, nil
		}
		e.For = append(e.For, p.user)
	}
	e.First, e.Last = first, c.storeEnd(first)
	if e.Last < e.First {
		e.For = nil
	}
	if len(e.For) == 0 && len(e.Received) == 0 {
		if m.draining { // everything is stored, but for what is too long to be
			m.draining = false
			c.emit(Effect{Kind: Drained, Yes: first == c.queue.next})
		} else if first < c.queue.next {
			m.retryAt = c.now + storeAgain
		}
		return
	}
	m.busy = true
	c.emit(e)
}

// storeEnd returns the last message of a request that begins with first; first-1 if none fits.
func (c *Core) storeEnd(first uint64) uint64 {
	n, size := first, 0
	for ; n < c.queue.next; n++ {
		if size += jsonSize(c.queue.get(n).text) + perMessage; size > storeBytes {
			break
		}
	}
	return n - 1
}

// jsonSize is the greatest length of a text in JSON.
func jsonSize(text string) int {
	n := len(text)
	for i := range len(text) {
		switch b := text[i]; {
		case b < ' ', b == '<', b == '>', b == '&', b == 0x7f, b == 0xe2: // U+2028 and U+2029 begin so
			n += 5
		case b == '"', b == '\\':
			n++
		}
	}
	return n
}

// Messages returns messages first to last of ours, as they are stored.
func (c *Core) Messages(first, last uint64) []chat.Message {
	var all []chat.Message
	for n := max(first, c.queue.first); n <= min(last, c.last()); n++ {
		all = append(all, c.queue.message(n))
	}
	return all
}

// mailed handles the answers of the coordinator.
func (c *Core) mailed(in *Input) {
	m := &c.mail
	switch in.Kind {
	case Stored:
		m.busy = false
		c.storedNow(in)
	case StoreFailed:
		m.busy, m.retryAt = false, c.now+storeRefused
		c.markOut(in.First, in.Last)
		if m.draining {
			m.draining = false
			c.emit(Effect{Kind: Drained})
		}
	case Fetched:
		c.fetched(in.From, in.Frame.Messages, in.Yes)
	case FetchDone:
		m.fetching = false
		c.fetchDone()
	case FetchFailed:
		m.fetching, m.must = false, true
		c.fetchBy(c.now + fetchAgain)
	}
	if !c.closed {
		c.store()
	}
}

// storedNow notes which messages are stored now, and tells the user.
func (c *Core) storedNow(in *Input) {
	for u, at := range in.Received {
		if p := find(c.peers, u); p != nil && p.record == at {
			p.record = 0
		}
	}
	if in.Last < in.First || len(in.Stored) == 0 {
		return
	}
	for _, p := range c.peers {
		if at, in2 := in.Stored[p.user]; in2 {
			p.stored, p.record = max(p.stored, in.Last), at
		}
	}
	if in.Last == c.last() && !c.mail.draining {
		c.mail.retryAt = c.now + storeAgain // that was all
	}
	c.tellStoredFor(in.Last, in.Stored)
	c.tellStored()
}

// fetched handles messages from our mailbox. Messages missing between them are not requested: their
// sender still has them, because they were neither stored nor acknowledged.
func (c *Core) fetched(from chat.User, messages []chat.Message, lost bool) {
	p := find(c.left, from)
	if p == nil && !c.over {
		p = find(c.peers, from)
	}
	if p == nil || c.closed {
		return
	}
	if lost {
		c.tell(session.StoredLost{Session: c.id(), From: p.name})
	}
	var fresh []chat.Message
	for _, m := range messages {
		if m.N > p.have && m.N <= chat.MaxMessage {
			p.have = m.N
			fresh = append(fresh, m)
		}
	}
	if len(fresh) == 0 {
		return
	}
	if p.state != Left {
		c.owe(p)
	}
	c.tell(session.Texts{Session: c.id(), From: p.name, Messages: fresh})
}

// fetchDone skips numbers that will not come again, and has messages that came too early sent again.
func (c *Core) fetchDone() {
	for _, p := range c.peers {
		if p.fetching > p.have+1 {
			p.have = p.fetching - 1
			p.receipts = p.have
		}
		if c.link.up {
			c.announce(p, false)
		}
	}
}

func (c *Core) scheduleMail() {
	m := &c.mail
	if !m.fetching && c.link.up && !c.over {
		c.sooner(m.fetchAt)
	}
	if m.busy || !c.link.up || c.over {
		return
	}
	for _, p := range c.peers {
		if at := c.storeAt(p); at != never {
			c.sooner(max(at, m.retryAt))
		}
		if p.received() {
			c.sooner(m.retryAt)
		}
	}
}
