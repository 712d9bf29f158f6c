package delivery

import (
	"natter/chat"
	"natter/session"
)

const (
	// bearable is how many times the rate a peer may reach: messages that were sent at the rate may
	// arrive together.
	bearable = 1.5
	// tellFastAgain is how often the user is told that a peer is faster than that.
	tellFastAgain = Time(60e9)
)

// frame handles messages of a peer: the next ones are accepted, old ones are acknowledged again, and
// ones that are too early show that others are missing.
func (c *Core) frame(from chat.User, f *Frame) {
	p := c.peer(from)
	if p == nil || c.over {
		return
	}
	for _, r := range f.Receipts {
		if r.From == c.cfg.Me {
			c.acked(p, r.N)
		}
	}
	if len(f.Messages) == 0 {
		return
	}
	begins := c.now-p.spokeAt >= speaking
	p.spokeAt = c.now
	if begins {
		c.ask() // fewer messages may be in flight now
	}
	first, last := f.Messages[0].N, f.Messages[len(f.Messages)-1].N
	switch {
	case c.cfg.Rejoin && !p.known: // perhaps an earlier incarnation has told it; it comes again
		c.nack(p, first)
	case p.first > p.have+1: // something may be stored that comes before it
	case first > p.have+1:
		c.nack(p, first)
	case last <= p.have:
		c.owe(p)
	default:
		c.accept(p, f.Messages[p.have+1-first:])
	}
}

// accept accepts the next messages and tells the user.
func (c *Core) accept(p *peer, messages []chat.Message) {
	if n := p.pace.take(c.now, len(messages)); n < len(messages) {
		messages = messages[:n]
		c.tooFast(p)
	}
	if len(messages) == 0 {
		return
	}
	p.have = messages[len(messages)-1].N
	if p.state == Joining {
		p.state = InSync
	}
	c.owe(p)
	if p.bye {
		p.bye, c.bye.told = false, false
		c.tell(session.Bye{Session: c.id(), From: p.name, Back: true})
	}
	c.tell(session.Texts{Session: c.id(), From: p.name, Messages: messages})
}

// tooFast notes that not all messages of a peer were accepted. They are not acknowledged, so they
// come again, and are not requested earlier.
func (c *Core) tooFast(p *peer) {
	p.missed, p.missedAt = p.have+1, c.now+redeliverAfter
	if p.fastAt == 0 || c.now-p.fastAt >= tellFastAgain {
		p.fastAt = max(c.now, 1)
		c.tell(session.TooFast{Session: c.id(), From: p.name})
	}
}

// owe notes that a peer must be sent a receipt: in the next frame, or soon.
func (c *Core) owe(p *peer) {
	if p.have >= p.receipts+receiptEach {
		c.receipt(p)
		return
	}
	if p.owedAt == never {
		p.owedAt = max(c.now+receiptAfter, p.paidAt+receiptApart)
		c.sooner(p.owedAt)
	}
}

// paid notes that a peer was sent a receipt.
func (p *peer) paid(now Time) { p.receipts, p.paidAt, p.owedAt = p.have, now, never }

// receipt sends a receipt to a peer at once.
func (c *Core) receipt(p *peer) {
	if !c.link.up || p.have == 0 {
		p.owedAt = never
		return
	}
	p.paid(c.now)
	c.emit(Effect{Kind: SendReceipt, To: p.user, N: p.have})
}

// nack asks a peer once to send missing messages again: until they come, everything else in flight
// is too early as well. A new incarnation must announce first where its numbers begin.
func (c *Core) nack(p *peer, n uint64) {
	if p.missed == p.have+1 && c.now-p.missedAt < nackAgain || !c.link.up {
		return
	}
	p.missed, p.missedAt = p.have+1, c.now
	ask := c.cfg.Rejoin && !p.known || chat.IncarnationOf(n) != chat.IncarnationOf(p.have)
	c.announce(p, ask)
}

// announce announces our state to one peer.
func (c *Core) announce(p *peer, ask bool) {
	p.receipts, p.owedAt = p.have, never
	c.emit(Effect{Kind: SendAnnounce, To: p.user, Yes: c.bye.mine, Announce: c.standing(p, ask)})
}

// announced handles the announcement of a peer. Messages that they will not send again were
// acknowledged by an earlier incarnation of ours, or sent by an earlier one of theirs. The latter
// may be in our mailbox, which is fetched before later messages are accepted.
func (c *Core) announced(p *peer, a Announcement, toAll bool) {
	if a.First > chat.MaxMessage || a.Have > chat.MaxMessage || a.Acked > chat.MaxMessage {
		return
	}
	p.known = true
	p.heard(c.now) // even if the record says that they are lost: it may be old
	c.acked(p, a.Have)
	if a.Acked > p.have { // this is still kept for somebody else
		p.have, p.receipts = a.Acked, a.Acked
	}
	if a.First > p.have+1 && a.First > p.first {
		p.first = a.First
		c.mail.must = true
		c.fetchBy(c.now)
	}
	c.fetchIfAllKnown()
	if p.acked < c.send.sent && !c.link.holding {
		if p.resend.take(c.now, 1) == 1 {
			c.resend(p)
		} else {
			c.resendTo(p, c.now+nackAgain)
		}
	}
	if (a.Ask || toAll && c.bye.mine) && c.link.up { // they may not have heard the bye
		c.announce(p, false)
	}
}
