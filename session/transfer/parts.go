package transfer

import (
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

type partState uint8

const (
	missing partState = iota
	wanted            // it is under way
	held              // it is verified and in memory
	writing
	written
	syncing // and then recorded
	durable
)

// part is a piece as a receiver sees it.
type part struct {
	state  partState
	hashed bool
	hash   tree.Hash
	seq    uint64 // of the Want
	served Time   // when the sender had sent all of it; 0: not known
	data   []byte // while held
}

// parts is the pieces from the first one on that is not durable, and the tree of those before.
type parts struct {
	build tree.Builder
	list  []part // from low on
	count counts
}

// counts is how many parts are in some states.
type counts struct {
	wanted, held, writing, written, syncing int
}

// low is the first piece that is not durable.
func (s *parts) low() uint64 { return s.build.Len() }

// at returns the part of piece i, or nil if that is durable or too far.
func (s *parts) at(i uint64) *part {
	if i < s.low() || i-s.low() >= span {
		return nil
	}
	for k := i - s.low(); uint64(len(s.list)) <= k; {
		s.list = append(s.list, part{})
	}
	return &s.list[i-s.low()]
}

// known returns the part of piece i, or nil if nothing was done about it, or all.
func (s *parts) known(i uint64) *part {
	if i < s.low() || i-s.low() >= uint64(len(s.list)) {
		return nil
	}
	return &s.list[i-s.low()]
}

// in returns the part of a piece that is in a state, or nil.
func (s *parts) in(i uint64, state partState) *part {
	if p := s.known(i); p != nil && p.state == state {
		return p
	}
	return nil
}

// drop has a piece that is wanted be missing; its hash is still known.
func (s *parts) drop(p *part) {
	s.count.wanted--
	p.state, p.served = missing, 0
}

// lost drops all pieces that are wanted.
func (s *parts) lost() {
	for i := range s.list {
		if s.list[i].state == wanted {
			s.drop(&s.list[i])
		}
	}
}

// served notes that what was wanted up to seq has been sent, as far as it is before a piece.
func (s *parts) served(seq, before uint64, now Time) {
	for i := range s.list {
		if p := &s.list[i]; s.low()+uint64(i) < before && p.state == wanted && p.seq <= seq && p.served == 0 {
			p.served = now
		}
	}
}

// overdue drops what was sent and has not come in time, and reports whether there is any.
func (s *parts) overdue(now Time) bool {
	some := false
	for i := range s.list {
		if p := &s.list[i]; p.state == wanted && p.served > 0 && now >= p.served+reorder {
			s.drop(p)
			some = true
		}
	}
	return some
}

// due is when overdue drops something next.
func (s *parts) due() Time {
	next := never
	for i := range s.list {
		if p := &s.list[i]; p.state == wanted && p.served > 0 {
			next = min(next, p.served+reorder)
		}
	}
	return next
}

// stuck reports whether the first piece that has not come is not under way. It is wanted even
// if the window is full: the sender of a stream may have no other one.
func (s *parts) stuck() bool {
	for i := range s.list {
		if state := s.list[i].state; state <= wanted {
			return state == missing
		}
	}
	return false
}

// gap reports whether a piece is missing before one that is wanted: it was lost, and is not
// to wait.
func (s *parts) gap() bool {
	found := false
	for i := range s.list {
		switch s.list[i].state {
		case missing:
			found = true
		case wanted:
			if found {
				return true
			}
		}
	}
	return false
}

// all reports whether none of the first n pieces is missing.
func (s *parts) all(n uint64) bool {
	if n-s.low() > uint64(len(s.list)) {
		return false
	}
	for i := range s.list[:n-s.low()] {
		if s.list[i].state == missing {
			return false
		}
	}
	return true
}

// each moves all parts from one state to another.
func (s *parts) each(from, to partState) {
	for i := range s.list {
		if s.list[i].state == from {
			s.list[i].state = to
		}
	}
}

// records returns what the journal is to say of the pieces that are synced.
func (s *parts) records() (list []journal.Record) {
	for i := range s.list {
		p := &s.list[i]
		if p.state != syncing {
			continue
		}
		at := s.low() + uint64(i)
		if n := len(list); n == 0 || list[n-1].First+uint64(len(list[n-1].Hashes)) != at {
			list = append(list, journal.Record{Kind: journal.Pieces, First: at})
		}
		last := &list[len(list)-1]
		last.Hashes = append(last.Hashes, p.hash)
	}
	return list
}

// advance moves on to the first piece that is not durable.
func (s *parts) advance() {
	k := 0
	for ; k < len(s.list) && s.list[k].state == durable; k++ {
		s.build.Add(s.list[k].hash)
	}
	s.list = s.list[k:]
}
