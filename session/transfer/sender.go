package transfer

import (
	"fmt"
	"strings"
	"time"

	"natter/chat"
	"natter/session/transfer/manifest"
	"natter/session/transfer/ranges"
	"natter/session/transfer/tree"
)

const (
	// run is how many pieces are read at once, and laneLimit how many of a lane the transport
	// has at most; both are less if there are many lanes.
	run       = 8
	laneLimit = 16
	allLanes  = 96
	// near is how far two receivers are apart at most that get pieces together, in pieces, and
	// nearWait how long the others wait for one that does not want the next piece.
	near     = 128
	nearWait = 250 * time.Millisecond
	// apart is for how long a receiver that was not near gets pieces alone, at first and at last.
	apart     = 4 * time.Second
	apartLast = time.Minute
	// kept is how many pieces of a stream are kept until they are durable everywhere.
	kept = MaxWindow / tree.PieceSize
	// maxWanted is how many pieces a receiver may want at once.
	maxWanted = 2 * MaxWindow / tree.PieceSize
	// resent is how many pieces a receiver is sent at most, beside four times the content.
	resent = 2048
	// offerLast is the longest pause between two offers to a receiver that does not answer.
	offerLast = 30 * time.Second
)

// SenderConfig is what a Sender needs.
type SenderConfig struct {
	ID          ID
	Incarnation uint64 // see Message
	Summary     manifest.Summary
	Receivers   []chat.User
	Built       tree.Builder // of the first pieces, as the cache has them; nothing of a stream

	piece int64 // size of a piece, in tests
}

// Sender is the sender's part of a transfer to one receiver or several. See the package comment.
type Sender struct {
	cfg    SenderConfig
	peers  peers
	group  group
	build  tree.Builder
	size   int64 // -1: not known
	rooted bool
	root   tree.Hash
	hash   lane // reads what nobody wants, for the root
	source stream
	over   bool

	outbox
}

// stream is a content that can be read only once.
type stream struct {
	single bool // it is one
	first  uint64
	pieces [][]byte    // from first on, until they are durable everywhere
	hashes []tree.Hash // of them
	busy   bool        // more is being read
	ended  bool
}

type peerPhase uint8

const (
	asked  peerPhase = iota // the receiver has not answered
	noted                   // its user is being asked
	active                  // it wants pieces, or will
	ended
)

// peers is the receivers.
type peers []*peer

// find returns a receiver, or nil.
func (list peers) find(u chat.User) *peer {
	for _, p := range list {
		if p.user == u {
			return p
		}
	}
	return nil
}

// members returns the receivers of the group that listen.
func (list peers) members() (members []*peer) {
	for _, p := range list {
		if p.share.in && p.share.listens {
			members = append(members, p)
		}
	}
	return members
}

// durable is the first piece that one of the receivers may still need, at most upTo.
func (list peers) durable(upTo uint64) uint64 {
	for _, p := range list {
		if p.phase != ended {
			upTo = min(upTo, p.durable)
		}
	}
	return upTo
}

// peer is a receiver as the sender sees it.
type peer struct {
	user        chat.User
	phase       peerPhase
	reason      Reason // why ended; 0: it has everything
	up          bool
	offer       again
	stop        again
	said        Time // when it was told of the end last
	incarnation uint64
	seq         uint64     // of its last Want
	queue       ranges.Set // what it wants
	lane        lane
	durable     uint64
	sent        uint64 // pieces
	complete    bool   // it was told the root
	claimed     bool   // it has told the root before it was known here
	root        tree.Hash
	share       sharing
	figures     figures
	meter       meter
	paused      Reason
}

// lane is a way on which pieces go: one to each receiver and the shared channel.
type lane struct {
	reading int    // pieces; 0: none
	first   uint64 // of them
	flight  int    // pieces that the transport has
}

