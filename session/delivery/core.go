package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"natter/chat"
	"natter/session"
)

const (
	// maxFrame and maxFrameBytes bound a frame: its messages, and the bytes of their texts
	// unless there is only one.
	maxFrame      = chat.MaxFrame
	maxFrameBytes = chat.MaxFrameText
	// window is how many messages may be in flight to each member, from all others together;
	// windowBytes the same in bytes of text.
	window      = 4096
	windowBytes = 4 << 20
	// maxWaiting is how many messages wait while the connection is down.
	maxWaiting = 100
	// receiptAfter is how long a receipt waits for a frame to travel in, and receiptApart how long
	// it comes after the one before: while a peer goes on sending, one receipt for many messages
	// is enough. A receipt is sent earlier after receiptEach messages, and when the sender asks.
	receiptAfter = 20 * time.Millisecond
	receiptApart = 200 * time.Millisecond
	receiptEach  = window / 4
	// speaking is how long a peer who has sent a message is expected to send more.
	speaking = 250 * time.Millisecond
	// nackAgain is how long missing messages may take to come again before they are requested once
	// more, and how long messages to a peer who was slow may take before they are sent again.
	nackAgain = 250 * time.Millisecond
	// nackBurst is how many requests of a peer for missing messages are answered at once, before
	// each has to wait for nackAgain.
	nackBurst = 4
	// redeliverAfter is how long an acknowledgement may take.
	redeliverAfter = 2 * time.Second
	// slowAfter is how long a peer may acknowledge nothing before the window stops waiting for it.
	slowAfter = time.Second
	// joinAgain is the pause before a connection is tried again.
	joinAgain = 200 * time.Millisecond
)

// Config is what a Core needs.
type Config struct {
	Me      chat.User
	Rejoin  bool       // an earlier incarnation of this member may have been in the session
	Rules   chat.Rules // MaxText, MessageRate
	Report  bool       // report the state of each message
	Session chat.Session
}

// Core is one member's part in the delivery of a session's messages. See the package comment.
type Core struct {
	cfg   Config
	peers []*peer // by user; members who have not left
	left  []*peer
	queue queue
	link  link
	send  sending
	mail  mailbox
	bye   byes

	over   bool // the session is over
	stayed bool // and we were a member to the end
	closed bool
	now    Time
	next   Time // a Tick is due
	fx     []Effect
}

// link is the connection to the session's channel.
type link struct {
	epoch   int  // of the session
	up      bool // the connection works
	upAt    Time // since when
	made    bool // there is a connection, perhaps interrupted
	wanted  bool // a connection to another channel, or the first one, must be made
	joining bool // it is being made
	failed  bool // the last try has failed
	retryAt Time
	holding bool // our incarnation, and so the numbers, are not known yet
}

// sending is how far our messages were published.
type sending struct {
	sent     uint64 // the last message that was published
	busy     bool   // a publish is under way
	redo     uint64 // messages redo to redoEnd are published again first; 0: none
	redoEnd  uint64
	dueAt    Time           // what is missing is sent again
	first    uint64         // of the frame under way, if it is sent for the first time; else 0
	receipts []FrameReceipt // of that frame
	askedTo  uint64         // receipts for messages up to here were asked for
	saidAt   Time           // the last message
	ackedTo  uint64         // what all have of ours whom the window waits for
	grown    int            // how many they have acknowledged since we began to speak
}

type byes struct {
	mine bool
	told bool // AllBye was told, for these byes
}

// NewCore makes a core for an open session. It asks to join in the first step.
func NewCore(cfg Config) *Core {
	c := &Core{cfg: cfg, queue: newQueue()}
	c.link = link{epoch: cfg.Session.Epoch, wanted: true, holding: cfg.Rejoin}
	c.send.dueAt, c.mail.fetchAt = never, never
	for _, m := range cfg.Session.Members {
		p := newPeer(m, cfg.Rules)
		switch {
		case m.Left != "":
			p.state = Left
			c.left = append(c.left, p)
		case m.User() != cfg.Me:
			c.peers = append(c.peers, p)
		}
	}
	slices.SortFunc(c.peers, func(a, b *peer) int { return cmp.Compare(a.user, b.user) })
	return c
}

// Next returns when a Tick is due; a step at another time does no harm.
func (c *Core) Next() Time { return c.next }

// sooner makes a Tick due at t or earlier.
func (c *Core) sooner(t Time) { c.next = min(c.next, t) }

// Step takes an input and appends what is to be done about it to out. Time must not go back.
func (c *Core) Step(in Input, now Time, out []Effect) []Effect {
	c.now, c.fx = max(now, c.now), out
	c.take(&in)
	if !c.closed || in.Kind == Close {
		c.pump()
	}
	out, c.fx = c.fx, nil
	return out
}

