package delivery

import (
	"natter/chat"
	"natter/session"
)

// Admission says whether a message is accepted now.
type Admission uint8

// The answers of Admit.
const (
	Admitted Admission = iota
	Wait               // ask again after the next Moved
	Offline            // the connection is down and enough messages wait
	NotInChat
)

// Admit reports whether the next message may be said.
func (c *Core) Admit() Admission {
	up := c.publishable()
	joining := !up && !c.link.failed && (c.link.up || !c.link.made) // which takes only a moment
	switch {
	case c.closed:
		return NotInChat
	case !up && !joining && c.queue.len() >= maxWaiting:
		return Offline
	case joining && c.queue.len() >= maxWaiting, c.full():
		return Wait
	}
	return Admitted
}

// full reports whether the window is full. The members who send share what each receiver can
// buffer; a lost or slow sender does not take a share.
func (c *Core) full() bool {
	if n := share(c.peers); c.queue.len() < n && c.queue.size(c.queue.first) < bytesFor(n) {
		return false
	}
	if c.queue.len() >= window || c.queue.size(c.queue.first) >= windowBytes {
		return true
	}
	n, least := c.limit(), c.least((*peer).waitedFor)
	return c.queue.next-least >= uint64(n) || c.queue.size(least) >= bytesFor(n)
}

// share is how many messages may be in flight even if all members send.
func share(others []*peer) int { return window / max(1, len(others)) }

// limit is how many messages may be in flight: the share at first, and more as they are acknowledged
// while only some members send. So the load stays low if all of them begin at once.
func (c *Core) limit() int {
	speak := 1
	for _, p := range c.peers {
		if c.now-p.spokeAt < speaking {
			speak++
		}
	}
	n := share(c.peers)
	return max(n, min(n+c.send.grown, window/speak))
}

// bytesFor is how many bytes of text go with a limit of messages.
func bytesFor(messages int) uint64 { return uint64(messages) * (windowBytes / window) }

// ask asks for receipts when the window is half full, so that the sender does not have to wait for
// them, but not again for each message that is sent before they come.
func (c *Core) ask() {
	n := c.limit()
	reaches := func(first uint64, part int) bool {
		messages, bytes := c.send.from(first, &c.queue)
		return messages >= n/part || bytes >= bytesFor(n)/uint64(part)
	}
	if reaches(c.send.askedTo+1, 4) && reaches(c.least((*peer).waitedFor), 2) {
		c.send.askedTo = c.send.sent
		c.emit(Effect{Kind: AskReceipts})
	}
}

// from counts the messages that were sent from first on, and the bytes of their texts.
func (s *sending) from(first uint64, q *queue) (messages int, bytes uint64) {
	first, next := max(first, q.first), s.sent+1
	if first >= next {
		return 0, 0
	}
	return int(next - first), q.size(first) - q.size(next)
}

// least returns the lowest number that one of the peers has not acknowledged.
func (c *Core) least(these func(*peer) bool) uint64 {
	least := c.queue.next
	for _, p := range c.peers {
		if these(p) {
			least = min(least, p.acked+1)
		}
	}
	return max(least, c.queue.first)
}

func (c *Core) say(text string, at int64) {
	c.queue.push(message{said: c.now, at: at, text: text})
	if c.now-c.send.saidAt >= speaking {
		c.send.grown = 0
	}
	c.send.saidAt = c.now
	c.bye.mine, c.bye.told = false, false
	if !c.link.holding {
		c.report(c.last(), session.Sending)
	}
	c.sooner(c.now + storeLost) // the first deadline that can come
}

// pump publishes waiting messages, unless a publish is under way or no peer is connected: messages
// that were never published have certainly not arrived. Messages that are sent again come first, so
// that the order is kept.
func (c *Core) pump() {
	s := &c.send
	if s.busy || !c.publishable() || !c.anyConnected() {
		return
	}
	var first, last uint64
	switch {
	case s.redo != 0 && max(s.redo, c.queue.first) <= s.redoEnd:
		first = max(s.redo, c.queue.first)
		last = c.fill(first, s.redoEnd)
		s.redo, s.first = last+1, 0
	case s.sent < c.last():
		s.redo = 0
		first = max(s.sent+1, c.queue.first)
		last = c.fill(first, c.last())
		s.sent, s.first = last, first
		s.dueAt = c.now + redeliverAfter
		c.sooner(s.dueAt)
	default:
		s.redo = 0
		return
	}
	s.busy = true
	c.markOut(first, last)
	s.receipts = s.receipts[:0]
	for _, p := range c.peers {
		if p.owedAt != never && len(s.receipts) < chat.MaxReceipts {
			p.paid(c.now)
			s.receipts = append(s.receipts, FrameReceipt{p.user, p.have})
		}
	}
	c.emit(Effect{Kind: Publish, First: first, Last: last})
	c.ask()
}

// fill returns the last message of a frame that begins with first.
func (c *Core) fill(first, end uint64) uint64 {
	last, size := first, len(c.queue.get(first).text)
	for last < end && last-first+1 < maxFrame {
		size += len(c.queue.get(last + 1).text)
		if size > maxFrameBytes {
			break
		}
		last++
	}
	return last
}

// AppendFrame appends the wire form of the frame that a Publish names. It must be called
// before the next step.
func (c *Core) AppendFrame(b []byte, e Effect) []byte {
	b = appendHeader(b, e.First, c.queue.get(e.First).at)
	at := c.queue.get(e.First).at
	for n := e.First; n <= e.Last; n++ {
		m := c.queue.get(n)
		b = appendEntry(b, max(0, m.at-at), len(m.text))
		at = max(at, m.at)
	}
	for _, r := range c.send.receipts {
		b = appendReceipt(b, r)
	}
	b = append(b, '\n')
	for n := e.First; n <= e.Last; n++ {
		b = append(append(b, c.queue.get(n).text...), '\n')
	}
	return b
}

