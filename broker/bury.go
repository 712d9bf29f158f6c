package broker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// purge is a tombstone whose time has come.
type purge struct {
	table    anyTable
	key      string
	revision uint64
}

// buryLater purges a tombstone when every replica has had the time to see it.
func (l *Log) buryLater(p purge) {
	time.AfterFunc(l.purgeAfter, func() {
		select {
		case l.purges <- p:
		case <-l.stop.Done():
		}
	})
}

// bury purges tombstones when their time has come, and has the log forget them. One
// that cannot be purged now is tried again.
func (l *Log) bury() {
	for {
		select {
		case p := <-l.purges:
			if err := l.purge(p); err != nil {
				l.log.Warn("purge a tombstone", "subject", p.table.subject(p.key), "err", err)
				l.buryLater(p)
				continue
			}
			select {
			case l.buried <- p:
			case <-l.stop.Done():
			}
		case <-l.stop.Done():
			return
		}
	}
}

// purge removes a tombstone and all that is older under its subject. The sequence
// in the request keeps whatever came later.
func (l *Log) purge(p purge) error {
	ctx, cancel := context.WithTimeout(l.stop, ackFor)
	defer cancel()
	s, err := l.js.Stream(ctx, l.stream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(p.table.subject(p.key)), jetstream.WithPurgeSequence(p.revision+1))
	}
	if l.stop.Err() != nil {
		return nil
	}
	return err
}

// forget drops a tombstone that has been purged.
func (l *Log) forget(p purge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.table.forget(p.key, p.revision)
}
