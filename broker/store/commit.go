package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
)

// What a stream answers, beside JSErrCodeStreamWrongLastSequence, when its last record is
// not the one that was expected: it has another id, or another one is just being stored.
const (
	wrongLastMsgID jetstream.ErrorCode = 10070
	stillStoring   jetstream.ErrorCode = 10164
)

// Raced reports whether a record was refused because another one came first.
func Raced(err error) bool {
	return broker.HasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, wrongLastMsgID, stillStoring)
}

// pendingStep is a step whose rule has run, and whose record, if it has one, has been
// published.
type pendingStep struct {
	*step
	change
	id       string // of the record: no two are ever the same
	revision uint64 // that the record gets, if it is stored
	ack      jetstream.PubAckFuture
	err      error // of the rule; then of the publish
}

// chain is pending steps whose records are stored one right behind the other, or not at
// all: each expects the one before it by its id. The revision alone would not do: a
// record that another replica got in first has the same one.
//
// In a stream of several replicas a chain has one record: its servers look at the id only
// when all of them apply the record, and one that is refused then breaks the stream for good.
type chain []pendingStep

// gather collects the steps that wait together with first.
func (l *Log) gather(first *step) []*step {
	batch := []*step{first}
	for len(batch) < together {
		select {
		case s := <-l.steps:
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}

// commit carries a batch out; steps that lose a race are run again on what won. What has come
// since may tell that one of them was carried out after all, so it is taken before they are
// looked through.
func (l *Log) commit(batch []*step) {
	for {
		err := l.refresh()
		l.drain()
		if batch = l.waiting(batch); len(batch) == 0 {
			return
		}
		if err == nil {
			started := time.Now()
			pending := l.publish(batch)
			again := l.awaitAll(pending)
			l.tried(len(again), time.Since(started))
			batch = append(again, batch[len(pending):]...)
			if len(again) > 0 {
				err = l.catchUp()
			}
		}
		if err != nil {
			l.log.Warn("catch up", "stream", l.stream, "err", err)
			l.pause()
		}
	}
}

// waiting returns the steps that are still to be done.
func (l *Log) waiting(batch []*step) []*step {
	var left []*step
	for _, s := range batch {
		if s.ctx.Err() != nil || l.stop.Err() != nil {
			s.answer(outcome{err: errBusy})
		}
		if !s.answered {
			left = append(left, s)
		}
	}
	return left
}

// awaitAll waits for the acknowledgements of pending steps. An acknowledgement confirms everything
// before it too, refusals included: the record was expected to follow just what they have
// seen. Refusals behind the last one need the stream's own word. It returns the steps that
// must be run again.
func (l *Log) awaitAll(pending []pendingStep) []*step {
	landed, records := 0, 0
	for i := range pending {
		f := &pending[i]
		if f.table == nil {
			continue
		}
		records = i + 1
		if f.err = f.await(); f.err == nil {
			l.applyAll(pending[landed:records])
			landed = records
		}
	}
	rest := pending[landed:]
	if len(rest) == 0 {
		return nil
	}
	if records > landed || !l.current() {
		return l.rollback(rest)
	}
	l.applyAll(rest)
	return nil
}

// publish runs the rules of a batch, or of the first steps of it, and publishes their
// records as a chain.
func (l *Log) publish(batch []*step) []pendingStep {
	pending, next, last := make([]pendingStep, 0, len(batch)), l.revision, ""
	for _, s := range batch {
		f := pendingStep{step: s}
		if f.change, f.err = s.rule(); f.table != nil {
			l.written++
			f.id = l.name + "." + strconv.FormatUint(l.written, 10)
			opts := []jetstream.PublishOpt{jetstream.WithMsgID(f.id), jetstream.WithExpectLastSequence(next)}
			if last != "" {
				opts = append(opts, jetstream.WithExpectLastMsgID(last))
			}
			f.ack, f.err = l.js.PublishMsgAsync(f.message(), opts...)
			next, last = next+1, f.id
			f.revision = next
			f.apply(next)
		}
		pending = append(pending, f)
		if f.table != nil && l.replicated.Load() {
			break
		}
	}
	return pending
}

// message is the record as it is published.
func (f *pendingStep) message() *nats.Msg {
	m := nats.NewMsg(f.table.subject(f.key))
	m.Data = f.data
	if f.tombstone != none {
		m.Header.Set(broker.GoneHeader, strconv.Itoa(int(f.tombstone)))
	}
	return m
}

// await waits for the acknowledgement. It ends after ackFor, or with the connection.
func (f *pendingStep) await() error {
	if f.ack == nil {
		return f.err
	}
	select {
	case <-f.ack.Ok():
		return nil
	case err := <-f.ack.Err():
		return err
	}
}

// current reports whether this replica has seen the newest record of the stream.
func (l *Log) current() bool {
	state, err := l.state(l.stop)
	return err == nil && state.LastSeq == l.revision
}

// applyAll makes pending steps that were confirmed the present state, and answers them.
func (l *Log) applyAll(pending []pendingStep) {
	for _, f := range pending {
		if f.table == nil {
			f.answer(outcome{revision: l.revision, err: f.err})
			continue
		}
		l.committed(f.change, f.revision, f.id)
		f.answer(outcome{revision: f.revision})
	}
}

// rollback takes back what pending steps have applied tentatively. The fate of the first
// record is that of all behind it.
func (l *Log) rollback(pending []pendingStep) []*step {
	var again []*step
	var records chain
	for _, f := range pending {
		again = append(again, f.step)
		if f.table != nil {
			f.table.revert(f.key)
			records = append(records, f)
		}
	}
	if len(records) == 0 {
		return again
	}
	first := records[0]
	if err := refusal(first.err); err != nil {
		first.answer(outcome{err: err})
	}
	if uncertain(first) {
		l.unresolved = append(l.unresolved, records)
	}
	return again
}

// refusal is why the record will never be stored; nil if it is worth trying again.
func refusal(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("store: %w", err)
	case !errors.As(err, &api), Raced(err):
		return nil
	case broker.IsFull(err):
		return broker.Told(context.Background(), err)
	}
	return fmt.Errorf("store: %w", err)
}

// uncertain reports whether the record may be in the stream, or come into it later.
func uncertain(f pendingStep) bool {
	var api *jetstream.APIError
	return f.ack != nil && !errors.As(f.err, &api) && !errors.Is(f.err, jetstream.ErrNoStreamResponse)
}

// resolve settles unresolved records by a record that is in the stream: one of ours came with
// all before it in its chain; another one in its place means that neither it nor
// any behind it ever will.
func (l *Log) resolve(revision uint64, id string) {
	for i, c := range l.unresolved {
		for j, f := range c {
			if f.id == id {
				for _, sure := range c[:j+1] {
					sure.answer(outcome{revision: sure.revision})
				}
				l.unresolved[i] = c[j+1:]
				break
			}
			if f.revision == revision {
				l.unresolved[i] = c[:j]
				break
			}
		}
	}
}

// abandonUnresolved answers steps whose records may have been stored, and overwritten before
// this replica could see them: running them again might do them twice.
func (l *Log) abandonUnresolved() {
	var open []chain
	for _, c := range l.unresolved {
		for len(c) > 0 && c[0].revision <= l.revision {
			c[0].answer(outcome{err: errBusy})
			c = c[1:]
		}
		if len(c) > 0 {
			open = append(open, c)
		}
	}
	l.unresolved = open
}

// catchUp takes what others have written; a follower that has nothing to offer has
// missed it, and the stream is read anew.
func (l *Log) catchUp() error {
	state, err := l.state(l.stop)
	if err != nil {
		return err
	}
	timer := time.NewTimer(jitter())
	defer timer.Stop()
	for l.revision < state.LastSeq {
		select {
		case m := <-l.feed:
			l.take(m)
			timer.Reset(jitter())
		case <-timer.C:
			return l.load()
		case <-l.stop.Done():
			return context.Cause(l.stop)
		}
	}
	l.abandonUnresolved()
	return nil
}

// pause lets the store, or another replica, get on.
func (l *Log) pause() {
	select {
	case <-time.After(jitter()):
	case <-l.stop.Done():
	}
}

func jitter() time.Duration { return time.Duration(50+rand.IntN(100)) * time.Millisecond }
