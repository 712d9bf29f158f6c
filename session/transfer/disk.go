package transfer

import (
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

// What a receiver does with its disk: pieces are written as they come, synced, and only then
// recorded. What is recorded is durable and is never asked for again.

// disked takes what the disk answers.
func (r *Receiver) disked(in *Input) {
	switch in.Kind {
	case Written:
		r.written(in.Index)
	case WriteFailed:
		r.unwritten(in.Index, in.Reason)
	case Synced:
		if r.phase == receiving && r.disk.busy {
			r.emit(Effect{Kind: AppendRecords, Records: r.parts.records()})
		}
	case Recorded:
		r.recorded()
	case SyncFailed, RecordFailed:
		r.unsynced(in.Reason)
	case Placed:
		if r.phase == placing {
			r.phase = placed
			r.emit(Effect{Kind: AppendRecords, Records: []journal.Record{{Kind: journal.Finished, First: uint64(r.content.size), Hashes: []tree.Hash{r.content.root}}}})
		}
	case PlaceFailed:
		if r.phase == placing {
			r.fail(in.Reason)
		}
	}
}

// write has pieces written, as many as may be lost in a crash.
func (r *Receiver) write() {
	for i := 0; i < len(r.parts.list) && r.parts.count.held > 0 && r.parts.count.writing+r.parts.count.written < batch && r.disk.paused == 0; i++ {
		p := &r.parts.list[i]
		if p.state != held {
			continue
		}
		r.emit(Effect{Kind: WritePiece, Index: r.parts.low() + uint64(i), Data: p.data})
		p.state, p.data = writing, nil
		r.parts.count.held--
		r.parts.count.writing++
	}
}

func (r *Receiver) written(i uint64) {
	p := r.parts.in(i, writing)
	if p == nil || r.phase != receiving {
		return
	}
	p.state = written
	r.parts.count.writing--
	if r.parts.count.written++; r.parts.count.written == 1 {
		r.disk.first = r.now
	}
	if r.disk.told && r.disk.paused == 0 {
		r.disk.told = false
		r.tell(Event{Kind: GoesOn})
		r.report()
	}
}

func (r *Receiver) unwritten(i uint64, why Reason) {
	if p := r.parts.in(i, writing); p != nil && r.phase == receiving {
		p.state = missing
		r.parts.count.writing--
		r.figures.have -= int64(r.content.length(i))
		r.pause(why)
	}
}

// pause stops for a while: there may be room again.
func (r *Receiver) pause(why Reason) {
	if r.disk.paused != 0 {
		return
	}
	r.disk.paused, r.disk.retry = why, r.now+retryAfter
	if !r.disk.told {
		r.disk.told = true
		r.tell(Event{Kind: Paused, Reason: why})
	}
	r.report()
}

// sync has what is written synced, if it is much, or long ago, or all there is.
func (r *Receiver) sync() {
	c := &r.parts.count
	n, known := r.content.pieces()
	last := known && c.wanted+c.held+c.writing == 0 && r.parts.all(n)
	if c.written == 0 || r.disk.busy || r.disk.paused != 0 || c.written < batch && r.now < r.disk.first+syncAfter && !last {
		return
	}
	r.parts.each(written, syncing)
	c.syncing, c.written = c.written, 0
	r.disk.busy = true
	r.emit(Effect{Kind: SyncData})
}

func (r *Receiver) recorded() {
	switch {
	case r.phase == receiving && r.disk.busy:
		r.disk.busy = false
		r.parts.each(syncing, durable)
		r.parts.count.syncing = 0
		r.disk.first = r.now // of what was written meanwhile
		r.parts.advance()
		r.report()
	case r.phase == verified:
		r.phase = placing
		r.emit(Effect{Kind: Place})
	case r.phase == placed:
		r.phase = done
		r.tell(Event{Kind: Ended, Root: r.content.root})
		r.end.start(r.now, 0)
		r.farewell()
	}
}

// unsynced takes that nobody knows what is durable of what was not recorded.
func (r *Receiver) unsynced(why Reason) {
	if r.phase == verified || r.phase == placed {
		r.fail(why)
		return
	}
	if r.phase != receiving || !r.disk.busy {
		return
	}
	for i := range r.parts.list {
		if p := &r.parts.list[i]; p.state == syncing || p.state == written {
			p.state = missing
			r.figures.have -= int64(r.content.length(r.parts.low() + uint64(i)))
		}
	}
	r.parts.count.syncing, r.parts.count.written, r.disk.busy = 0, 0, false
	r.pause(why)
}

// check finishes a transfer of which everything is there.
func (r *Receiver) check() {
	n, known := r.content.pieces()
	if r.phase != receiving || !r.content.rooted || !known || r.parts.low() < n {
		return
	}
	if r.parts.build.Root() != r.content.root {
		r.fail(Damaged)
		return
	}
	r.phase = verified
	r.emit(Effect{Kind: AppendRecords, Records: []journal.Record{{Kind: journal.Root, First: uint64(r.content.size), Hashes: []tree.Hash{r.content.root}}}})
}
