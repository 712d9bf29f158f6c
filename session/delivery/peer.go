package delivery

import (
	"fmt"

	"natter/chat"
)

// State is what is known of a peer. See the package comment.
type State uint8

// The states of a peer.
const (
	Joining State = iota
	InSync
	Slow
	Lost
	Left
)

// String is the state in words.
func (s State) String() string { return [...]string{"joining", "in sync", "slow", "lost", "left"}[s] }

// peer is the state of another member. The simulation checks the invariants:
//
//   - acked, stored and have never go back;
//   - only messages that exist are acknowledged: acked and stored are below the queue's next;
//   - a peer is slow only while they lack something;
//   - a receipt is owed only for what we have.
type peer struct {
	user  chat.User
	name  chat.Name
	state State

	// Of ours.
	acked      uint64 // the last that they have
	ackedAt    Time   // when that was said
	heardAt    Time   // when it last became more, or they announced themselves
	stored     uint64 // the last that is stored for them
	record     uint64 // under which sequence; 0: nothing, or it was deleted
	toldStored bool   // that something is stored for them which they do not have

	// Of theirs.
	owed
	have     uint64 // the last that we have
	spokeAt  Time   // when they said something last
	first    uint64 // earlier messages do not come again; not used until the mailbox was fetched
	fetching uint64 // first at the time of the fetch
	missed   uint64 // the last that we have requested
	missedAt Time   // when; it is not asked for again before nackAgain has passed
	known    bool   // they have said where they stand since we joined
	bye      bool

	resendAt Time   // what they lack is sent again
	resend   bucket // of messages that are sent again at once after their announcements
	pace     bucket // of messages that are taken from them
	fastAt   Time   // when it was told that they are too fast; 0: never
}

// owed are the receipts that a peer must be sent.
type owed struct {
	receipts uint64 // the last message that we have acknowledged
	paidAt   Time   // when we did
	owedAt   Time   // a receipt is due
}

func newPeer(m chat.Member, rules chat.Rules) *peer {
	p := &peer{user: m.User(), name: m.Name, owed: owed{owedAt: never, paidAt: -receiptApart}, resendAt: never, missedAt: -nackAgain, spokeAt: -speaking}
	if m.Lost {
		p.state = Lost
	}
	p.resend = newBucket(nackAgain, nackBurst)
	if rate := rules.MessageRate; rate > 0 {
		p.pace = newBucket(Time(float64(second)/(bearable*float64(rate))), int(chat.BurstFactor*bearable*float64(rate)))
	}
	return p
}

// String prints a peer in a line.
func (p *peer) String() string {
	s := fmt.Sprintf("%s %s, has %s, ours %s", p.user, p.state, number(p.acked), number(p.have))
	if p.stored > p.acked {
		s += ", stored " + number(p.stored)
	}
	return s
}

// joining notes that our connection is new: the peer may have missed messages.
func (p *peer) joining() {
	if p.state == InSync || p.state == Slow {
		p.state = Joining
	}
}

// heard notes that a peer has announced themselves, and so is connected.
func (p *peer) heard(now Time) {
	p.heardAt = now
	p.state = InSync
}

// listens notes that a peer acknowledges. Receipts that they sent before they were lost may come
// late.
func (p *peer) listens(now Time) {
	p.heardAt = now
	if p.state != Lost {
		p.state = InSync
	}
}

// waitedFor reports whether the window waits for a peer.
func (p *peer) waitedFor() bool { return p.state == Joining || p.state == InSync }

// connected reports whether a peer receives what is published, as far as we know.
func (p *peer) connected() bool { return p.state <= Slow }

// received reports whether a peer has received everything that is stored for them.
func (p *peer) received() bool { return p.record > 0 && p.acked >= p.stored }

// slowAt returns when a peer who acknowledges nothing becomes slow.
func (c *Core) slowAt(p *peer) Time {
	n := max(p.acked+1, c.queue.first)
	if !p.waitedFor() || n > c.send.sent || c.link.holding {
		return never
	}
	return max(p.heardAt, c.link.upAt, c.queue.get(n).said) + slowAfter
}

func (c *Core) checkSlow(p *peer) {
	if c.slowAt(p) <= c.now {
		p.state = Slow
		c.moved()
	}
}

// bucket is a token bucket. The zero value allows everything.
type bucket struct {
	every Time // for one more token
	burst int
	full  Time // when it is full again
}

const second = Time(1e9)

func newBucket(every Time, burst int) bucket { return bucket{every: every, burst: burst} }

// take takes up to want tokens and returns how many there were.
func (b *bucket) take(now Time, want int) int {
	if b.every == 0 {
		return want
	}
	full := max(b.full, now)
	n := min(want, int((now+b.every*Time(b.burst)-full)/b.every))
	if n <= 0 {
		return 0
	}
	b.full = full + b.every*Time(n)
	return n
}