// NewSender makes the sender of an offer. The first input is a LinkUp for each receiver that
// can be reached. After a restart it is the same; receivers say what they have.
func NewSender(cfg SenderConfig) *Sender {
	if cfg.piece == 0 {
		cfg.piece = tree.PieceSize
	}
	s := &Sender{cfg: cfg, size: cfg.Summary.Size, build: cfg.Built, outbox: outbox{id: cfg.ID, incarnation: cfg.Incarnation}}
	s.source.single = s.size < 0
	for _, u := range cfg.Receivers {
		p := &peer{user: u}
		p.offer.stop()
		p.stop.stop()
		s.peers = append(s.peers, p)
	}
	s.checkRoot()
	return s
}

// Next is when a Tick is due; a step at another time is harmless.
func (s *Sender) Next() Time {
	next := s.group.next()
	for _, p := range s.peers {
		if p.up {
			next = min(next, p.offer.at, p.stop.at)
		}
		if p.phase != active {
			continue
		}
		if p.figures.dirty {
			next = min(next, p.figures.next)
		}
		if !p.figures.stalled && p.up {
			next = min(next, p.figures.moved+stallAfter)
		}
	}
	return next
}

// Step takes an input and appends what is to be done about it to out. Time must not go back.
func (s *Sender) Step(in Input, now Time, out []Effect) []Effect {
	s.now, s.fx = max(now, s.now), out
	s.take(&in)
	if !s.over {
		s.pump()
	}
	out, s.fx = s.fx, nil
	return out
}

func (s *Sender) take(in *Input) {
	switch in.Kind {
	case MessageIn:
		if p := s.peers.find(in.From); p != nil && in.Message.ID == s.cfg.ID {
			s.message(p, &in.Message)
		}
	case LinkUp:
		if p := s.peers.find(in.From); p != nil {
			s.linkUp(p, in.Yes)
		}
	case LinkDown:
		if p := s.peers.find(in.From); p != nil {
			p.up = false
			s.forget(p)
		}
	case ReadDone:
		s.readDone(in)
	case ReadFailed:
		s.endAll(in.Reason)
	case Sent:
		if l := s.lane(in.From); l != nil {
			l.flight = max(0, l.flight-1)
		}
	case Cancel:
		s.endAll(Stopped)
	case Tick:
		s.tick()
	}
}

// lane finds a lane by its name.
func (s *Sender) lane(name chat.User) *lane {
	switch name {
	case Everyone:
		return &s.group.lane
	case hashLane:
		return &s.hash
	}
	if p := s.peers.find(name); p != nil {
		return &p.lane
	}
	return nil
}

func (s *Sender) linkUp(p *peer, share bool) {
	p.up, p.share.can = true, share
	s.forget(p)
	switch {
	case p.phase == ended:
		s.farewellSoon(p)
	case p.phase == active:
		p.figures.moved = s.now
		p.meter.start(s.now)
		s.send(p.user, Message{Kind: Offer, Summary: s.cfg.Summary})
	default:
		p.offer.start(s.now, 0)
	}
	s.tick()
}

// forget drops what a receiver wants, and what is on its way: it says so anew.
func (s *Sender) forget(p *peer) {
	p.queue, p.lane.flight, p.complete = ranges.Set{}, 0, false
	s.leaveGroup(p)
	p.share.listens = false
}

func (s *Sender) tell(p *peer, e Event) {
	e.Who, e.Have, e.Size = p.user, p.figures.have, s.size
	s.emit(Effect{Kind: Tell, Event: e})
}

// message takes what a receiver says.
func (s *Sender) message(p *peer, m *Message) {
	switch m.Kind {
	case Stop:
		s.send(p.user, Message{Kind: Bye})
		s.end(p, m.Reason)
		p.stop.stop()
		return
	case Bye:
		p.stop.stop()
		return
	case Done:
		s.done(p, m)
		return
	}
	if p.phase == ended {
		s.farewellSoon(p)
		return
	}
	switch m.Kind {
	case Noted:
		if p.phase == asked {
			p.phase = noted
			p.offer.stop()
		}
	case WantPage:
		if m.Index < uint64(s.cfg.Summary.Pages) {
			s.send(p.user, Message{Kind: Page, Index: m.Index})
		}
	case Want:
		s.want(p, m)
	}
}