func (c *Core) take(in *Input) {
	switch in.Kind {
	case Say:
		c.say(in.Text, in.At)
	case FrameIn:
		c.frame(in.From, &in.Frame)
	case Receipt:
		if p := c.peer(in.From); p != nil {
			c.acked(p, in.N)
		}
	case Published:
		c.send.busy = false
	case Unsent:
		c.unsent()
	case Tick:
		c.tick()
	default:
		c.takeRare(in)
		c.schedule()
	}
}

// takeRare takes the inputs other than messages and receipts.
func (c *Core) takeRare(in *Input) {
	switch in.Kind {
	case Bye:
		c.sayBye(in.Yes)
	case Drain:
		c.mail.draining = true
		c.mail.retryAt = c.now
	case Flush:
		c.askReceipts()
	case Close:
		c.close()
	case Joined:
		c.joined(in.Epoch, in.Incarnation)
	case JoinFailed:
		c.link.joining, c.link.failed = false, true
		c.link.retryAt = c.now + joinAgain
		c.moved()
	case LinkDown:
		c.link.up = false
	case LinkUp:
		c.linkUp()
	case LinkClosed:
		c.link.up, c.link.wanted = false, true
	case Record:
		c.record(*in.Session)
	case Over:
		c.end(*in.Session)
	case Stored, StoreFailed, Fetched, FetchDone, FetchFailed:
		c.mailed(in)
	default:
		if p := c.peer(in.From); p != nil {
			c.signalled(p, in)
		}
	}
}

// signalled takes the inputs of a peer other than frames.
func (c *Core) signalled(p *peer, in *Input) {
	switch in.Kind {
	case Announced:
		c.announced(p, in.Announce, in.Yes)
	case Asked:
		c.receipt(p)
	case ByeSaid:
		if p.bye != in.Yes {
			p.bye = in.Yes
			c.tell(session.Bye{Session: c.id(), From: p.name, Back: !p.bye})
			c.checkByes()
		}
	}
}

func (c *Core) id() string { return c.cfg.Session.ID }

// peer finds the peer of an input. A peer that counts as lost and sends something is back, and may
// have fetched what is stored.
func (c *Core) peer(u chat.User) *peer {
	if c.closed {
		return nil
	}
	p := find(c.peers, u)
	if p != nil && p.state == Lost {
		c.markOut(c.queue.first, c.last())
	}
	return p
}

// back notes that a lost peer is back: they get the messages that wait for them from us or from
// their mailbox.
func (c *Core) back(p *peer) {
	p.state = Joining
	c.markOut(c.queue.first, c.last())
}

func find(peers []*peer, u chat.User) *peer {
	for _, p := range peers {
		if p.user == u {
			return p
		}
	}
	return nil
}

func (c *Core) emit(e Effect)        { c.fx = append(c.fx, e) }
func (c *Core) tell(e session.Event) { c.emit(Effect{Kind: Tell, Event: e}) }
func (c *Core) moved()               { c.emit(Effect{Kind: Moved}) }
func (c *Core) publishable() bool    { return c.link.up && !c.link.wanted && !c.link.holding }
func (c *Core) last() uint64         { return c.queue.next - 1 }
func (c *Core) report(n uint64, s session.SentState) {
	if c.cfg.Report {
		c.tell(session.Sent{Session: c.id(), N: n, State: s, Text: c.queue.get(n).text})
	}
}

// joined takes a new connection to a channel: we announce our state, and know our numbers.
func (c *Core) joined(epoch, incarnation int) {
	l := &c.link
	first := !l.made
	l.up, l.upAt, l.made, l.joining, l.failed = true, c.now, true, false, false
	l.wanted = l.epoch > epoch
	if l.holding {
		c.number(incarnation)
	}
	if !first {
		c.missedRecords()
	}
	c.mailJoined(first)
	c.announceAll(!first || c.cfg.Rejoin)
	c.moved()
}

// number gives the held messages their numbers, once the incarnation is known.
func (c *Core) number(incarnation int) {
	c.link.holding = false
	c.queue.renumber(chat.FirstOf(incarnation))
	c.send.sent = c.queue.first - 1
	c.send.ackedTo = c.send.sent
	for n := c.queue.first; n < c.queue.next; n++ {
		c.report(n, session.Sending)
	}
}

// linkUp takes a connection that is back. Messages in flight may be lost.
func (c *Core) linkUp() {
	if c.link.up || !c.link.made {
		return
	}
	c.link.up, c.link.upAt = true, c.now
	c.missedRecords()
	c.fetchBy(c.now + fetchLost)
	c.announceAll(true)
	c.moved()
}

// missedRecords notes that peers may have come back while our connection was interrupted, and have
// fetched what is stored.
func (c *Core) missedRecords() { c.markOut(c.queue.first, c.last()) }

