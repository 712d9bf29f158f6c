package store

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
)

// grave tells whether a record is a tombstone, and which one.
type grave int

const (
	none   grave = iota
	first        // it tells that the record is gone
	second       // it stands in the place of the first one and tells nothing
)

// graveOf is what the header of a record says; see message.
func graveOf(h nats.Header) grave {
	n, _ := strconv.Atoi(h.Get(broker.GoneHeader))
	return grave(n)
}

// purge is a tombstone whose time has come.
type purge struct {
	table    anyTable
	key      string
	revision uint64
	grave    grave
}

// buryLater purges a tombstone after a while.
func (l *Log) buryLater(p purge, after time.Duration) {
	time.AfterFunc(after, func() {
		select {
		case l.purges <- p:
		case <-l.stop.Done():
		}
	})
}

// buriedAtOnce is how many tombstones are purged at a time: one after the other, each waiting for
// the disk, they would be fewer than what thousands of users can leave.
const buriedAtOnce = 4

// bury purges tombstones when their time has come, and has the log forget them. One
// that cannot be purged now is tried again.
//
// A server alone does not write down that a record was replaced, only that one was purged:
// should it end without a word, it comes back with what had been before. So a second
// tombstone takes the place of the first one, and is what is purged. Servers that keep a
// stream together mend each other.
func (l *Log) bury() {
	for {
		select {
		case p := <-l.purges:
			lay := l.purge
			if p.grave == first && !l.replicated.Load() {
				lay = l.double
			}
			if err := lay(p); err != nil && l.stop.Err() == nil {
				l.log.Warn("purge a tombstone", "subject", p.table.subject(p.key), "err", err)
				l.buryLater(p, min(purgeAgain, l.purgeAfter))
			}
		case <-l.stop.Done():
			return
		}
	}
}

// double puts a second tombstone in the place of a first one. When it is stored, it is
// buried in its turn.
func (l *Log) double(p purge) error {
	ctx, cancel := context.WithTimeout(l.stop, ackFor)
	defer cancel()
	s := &step{ctx: ctx, done: make(chan outcome, 1), rule: func() (change, error) { return p.table.double(p.key, p.revision) }}
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
	case l.buried <- p:
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
