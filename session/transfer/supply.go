package transfer

import (
	"natter/chat"
	"natter/session/transfer/ranges"
	"natter/session/transfer/tree"
)

// What receivers want, and how a sender reads, hashes and sends it.

// want takes a Want, the first of which accepts the offer.
func (s *Sender) want(p *peer, m *Message) {
	if m.Incarnation != p.incarnation {
		p.incarnation, p.seq = m.Incarnation, 0
		s.forget(p)
		if m.Durable < s.source.first { // its disk has lost what it had
			s.cut(p, Unread)
			return
		}
	}
	if m.Seq <= p.seq {
		return
	}
	p.seq = m.Seq
	s.activate(p)
	s.heard(p, m)
	total, known := pieces(s.size, s.cfg.piece)
	set := ranges.Of(m.Ranges...)
	if known {
		set.Remove(ranges.Range{First: total, End: tree.MaxPieces})
	}
	set.Remove(ranges.Range{End: s.source.first}) // of a stream: that is durable there
	for _, r := range set.Runs() {
		p.queue.Add(r)
	}
	if p.queue.Len() > maxWanted {
		s.cut(p, TooOften)
		return
	}
	if set.Len() > 0 {
		return
	}
	if known && m.Durable >= total {
		p.complete = false // it waits for the root
	}
	s.sendState(p)
}

// heard takes where a receiver stands.
func (s *Sender) heard(p *peer, m *Message) {
	f := &p.figures
	if m.Have > f.have {
		p.meter.add(m.Have-f.have, s.now)
		f.moved, f.dirty = s.now, true
		if f.stalled {
			f.stalled = false
			s.tell(p, Event{Kind: GoesOn})
		}
	}
	f.have = m.Have
	if m.Reason != p.paused {
		p.paused = m.Reason
		if m.Reason != 0 {
			s.tell(p, Event{Kind: Paused, Reason: m.Reason})
		} else {
			s.tell(p, Event{Kind: GoesOn})
		}
	}
	p.durable = max(p.durable, m.Durable)
	p.queue.Remove(ranges.Range{End: p.durable}) // that was on its way
	s.heardShared(p, m.Shared)
	s.source.release(s.peers.durable(s.source.next()))
}

// sendState tells a receiver how much of what it wants has been sent: what is wanted is sent
// in order, the lowest piece first.
func (s *Sender) sendState(p *peer) {
	before, more := p.queue.Next(0)
	if !more {
		before = tree.MaxPieces
	}
	s.send(p.user, Message{Kind: State, Seq: p.seq, Index: before, Shared: p.share.in})
}

// pump reads what can be sent.
func (s *Sender) pump() {
	s.regroup()
	s.pumpGroup()
	for _, p := range s.peers {
		if p.phase == active && p.up {
			s.pumpPeer(p)
		}
	}
	s.pumpHash()
	s.pumpStream()
}

func (s *Sender) pumpPeer(p *peer) {
	if s.rooted && !p.complete && p.queue.Len() == 0 {
		p.complete = true
		s.send(p.user, Message{Kind: Complete, Size: s.size, Root: s.root})
	}
	for p.lane.free(len(s.peers)+1) > 0 {
		r, ok := p.alone(s.group.front)
		if !ok || !s.supply(p.user, &p.lane, r) {
			return
		}
	}
}

// alone returns the next run that a receiver gets alone: the first that it wants, so that one
// that was lost on the way goes first. A member of the group gets what is before its front.
func (p *peer) alone(front uint64) (r ranges.Range, ok bool) {
	if p.queue.Len() == 0 {
		return r, false
	}
	r = p.queue.Runs()[0]
	if p.share.in && p.share.listens {
		r.End = min(r.End, front)
	}
	return r, r.Len() > 0
}

// free returns how many pieces may be read for a lane now, of so many.
func (l *lane) free(lanes int) int {
	limit := max(2, min(laneLimit, allLanes/lanes))
	if l.reading > 0 || l.flight > limit/2 {
		return 0
	}
	return min(run, limit-l.flight)
}

// supply sends the beginning of a run on a lane, or has it read. It reports whether something
// was sent.
func (s *Sender) supply(to chat.User, l *lane, r ranges.Range) bool {
	n := uint64(l.free(len(s.peers) + 1))
	r.End = min(r.End, r.First+n)
	if !s.source.single {
		l.reading, l.first = int(r.Len()), r.First
		s.emit(Effect{Kind: ReadPieces, To: to, Index: r.First, Count: l.reading})
		return false
	}
	c := &s.source
	r.End = min(r.End, c.next())
	if r.Len() == 0 || r.First < c.first {
		return false
	}
	s.deliver(to, r.First, c.pieces[r.First-c.first:r.End-c.first], c.hashes[r.First-c.first:r.End-c.first])
	return true
}

// readDone takes pieces that were read for a lane.
func (s *Sender) readDone(in *Input) {
	if in.From == streamLane {
		s.streamed(in)
		return
	}
	l := s.lane(in.From)
	if l == nil || l.reading == 0 || l.first != in.Index {
		return
	}
	count := l.reading
	l.reading = 0
	if s.over {
		return
	}
	total, _ := pieces(s.size, s.cfg.piece)
	end := min(s.size, int64(in.Index+uint64(count))*s.cfg.piece)
	if int64(len(in.Data)) != end-int64(in.Index)*s.cfg.piece {
		s.endAll(Changed)
		return
	}
	list := split(in.Data, s.cfg.piece)
	hashes := make([]tree.Hash, len(list))
	for i, data := range list {
		hashes[i] = tree.Sum(in.Index+uint64(i), data, total == 1)
	}
	s.built(in.Index, hashes)
	s.deliver(in.From, in.Index, list, hashes)
}

