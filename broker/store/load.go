package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
)

// load reads the whole stream and makes the tables what it says. Records that have
// been purged meanwhile are forgotten.
func (l *Log) load() error {
	ctx, cancel := context.WithTimeout(l.stop, loadFor)
	defer cancel()
	state, err := l.state(ctx)
	if err != nil {
		return err
	}
	left := map[string]map[string]bool{}
	for kind, t := range l.tables {
		left[kind] = t.keys()
	}
	upTo := state.LastSeq
	if l.replicated.Load() {
		if upTo, err = l.mark(ctx); err != nil {
			return err
		}
	}
	err = l.readAll(ctx, upTo, func(m jetstream.Msg) {
		kind, key, _ := cutSubject(m.Subject())
		delete(left[kind], key)
		l.take(m)
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.advance(state.LastSeq)
	l.mu.Unlock()
	if err := l.forgetPurged(ctx, left); err != nil {
		return err
	}
	l.abandonUnresolved()
	return nil
}

// forgetPurged drops the records that were not read, if they have been purged. One that was
// overwritten while others were read comes by itself.
func (l *Log) forgetPurged(ctx context.Context, left map[string]map[string]bool) error {
	for kind, keys := range left {
		t := l.tables[kind]
		for key := range keys {
			_, at, err := broker.Last(ctx, l.js.Conn(), l.stream, t.subject(key))
			switch {
			case errors.Is(err, jetstream.ErrMsgNotFound):
				l.mu.Lock()
				t.forget(key, l.revision)
				l.mu.Unlock()
			case err != nil:
				return fmt.Errorf("look for %s: %w", t.subject(key), err)
			case at <= l.revision && at != t.revision(key):
				return fmt.Errorf("read %s: %s at %d was passed over", l.stream, t.subject(key), at)
			}
		}
	}
	return nil
}

// mark writes a record that means nothing behind everything that is stored, and returns its
// sequence. Of a replicated stream, the copy that is read may be one that is behind and does
// not know it: all has been read only when the mark has come, or a later one.
func (l *Log) mark(ctx context.Context) (uint64, error) {
	once, cancel := context.WithTimeout(ctx, broker.OneTry)
	defer cancel()
	ack, err := l.js.Publish(once, broker.MarkSubject, nil)
	if err != nil {
		return 0, fmt.Errorf("mark the end of %s: %w", l.stream, err)
	}
	return ack.Sequence, nil
}

// readAll reads the stream from its beginning until a sequence has come and nothing more is
// there: to stop at the sequence would miss what is overwritten meanwhile. What the server
// counts as pending is not to be trusted without the sequence: for a moment, a record that is
// being overwritten is not counted at all. A server that dies answers nothing any longer: who
// waits for one step longer than a try should take begins again.
func (l *Log) readAll(ctx context.Context, upTo uint64, read func(jetstream.Msg)) error {
	if done, err := l.caughtUpTo(ctx, 0, upTo); done || err != nil {
		return err // all of it was purged
	}
	once, cancel := context.WithTimeout(ctx, broker.OneTry)
	defer cancel()
	cons, dismiss, err := broker.OrderedConsumer(once, l.js, l.stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read %s: %w", l.stream, err)
	}
	defer dismiss()
	msgs, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("read %s: %w", l.stream, err)
	}
	defer msgs.Stop()
	for ctx.Err() == nil {
		m, err := msgs.Next(jetstream.NextMaxWait(broker.OneTry))
		if err != nil {
			return fmt.Errorf("read %s: %w", l.stream, err)
		}
		read(m)
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.NumPending > 0 {
			continue
		}
		if done, err := l.caughtUpTo(ctx, meta.Sequence.Stream, upTo); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("read %s: %w", l.stream, ctx.Err())
}

// caughtUpTo reports whether who has read up to a sequence has read enough: what comes before upTo
// may have been purged.
func (l *Log) caughtUpTo(ctx context.Context, at, upTo uint64) (bool, error) {
	if at >= upTo {
		return true, nil
	}
	next, err := broker.Next(ctx, l.js.Conn(), l.stream, at+1)
	return errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && next > upTo, ignoring(err, jetstream.ErrMsgNotFound)
}

func ignoring(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