// announceAll announces our state to all peers.
func (c *Core) announceAll(ask bool) {
	for _, p := range c.peers {
		p.joining()
	}
	c.emit(Effect{Kind: SendAnnounce, Yes: c.bye.mine, Announce: Announcement{Ask: ask}})
}

// Standing returns the part of an announcement to all that is for one peer.
func (c *Core) Standing(u chat.User) Announcement {
	if p := find(c.peers, u); p != nil {
		return c.standing(p, false)
	}
	return Announcement{}
}

func (c *Core) standing(p *peer, ask bool) Announcement {
	a := Announcement{Have: p.have, First: c.queue.first, Acked: p.acked, Ask: ask}
	if c.link.holding {
		a.First = 0
	}
	return a
}

// record takes a new record of the session. Under a new epoch nothing is published until the new
// channel is up: members who have left could read the old one.
func (c *Core) record(s chat.Session) {
	c.noteLeft(s)
	for _, p := range c.peers {
		m, _ := s.Member(p.user)
		switch {
		case m.Lost && p.state != Lost:
			p.state, p.toldStored = Lost, false
			c.fetchBy(c.now + fetchLost)
		case !m.Lost && p.state == Lost:
			c.back(p)
		}
	}
	if s.Epoch > c.link.epoch {
		c.link.epoch, c.link.wanted = s.Epoch, true
	}
	c.trim()
	c.checkByes()
}

// noteLeft moves peers who are no longer members to the former ones.
func (c *Core) noteLeft(s chat.Session) {
	c.peers = slices.DeleteFunc(c.peers, func(p *peer) bool {
		if _, in := s.Member(p.user); in {
			return false
		}
		p.state = Left
		c.left = append(c.left, p)
		return true
	})
}

// end handles the end of the session.
func (c *Core) end(s chat.Session) {
	c.over = true
	_, c.stayed = s.Member(c.cfg.Me)
	c.noteLeft(s)
	c.trim()
}

func (c *Core) close() {
	for _, p := range c.peers {
		c.receipt(p)
	}
	c.closed = true
	c.moved()
}

func (c *Core) sayBye(yes bool) {
	c.bye.mine = yes
	c.emit(Effect{Kind: SendBye, Yes: yes})
	c.checkByes()
}

// checkByes tells once everybody has said bye.
func (c *Core) checkByes() {
	all := c.bye.mine && len(c.peers) > 0
	for _, p := range c.peers {
		all = all && p.bye
	}
	if all && !c.bye.told {
		c.emit(Effect{Kind: AllBye})
	}
	c.bye.told = all
}

// tick does what is due.
func (c *Core) tick() {
	for _, p := range c.peers {
		c.checkSlow(p)
		if p.owedAt <= c.now {
			c.receipt(p)
		}
		if p.resendAt <= c.now && c.publishable() {
			c.resend(p)
		}
	}
	c.redeliver()
	c.tellWaits()
	c.tellLate()
	c.mailTick()
	c.schedule()
}

// schedule computes when the next Tick is due, and has a connection made if one is wanted.
func (c *Core) schedule() {
	c.next = never
	if c.closed {
		return
	}
	if c.link.wanted && !c.link.joining {
		if c.now < c.link.retryAt {
			c.sooner(c.link.retryAt)
		} else {
			c.link.joining = true
			c.emit(Effect{Kind: Join, Yes: c.link.holding})
		}
	}
	for _, p := range c.peers {
		c.sooner(p.owedAt)
		c.sooner(c.slowAt(p))
		if c.publishable() {
			c.sooner(p.resendAt)
		}
	}
	if c.missing() {
		c.sooner(c.send.dueAt)
	}
	c.scheduleNotices()
	c.scheduleMail()
}

// String prints the core for scripts.
func (c *Core) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", c.cfg.Me)
	switch {
	case c.closed:
		b.WriteString(" closed")
	case c.over:
		b.WriteString(" over")
	case c.link.holding:
		b.WriteString(" holding")
	case !c.link.up:
		b.WriteString(" down")
	case c.link.wanted:
		b.WriteString(" changing channels")
	}
	fmt.Fprintf(&b, " next %s", number(c.queue.next))
	if c.queue.len() > 0 {
		fmt.Fprintf(&b, ", %d unacknowledged, sent %s", c.queue.len(), number(c.send.sent))
	}
	for _, p := range c.peers {
		fmt.Fprintf(&b, "; %s", p)
	}
	for _, p := range c.left {
		fmt.Fprintf(&b, "; %s left", p.user)
	}
	return b.String()
}

// number prints a number with its incarnation, if it is not the first.
func number(n uint64) string {
	if incarnation := chat.IncarnationOf(n); incarnation > 0 {
		return fmt.Sprintf("%d/%d", incarnation, n-chat.FirstOf(incarnation))
	}
	return fmt.Sprint(n)
}

func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