// split cuts what was read into pieces.
func split(data []byte, piece int64) (list [][]byte) {
	for len(data) > 0 {
		n := min(len(data), int(piece))
		list = append(list, data[:n:n])
		data = data[n:]
	}
	return list
}

// built adds hashes to the tree if they are its next ones.
func (s *Sender) built(first uint64, hashes []tree.Hash) {
	from := s.build.Len()
	if first > from || first+uint64(len(hashes)) <= from {
		return
	}
	hashes = hashes[from-first:]
	for _, h := range hashes {
		s.build.Add(h)
	}
	if !s.source.single {
		s.emit(Effect{Kind: CacheHashes, Index: from, Hashes: hashes})
	}
	s.checkRoot()
}

func (s *Sender) checkRoot() {
	if total, known := pieces(s.size, s.cfg.piece); known && s.build.Len() == total {
		s.rooted, s.root = true, s.build.Root()
	}
	for _, p := range s.peers {
		if s.rooted && p.claimed {
			p.claimed = false
			s.settle(p, p.root)
		}
	}
}

// deliver sends pieces, with their hashes ahead, to whom wants them.
func (s *Sender) deliver(to chat.User, first uint64, list [][]byte, hashes []tree.Hash) {
	r := ranges.Range{First: first, End: first + uint64(len(list))}
	l := s.lane(to)
	var whom []*peer
	if to == Everyone {
		s.group.front = max(s.group.front, r.End)
		whom = s.peers.members()
	} else if p := s.peers.find(to); p != nil && p.phase == active && p.up {
		whom = []*peer{p}
	}
	if len(whom) == 0 {
		return
	}
	size := int64(-1)
	if total, known := pieces(s.size, s.cfg.piece); known && r.End == total {
		size = s.size
	}
	s.send(to, Message{Kind: Hashes, Index: first, Hashes: hashes, Size: size})
	for i, data := range list {
		at := first + uint64(i)
		if to != Everyone && !whom[0].queue.Has(at) {
			continue // it was sent to all meanwhile
		}
		l.flight++
		s.send(to, Message{Kind: Piece, Index: at, Data: data})
	}
	for _, p := range whom {
		s.servedTo(p, r)
	}
}

func (s *Sender) servedTo(p *peer, r ranges.Range) {
	p.sent += r.Len()
	total, known := pieces(s.size, s.cfg.piece)
	if !known {
		total = s.source.next()
	}
	if p.sent > 4*total+resent {
		s.cut(p, TooOften)
		return
	}
	p.queue.Remove(r)
	s.sendState(p)
}

// pumpHash reads the next pieces for the root if a receiver is past them, as after a restart
// without a cache.
func (s *Sender) pumpHash() {
	if s.rooted || s.source.single || s.hash.reading > 0 {
		return
	}
	wanted := false
	for _, p := range s.peers {
		wanted = wanted || p.phase == active && p.up && p.durable > s.build.Len()
	}
	if total, _ := pieces(s.size, s.cfg.piece); wanted {
		s.hash = lane{reading: int(min(run, total-s.build.Len())), first: s.build.Len()}
		s.emit(Effect{Kind: ReadPieces, To: hashLane, Index: s.hash.first, Count: s.hash.reading})
	}
}

// pumpStream reads on in a stream while there is room.
func (s *Sender) pumpStream() {
	c := &s.source
	if !c.single || c.busy || c.ended {
		return
	}
	started := false
	for _, p := range s.peers {
		started = started || p.phase == active
	}
	if room := kept - len(c.pieces); started && room > 0 {
		c.busy = true
		s.emit(Effect{Kind: ReadPieces, To: streamLane, Index: c.next(), Count: min(run, room)})
	}
}

// streamed takes what was read of a stream: whole pieces, unless it ends with them.
func (s *Sender) streamed(in *Input) {
	c := &s.source
	next := c.next()
	if !c.busy || in.Index != next || s.over {
		return
	}
	c.busy = false
	list := split(in.Data, s.cfg.piece)
	if in.Yes {
		c.ended, s.size = true, int64(next)*s.cfg.piece+int64(len(in.Data))
	}
	hashes := make([]tree.Hash, len(list))
	for i, data := range list {
		hashes[i] = tree.Sum(next+uint64(i), data, in.Yes && next+uint64(len(list)) == 1)
	}
	c.pieces, c.hashes = append(c.pieces, list...), append(c.hashes, hashes...)
	s.built(next, hashes)
	s.checkRoot()
	if total, known := pieces(s.size, s.cfg.piece); known { // nothing is wanted behind it
		for _, p := range s.peers {
			p.queue.Remove(ranges.Range{First: total, End: tree.MaxPieces})
		}
	}
}

// release forgets pieces before one: they are durable everywhere.
func (c *stream) release(before uint64) {
	if c.single && before > c.first {
		n := int(before - c.first)
		clear(c.pieces[:n])
		c.pieces, c.hashes, c.first = c.pieces[n:], c.hashes[n:], before
	}
}

// next is the first piece that was not read.
func (c *stream) next() uint64 { return c.first + uint64(len(c.pieces)) }
