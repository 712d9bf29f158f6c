package store

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
)

// tombstone says whether a record is a tombstone, and which one.
type tombstone int

const (
	none   tombstone = iota
	first            // it tells that the record is gone
	second           // it stands in the place of the first one and tells nothing
)

// tombstoneOf is what the header of a record says; see message.
func tombstoneOf(h nats.Header) tombstone {
	n, _ := strconv.Atoi(h.Get(broker.GoneHeader))
	return tombstone(n)
}

// purge is a tombstone whose time has come.
type purge struct {
	table     anyTable
	key       string
	revision  uint64
	tombstone tombstone
}

// purgeLater purges a tombstone after a while.
func (l *Log) purgeLater(p purge, after time.Duration) {
	time.AfterFunc(after, func() {
		select {
		case l.purges <- p:
		case <-l.stop.Done():
		}
	})
}

// purgesAtOnce is how many tombstones are purged at a time: one after the other, each waiting for
// the disk, they would be fewer than what thousands of users can leave.
const purgesAtOnce = 4

// purgeTombstones purges tombstones when their time has come, and has the log forget them. One
// that cannot be purged now is tried again.
//
// A server alone does not write down that a record was replaced, only that one was purged:
// should it end without a word, it comes back with what had been before. So a second
// tombstone takes the place of the first one, and is what is purged. Servers that keep a
// stream together repair each other.
func (l *Log) purgeTombstones() {
	for {
		select {
		case p := <-l.purges:
			lay := l.purge
			if p.tombstone == first && !l.replicated.Load() {
				lay = l.replaceTombstone
			}
			if err := lay(p); err != nil && l.stop.Err() == nil {
				l.log.Warn("purge a tombstone", "subject", p.table.subject(p.key), "err", err)
				l.purgeLater(p, min(purgeAgain, l.purgeAfter))
			}
		case <-l.stop.Done():
			return
		}
	}
}

// replaceTombstone puts a second tombstone in the place of a first one. When it is stored, it is
// purged in its turn.
func (l *Log) replaceTombstone(p purge) error {
	ctx, cancel := context.WithTimeout(l.stop, ackFor)
	defer cancel()
	s := &step{ctx: ctx, done: make(chan outcome, 1), rule: func() (change, error) { return p.table.replaceTombstone(p.key, p.revision) }}
	return l.hand(s).err
}

// purge removes a tombstone and all that is older under its subject, and has it forgotten.
// The sequence in the request keeps whatever came later.
func (l *Log) purge(p purge) error {
	ctx, cancel := context.WithTimeout(l.stop, ackFor)
	defer cancel()
	s, err := l.js.Stream(ctx, l.stream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(p.table.subject(p.key)), jetstream.WithPurgeSequence(p.revision+1))
	}
	if err != nil {
		return err
	}
	select {
	case l.purged <- p:
	case <-l.stop.Done():
	}
	return nil
}

// forget drops a tombstone that has been purged.
func (l *Log) forget(p purge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.table.forget(p.key, p.revision)
}
