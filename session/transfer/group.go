package transfer

import (
	"natter/session/transfer/ranges"
)

// Receivers that are near each other get pieces together, on a channel that they share: each
// piece is published once. One that falls behind, or has what the others want, gets pieces
// alone until it is near again. Nobody waits for it longer than nearWait.

// group is the receivers that get pieces together.
type group struct {
	front uint64 // the next piece; what is before it is wanted alone
	lane  lane
	since Time // when the next piece was not wanted by all of them first; 0: it is
}

// sharing is how a receiver is with the group.
type sharing struct {
	can     bool // it can listen
	in      bool // it is asked to
	listens bool // it does
	alone   Time // it is not asked before
	pause   Time // nor for so long after the next time
}

func (g *group) next() Time {
	if g.since > 0 {
		return g.since + nearWait
	}
	return never
}

// heardShared takes whether a receiver listens.
func (s *Sender) heardShared(p *peer, listens bool) {
	if p.share.in && listens && !p.share.listens {
		// What it, or another member, wants before the front goes there alone.
		s.group.front = max(s.group.front, p.position())
	}
	p.share.listens = listens
}

// position is the next piece that a receiver gets.
func (p *peer) position() uint64 {
	if i, ok := p.queue.Next(0); ok {
		return i
	}
	return p.durable
}

// regroup asks receivers that are near each other to listen.
func (s *Sender) regroup() {
	var can []*peer
	for _, p := range s.peers {
		if p.phase == active && p.up && p.share.can && (p.share.in || s.now >= p.share.alone) && p.queue.Len() > 0 {
			can = append(can, p)
		}
	}
	if len(can) < 2 {
		s.dissolve()
		return
	}
	front := s.group.front
	if len(s.peers.members()) == 0 {
		for _, p := range can {
			front = max(front, p.position())
		}
	}
	var close []*peer
	for _, p := range can {
		if at := p.position(); at+near > front && at < front+near {
			close = append(close, p)
		}
	}
	if len(close) < 2 {
		return
	}
	for _, p := range close {
		if !p.share.in {
			p.share.in = true
			s.sendState(p)
		}
	}
}

// dissolve ends a group of one.
func (s *Sender) dissolve() {
	n := 0
	for _, p := range s.peers {
		if p.share.in {
			n++
		}
	}
	for _, p := range s.peers {
		if n == 1 && p.share.in {
			s.leaveGroup(p)
			s.sendState(p)
		}
	}
	if n < 2 {
		s.group.front, s.group.since = 0, 0
	}
}

func (s *Sender) leaveGroup(p *peer) {
	p.share.in = false
	s.group.since = 0
}

// evict has a receiver get pieces alone for some time.
func (s *Sender) evict(p *peer) {
	s.leaveGroup(p)
	p.share.pause = min(max(apart, 2*p.share.pause), apartLast)
	p.share.alone = s.now + p.share.pause
	s.sendState(p)
}

// pumpGroup reads the next run that all members want. Who does not want its first piece for
// nearWait, while others do, is no longer a member.
func (s *Sender) pumpGroup() {
	g := &s.group
	for g.lane.free(len(s.peers)+1) > 0 {
		list := s.peers.members()
		if len(list) < 2 {
			return
		}
		first, some := uint64(0), false
		for _, p := range list {
			if i, ok := p.queue.Next(g.front); ok && (!some || i < first) {
				first, some = i, true
			}
		}
		if !some {
			g.since = 0
			return
		}
		r := ranges.Range{First: first, End: first + run}
		all := true
		for _, p := range list {
			all = all && p.queue.Has(first)
			r.End = min(r.End, p.queue.Gap(first))
		}
		if all {
			g.since = 0
			if !s.supply(Everyone, &g.lane, r) {
				return
			}
			continue
		}
		if !s.waited(list, first) {
			return
		}
	}
}

// waited reports whether the members that want the next piece have waited long enough for the
// others; then those are members no longer.
func (s *Sender) waited(list []*peer, first uint64) bool {
	g := &s.group
	if g.since == 0 {
		g.since = max(1, s.now)
	}
	if s.now < g.since+nearWait {
		return false
	}
	g.since = 0
	for _, p := range list {
		if !p.queue.Has(first) {
			s.evict(p)
		}
	}
	return true
}
