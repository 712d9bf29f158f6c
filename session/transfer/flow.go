package transfer

import (
	"natter/session/transfer/ranges"
	"natter/session/transfer/tree"
)

// What a receiver takes from the sender, and what it asks of it.

func (r *Receiver) message(m *Message) {
	switch {
	case m.Kind == Stop:
		r.stopped(m.Reason)
		return
	case m.Kind == Bye:
		r.bye()
		return
	case r.phase >= done:
		r.sayEnd() // the sender has not heard of it
		return
	}
	if m.Incarnation != r.flow.incarnation {
		r.flow.incarnation = m.Incarnation
		r.parts.lost() // the sender knows nothing of what is wanted
	}
	if r.phase == offered {
		r.paged(m)
		return
	}
	if r.phase != receiving {
		return
	}
	r.flow.ping.start(r.now, pingFirst)
	switch m.Kind {
	case Offer:
		if m.Summary != r.cfg.Summary {
			r.fail(NotAsIs)
		} else {
			r.parts.lost() // the sender has forgotten what is wanted, or never knew
			r.begin()
		}
	case Hashes:
		r.hashes(m)
	case Piece:
		r.piece(m.Index, m.Data)
	case Complete:
		r.complete(m)
	case State:
		r.state(m)
	}
}

func (r *Receiver) stopped(why Reason) {
	r.send("", Message{Kind: Bye})
	if r.phase <= receiving {
		r.finish(why)
	}
	r.end.stop()
}

func (r *Receiver) bye() {
	if r.phase == done {
		r.phase = over
		r.emit(Effect{Kind: Over})
	}
	if r.phase == over {
		r.end.stop()
	}
}

// paged takes the pages of the list, one after the other.
func (r *Receiver) paged(m *Message) {
	index := m.Index
	switch {
	case m.Kind == Offer && m.Summary != r.cfg.Summary:
		r.fail(NotAsIs)
		return
	case m.Kind == Offer:
		index = 0
	case m.Kind != Page:
		return
	}
	if !r.list.Done() && index == uint64(r.list.Next()) {
		if r.list.Page(m.Data) != nil {
			r.fail(NotAsIs)
			return
		}
		r.emit(Effect{Kind: KeepPage, Message: Message{Kind: Page, Index: index, Data: m.Data}})
		if r.list.Done() {
			r.page.stop()
			r.tell(Event{Kind: Offered})
		} else {
			r.page.start(r.now, 0)
			r.wantPage()
		}
	}
	if r.list.Done() {
		r.send("", Message{Kind: Noted})
	}
}

func (r *Receiver) wantPage() {
	if r.phase == offered && r.flow.up && !r.list.Done() && r.page.due(r.now, pingLast) {
		r.send("", Message{Kind: WantPage, Index: uint64(r.list.Next())})
	}
}

// hashes takes hashes of pieces that are under way, ahead of them.
func (r *Receiver) hashes(m *Message) {
	if m.Size >= 0 && !r.sized(m.Size) {
		return
	}
	for k, h := range m.Hashes {
		p := r.parts.known(m.Index + uint64(k))
		if p == nil {
			continue
		}
		if p.hashed && p.hash != h {
			r.fail(Changed)
			return
		}
		if p.state == wanted {
			p.hash, p.hashed = h, true
		}
	}
}

// sized takes the size of the content, and reports whether it is possible.
func (r *Receiver) sized(size int64) bool {
	n, _ := pieces(size, r.content.piece)
	switch {
	case size == r.content.size:
		return true
	case r.content.size >= 0, n < r.parts.low():
		r.fail(NotAsIs)
		return false
	case size > r.content.bound():
		r.fail(TooLarge)
		return false
	}
	for i := n - r.parts.low(); i < uint64(len(r.parts.list)); i++ {
		switch p := &r.parts.list[i]; p.state {
		case missing:
		case wanted:
			r.parts.drop(p)
		default: // it cannot be there
			r.fail(NotAsIs)
			return false
		}
	}
	r.content.size = size
	return true
}

// piece verifies a piece that is under way. Others are of no use.
func (r *Receiver) piece(i uint64, data []byte) {
	p := r.parts.in(i, wanted)
	switch {
	case p == nil:
		return
	case !p.hashed:
		p.served = r.now // its hash was lost on the way
		return
	case r.content.size < 0 && int64(i)*r.content.piece+int64(len(data)) > r.content.bound():
		r.fail(TooLarge)
		return
	case len(data) != r.content.length(i):
		r.damaged(p)
		return
	}
	n, known := r.content.pieces()
	if tree.Sum(i, data, known && n == 1) != p.hash {
		r.damaged(p)
		return
	}
	r.flow.damaged, r.flow.vain = max(0, r.flow.damaged-1), 0
	r.parts.drop(p)
	p.state, p.data = held, data
	r.parts.count.held++
	r.moved(int64(len(data)))
	r.flow.adapt(r.content.piece, r.now)
	r.write()
}

