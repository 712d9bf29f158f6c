package transfer

import (
	"slices"
	"time"

	"natter/session/transfer/tree"
)

// misbehave has something go wrong, and again later.
func (s *sim) misbehave() {
	if s.closing {
		return
	}
	s.After(s.Between(0, 2*s.plan.faultEvery), s.misbehave)
	r := s.receivers[s.Rand.IntN(len(s.receivers))]
	switch s.Rand.IntN(6) {
	case 0:
		s.killSender()
	case 1, 2:
		s.kill(r)
	case 3, 4:
		s.interrupt(r)
	case 5:
		r.disk.full = true
		s.After(s.Between(0, 8*time.Second), func() { r.disk.full = false })
	}
}

// connect has a line come up; both sides notice in some order.
func (s *sim) connect(r *simReceiver) {
	l := &r.line
	if l.up {
		return
	}
	l.up = true
	l.epoch++
	l.free, l.last = [2]Time{s.Now, s.Now}, [2]Time{}
	epoch := l.epoch
	s.After(s.Between(0, 50*ms), func() {
		if l.epoch == epoch {
			s.stepSender(Input{Kind: LinkUp, From: r.name, Yes: s.plan.shared})
		}
	})
	s.After(s.Between(0, 50*ms), func() {
		if l.epoch == epoch {
			s.step(r, Input{Kind: LinkUp})
		}
	})
}

func (s *sim) cut(r *simReceiver) {
	l := &r.line
	l.up = false
	l.epoch++
	r.breaks++
	s.Log("the line to %s is cut", r.name)
	s.stepSender(Input{Kind: LinkDown, From: r.name})
	s.step(r, Input{Kind: LinkDown})
}

func (s *sim) interrupt(r *simReceiver) {
	if !r.line.up {
		return
	}
	s.cut(r)
	epoch := r.line.epoch
	s.After(s.Between(0, 3*time.Second), func() {
		if r.line.epoch == epoch && !r.dead && !s.sender.dead {
			s.connect(r)
		}
	})
}

// kill is kill -9 and, half of the time, a power cut for the disk; the program is started anew.
func (s *sim) kill(r *simReceiver) {
	if r.dead || r.core == nil {
		return
	}
	if r.line.up {
		s.cut(r)
	}
	r.breaks++
	r.dead = true
	s.Log("%s is killed", r.name)
	if s.One(2) {
		r.disk.crash(s)
	}
	s.After(s.Between(0, 4*time.Second), func() { s.restart(r) })
}

func (s *sim) restart(r *simReceiver) {
	if !r.dead {
		return
	}
	r.dead = false
	r.core = nil
	r.life++
	if r.accepted && r.why == 0 {
		s.beginReceiver(r)
	}
	if !s.sender.dead {
		s.connect(r)
	}
}

func (s *sim) killSender() {
	if s.sender.dead || s.plan.stream {
		return
	}
	for _, r := range s.receivers {
		if r.line.up {
			s.cut(r)
		}
	}
	p := s.sender
	p.dead = true
	p.life++
	s.Log("the sender is killed")
	switch s.Rand.IntN(4) {
	case 0:
		p.cache = nil
	case 1:
		p.cache = p.cache[:s.Rand.IntN(len(p.cache)+1)]
	}
	s.After(s.Between(0, 4*time.Second), s.restartSender)
}

func (s *sim) restartSender() {
	if !s.sender.dead {
		return
	}
	s.beginSender()
	for _, r := range s.receivers {
		if !r.dead {
			s.connect(r)
		}
	}
}

// heal ends all faults.
func (s *sim) heal() {
	s.closing = true
	s.Log("everything heals")
	s.restartSender()
	for _, r := range s.receivers {
		r.disk.full = false
		s.restart(r)
		s.connect(r)
	}
}

// lie is a way in which a sender does not keep to the rules.
type lie struct {
	name string
	tell func(s *sim, m Message) []Message
}

func edit(change func(s *sim, m *Message)) func(*sim, Message) []Message {
	return func(s *sim, m Message) []Message {
		m.Data, m.Hashes = slices.Clone(m.Data), slices.Clone(m.Hashes)
		change(s, &m)
		return []Message{m}
	}
}

// pieceLie changes one piece of some.
func pieceLie(name string, change func(s *sim, m *Message)) lie {
	return lie{name, edit(func(s *sim, m *Message) {
		if m.Kind == Piece && s.One(5) {
			change(s, m)
		}
	})}
}

var lies = []lie{
	{"none", func(_ *sim, m Message) []Message { return []Message{m} }},
	pieceLie("a flipped bit", func(s *sim, m *Message) { m.Data[0] ^= 4 }),
	pieceLie("another piece's place", func(s *sim, m *Message) { m.Index++ }),
	pieceLie("a byte too many", func(s *sim, m *Message) { m.Data = append(m.Data, 0) }),
	pieceLie("a byte too few", func(s *sim, m *Message) { m.Data = m.Data[1:] }),
	pieceLie("a piece behind the end", func(s *sim, m *Message) { m.Index += 1000 }),
	{"pieces left out", func(s *sim, m Message) []Message {
		if m.Kind == Piece && s.One(5) {
			return nil
		}
		return []Message{m}
	}},
	{"everything twice", func(s *sim, m Message) []Message { return []Message{m, m} }},
	{"hashes of something else", edit(func(s *sim, m *Message) {
		if m.Kind == Hashes && len(m.Hashes) > 0 {
			m.Hashes[s.Rand.IntN(len(m.Hashes))][0] ^= 1
		}
	})},
	{"hashes and pieces that agree", func(s *sim, m Message) []Message {
		if m.Kind != Hashes || len(m.Hashes) == 0 {
			return []Message{m}
		}
		bad := make([]byte, simPiece)
		hashes := Message{Kind: Hashes, ID: m.ID, Incarnation: m.Incarnation, Index: m.Index, Size: -1, Hashes: []tree.Hash{tree.Sum(m.Index, bad, false)}}
		return []Message{hashes, {Kind: Piece, ID: m.ID, Incarnation: m.Incarnation, Index: m.Index, Data: bad}, m}
	}},
	{"another root", edit(func(s *sim, m *Message) {
		if m.Kind == Complete {
			m.Root[3] ^= 1
		}
	})},
	{"another size at the end", edit(func(s *sim, m *Message) {
		if m.Kind == Complete {
			m.Size++
		}
	})},
	{"a smaller size", edit(func(s *sim, m *Message) {
		if m.Kind == Hashes && m.Size > 0 || m.Kind == Complete && m.Size > 0 {
			m.Size--
		}
	})},
	{"another offer", edit(func(s *sim, m *Message) {
		if m.Kind == Offer && s.One(3) {
			m.Summary.Size++
		}
	})},
	{"another page", edit(func(s *sim, m *Message) {
		if m.Kind == Page || m.Kind == Offer {
			m.Data[len(m.Data)-1] ^= 1
		}
	})},
	{"states too early", func(s *sim, m Message) []Message {
		early := Message{Kind: State, ID: m.ID, Incarnation: m.Incarnation, Seq: uint64(s.Rand.IntN(20)), Index: tree.MaxPieces}
		return []Message{early, m}
	}},
}