// acked notes what a peer has acknowledged, which cannot be more than was sent. A slow peer that
// answers is no longer slow, but does not know which of the last messages to request.
func (c *Core) acked(p *peer, n uint64) {
	n = min(n, c.last())
	if c.link.holding || n < p.acked {
		return
	}
	if p.state == Slow && n < c.last() {
		c.resendTo(p, c.now+nackAgain)
	}
	if p.state == Slow || n > p.acked {
		p.listens(c.now)
	}
	if n > p.acked {
		p.acked, p.ackedAt = n, c.now
		c.send.grow(c.least((*peer).waitedFor) - 1)
		p.toldStored = p.toldStored && n < p.stored
		c.trim()
	}
}

// grow opens the window when everything up to n is acknowledged by all whom the window waits for.
func (s *sending) grow(n uint64) {
	if n > s.ackedTo {
		s.grown = min(s.grown+int(min(n-s.ackedTo, window)), window)
		s.ackedTo = n
	}
}

// resendTo schedules messages that a peer lacks to be sent again at t or earlier.
func (c *Core) resendTo(p *peer, t Time) {
	p.resendAt = min(p.resendAt, t)
	c.sooner(p.resendAt)
}

// trim drops messages that everybody has. Held messages have no number yet.
func (c *Core) trim() {
	if c.link.holding {
		return
	}
	least := c.last()
	for _, p := range c.peers {
		least = min(least, p.acked)
	}
	for c.queue.first <= least {
		c.report(c.queue.first, session.Delivered)
		c.queue.pop()
	}
	c.send.sent = max(c.send.sent, c.queue.first-1)
	if c.queue.len() == 0 {
		c.mail.toldWaits = false
	}
	c.tellStored()
	c.moved()
}

// redeliver sends messages again that connected peers have not acknowledged in time. A slow peer is
// sent only the next one, as a probe.
func (c *Core) redeliver() {
	if c.send.dueAt > c.now || !c.missing() {
		return
	}
	c.send.dueAt = c.now + redeliverAfter
	if !c.publishable() {
		return
	}
	probe, least := c.least((*peer).connected), c.least((*peer).waitedFor)
	c.resendFrom(least)
	if probe < least && c.send.redo == 0 { // the rest follows a moment after the answer
		c.send.redo, c.send.redoEnd = probe, probe
	}
}

// resend publishes the messages again that a peer lacks.
func (c *Core) resend(p *peer) {
	p.resendAt = never
	c.resendFrom(max(p.acked+1, c.queue.first))
}

// resendFrom publishes everything from first on again.
func (c *Core) resendFrom(first uint64) {
	s := &c.send
	if first > s.sent {
		return
	}
	if s.redo == 0 || first < s.redo {
		s.redo = first
	}
	s.redoEnd = s.sent
}

// missing reports whether a connected peer has not acknowledged everything.
func (c *Core) missing() bool {
	return c.queue.len() > 0 && !c.closed && c.least((*peer).connected) < c.queue.next
}

// Unacknowledged counts the messages that not everybody has acknowledged.
func (c *Core) Unacknowledged() int { return c.queue.len() }

// Flushed reports whether every connected peer has everything.
func (c *Core) Flushed() bool { return !c.missing() }

// Undelivered returns the messages that not everybody has acknowledged; if the session goes on,
// without those that are stored for all who lack them. With Report it reports them, too.
func (c *Core) Undelivered(goesOn bool) (lost []session.NotDelivered, told []session.Sent) {
	for n := c.queue.first; n < c.queue.next; n++ {
		if goesOn && c.settled(n) {
			continue
		}
		m, state := c.queue.get(n), session.Failed
		unknown := m.out || !c.stayed && c.storedForAny(n)
		if unknown {
			state = session.Unknown
		}
		lost = append(lost, session.NotDelivered{Session: c.id(), Text: m.text, Unknown: unknown})
		if c.cfg.Report {
			told = append(told, session.Sent{Session: c.id(), N: n, State: state, Text: m.text})
		}
	}
	return lost, told
}

// storedForAny reports whether a message is stored for somebody who lacks it. At the end of a session
// only the stored messages of members who stayed are deleted.
func (c *Core) storedForAny(n uint64) bool {
	for _, p := range c.peers {
		if p.acked < n && n <= p.stored {
			return true
		}
	}
	return false
}

// markOut notes that somebody may have messages first to last, though nobody has acknowledged
// them: the receiver's computer may sleep, with a message in the buffers of its connection.
// Only what has never gone out to somebody who was there has certainly not arrived.
func (c *Core) markOut(first, last uint64) {
	for n := max(first, c.queue.first); n <= last && n < c.queue.next; n++ {
		c.queue.get(n).out = true
	}
}

func (c *Core) anyConnected() bool {
	for _, p := range c.peers {
		if p.connected() {
			return true
		}
	}
	return false
}

// unsent takes back a frame that has certainly not gone out. It goes out again when the
// connection is there.
func (c *Core) unsent() {
	s := &c.send
	s.busy = false
	if s.first == 0 {
		return
	}
	for n := max(s.first, c.queue.first); n <= s.sent && n < c.queue.next; n++ {
		c.queue.get(n).out = false
	}
	s.sent = max(s.first, c.queue.first) - 1
}

// askReceipts asks for receipts at once, unless that was done for everything that was said.
func (c *Core) askReceipts() {
	if c.missing() && c.send.askedTo < c.send.sent {
		c.send.askedTo = c.send.sent
		c.emit(Effect{Kind: AskReceipts})
	}
}