// damaged takes a piece that is not what its hash says. It may have been told wrong, too.
func (r *Receiver) damaged(p *part) {
	r.parts.drop(p)
	p.hashed = false
	r.flow.damaged += 2
	if r.flow.damaged > 2*damagedMore {
		r.fail(Damaged)
	}
}

func (r *Receiver) moved(n int64) {
	f := &r.figures
	f.have += n
	f.moved, f.dirty = r.now, true
	r.flow.meter.add(n, r.now)
	if f.stalled {
		f.stalled = false
		r.tell(Event{Kind: GoesOn})
	}
}

// adapt has the window grow with each piece to what comes in the time of queued, and shrink to
// that.
func (f *flow) adapt(piece int64, now Time) {
	want := f.max
	if f.meter.known {
		want = min(want, int(f.meter.at(now)*queued.Seconds()/float64(piece)))
	}
	f.window = max(1, min(f.window+1, want))
}

// limit sets how much memory pieces under way may take.
func (f *flow) limit(memory, piece int64) {
	if memory <= 0 || memory > MaxWindow {
		memory = MaxWindow
	}
	f.max = int(min(max(1, memory/piece), MaxWindow/tree.PieceSize))
	f.window = min(f.window, f.max)
}

func (r *Receiver) complete(m *Message) {
	if !r.sized(m.Size) {
		return
	}
	if r.content.rooted && r.content.root != m.Root {
		r.fail(Changed)
		return
	}
	r.content.rooted, r.content.root = true, m.Root
}

// state takes how much of what was wanted has been sent. What does not come soon is lost.
func (r *Receiver) state(m *Message) {
	if m.Seq > 0 && m.Seq <= r.flow.seq {
		r.parts.served(m.Seq, m.Index, r.now)
	}
	if m.Shared != r.flow.shared {
		r.flow.shared = m.Shared
		r.emit(Effect{Kind: Listen, Yes: m.Shared})
		if r.now >= r.flow.toggled+reorder {
			r.flow.toggled = r.now
			r.report()
		}
	}
}

// fill asks for pieces if there is room, and reports whether it has.
func (r *Receiver) fill() bool {
	f, c := &r.flow, &r.parts.count
	if !f.up || r.disk.paused != 0 {
		return false
	}
	under := c.wanted + c.held + c.writing
	room := f.window - under
	if room <= 0 && r.parts.stuck() {
		room = 1
	} else if room <= 0 || under > 0 && room < f.window/4 && !r.parts.gap() {
		return false
	}
	var want ranges.Set
	end, known := r.content.pieces()
	if !known {
		end = uint64(r.content.bound()/r.content.piece) + 1 // the one that is too many, too
	}
	for i := r.parts.low(); room > 0 && i < end && i < r.parts.low()+span && len(want.Runs()) < maxRanges; i++ {
		if p := r.parts.at(i); p.state == missing {
			p.state, p.seq, p.served = wanted, f.seq+1, 0
			c.wanted++
			room--
			want.Add(ranges.Range{First: i, End: i + 1})
		}
	}
	if want.Len() == 0 {
		return false
	}
	r.want(want.Runs())
	return true
}

func (r *Receiver) want(list []ranges.Range) {
	r.flow.seq++
	r.send("", Message{Kind: Want, Seq: r.flow.seq, Shared: r.flow.shared, Durable: r.parts.low(), Have: r.figures.have, Ranges: list, Reason: r.disk.paused})
}

// report tells the sender where this receiver stands, and so asks where it does.
func (r *Receiver) report() {
	if r.flow.up {
		r.want(nil)
	}
}

// tick does what time has made due.
func (r *Receiver) tick() {
	r.wantPage()
	r.farewell()
	if r.phase != receiving {
		return
	}
	if r.parts.overdue(r.now) {
		// If that goes on and nothing comes at all, the sender does not have it.
		if r.flow.vain++; r.flow.vain > vainTries {
			r.fail(NotAsIs)
			return
		}
	}
	if r.disk.paused != 0 && r.now >= r.disk.retry {
		r.disk.paused = 0
	}
	r.tickFigures()
	if r.flow.up && r.flow.ping.due(r.now, pingLast) && !r.fill() {
		r.report()
	}
}

func (r *Receiver) tickFigures() {
	f := &r.figures
	if f.dirty && r.now >= f.next {
		f.dirty, f.next = false, r.now+progressEvery
		e := Event{Kind: Progress, Rate: r.flow.meter.at(r.now), Left: -1}
		if r.content.size >= 0 {
			e.Left = r.flow.meter.left(r.content.size-f.have, r.now)
		}
		r.tell(e)
	}
	if r.flow.up && !f.stalled && r.now >= f.moved+stallAfter {
		f.stalled = true
		r.tell(Event{Kind: Stalled, Reason: r.disk.paused})
	}
}