// done takes that a receiver has everything; one that was restarted says it again.
func (s *Sender) done(p *peer, m *Message) {
	switch {
	case p.phase == ended:
		s.send(p.user, Message{Kind: Bye})
	case s.rooted:
		s.settle(p, m.Root)
	case s.size >= 0:
		// After a restart the root may have to be found first.
		s.activate(p)
		p.claimed, p.root = true, m.Root
		p.durable, _ = pieces(s.size, s.cfg.piece)
	}
}

// settle ends the transfer to a receiver that has everything.
func (s *Sender) settle(p *peer, root tree.Hash) {
	if root != s.root {
		s.cut(p, Damaged)
		return
	}
	p.figures.have = s.size
	s.send(p.user, Message{Kind: Bye})
	s.end(p, 0)
}

// activate notes that a receiver has accepted.
func (s *Sender) activate(p *peer) {
	if p.phase == active {
		return
	}
	p.phase = active
	p.offer.stop()
	p.meter.start(s.now)
	p.figures.moved = s.now
	s.tell(p, Event{Kind: Started})
}

// end notes that nothing more goes to a receiver.
func (s *Sender) end(p *peer, why Reason) {
	if p.phase == ended {
		return
	}
	p.phase, p.reason = ended, why
	p.offer.stop()
	s.forget(p)
	s.tell(p, Event{Kind: Ended, Reason: why, Root: s.root})
	for _, q := range s.peers {
		if q.phase != ended {
			s.source.release(s.peers.durable(s.source.next()))
			return
		}
	}
	s.over, s.source.pieces, s.source.hashes = true, nil, nil
	s.emit(Effect{Kind: Over})
}

// cut ends the transfer to a receiver and tells it so.
func (s *Sender) cut(p *peer, why Reason) {
	if p.phase == ended {
		return
	}
	s.end(p, why)
	s.farewellSoon(p)
}

// farewellSoon tells a receiver of the end, at most once a second.
func (s *Sender) farewellSoon(p *peer) {
	if p.reason != 0 && s.now >= p.said+time.Second {
		p.stop.start(s.now, 0)
		s.farewell(p)
	}
}

func (s *Sender) farewell(p *peer) {
	if p.reason == 0 || !p.up || !p.stop.due(s.now, pingLast) {
		return
	}
	if p.stop.tries >= farewells {
		p.stop.stop()
	}
	p.said = s.now
	s.send(p.user, Message{Kind: Stop, Reason: p.reason})
}

func (s *Sender) endAll(why Reason) {
	for _, p := range s.peers {
		s.cut(p, why)
	}
}

// tick does what time has made due.
func (s *Sender) tick() {
	for _, p := range s.peers {
		switch {
		case p.phase == ended:
			s.farewell(p)
		case p.phase == active:
			s.tickFigures(p)
		case p.up && p.offer.due(s.now, offerLast):
			s.send(p.user, Message{Kind: Offer, Summary: s.cfg.Summary})
		}
	}
}

func (s *Sender) tickFigures(p *peer) {
	f := &p.figures
	if f.dirty && s.now >= f.next {
		f.dirty, f.next = false, s.now+progressEvery
		e := Event{Kind: Progress, Rate: p.meter.at(s.now), Left: -1}
		if s.size >= 0 {
			e.Left = p.meter.left(s.size-f.have, s.now)
		}
		s.tell(p, e)
	}
	if !f.stalled && p.up && s.now >= f.moved+stallAfter {
		f.stalled = true
		s.tell(p, Event{Kind: Stalled, Reason: p.paused})
	}
}

// String prints a sender so that a trace reads as a story.
func (s *Sender) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "hashed %d rooted %v front %d", s.build.Len(), s.rooted, s.group.front)
	for _, p := range s.peers {
		fmt.Fprintf(&b, "; %s %d up %v wants %s seq %d durable %d lane %+v in group %v", p.user, p.phase, p.up, &p.queue, p.seq, p.durable, p.lane, p.share.in)
	}
	return b.String()
}
