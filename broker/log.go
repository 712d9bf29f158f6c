package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
)

const (
	// together is how many steps are committed at once.
	together = 64
	// purgeAfter is how long a tombstone stays for replicas that are behind.
	purgeAfter = 60 * time.Second
	// ackFor is how long an acknowledgement is waited for.
	ackFor = 5 * time.Second
)

// Log is one replica's copy of a stream with one record per subject, and the only
// way to change it. Tables are added with NewTable; then Open, then Run.
type Log struct {
	js     jetstream.JetStream
	stream string
	log    *slog.Logger
	tables map[string]anyTable

	steps  chan *step
	feed   chan jetstream.Msg
	purges chan purge
	again  chan struct{} // the connection was away: read the stream anew
	stop   context.Context

	mu       sync.RWMutex // guards revision and the tables' committed rows
	revision uint64
	moved    chan struct{} // closed when revision grows
}

// step is a rule that waits for its turn.
type step struct {
	ctx  context.Context
	rule func() (change, error)
	done chan outcome
}

// change is what a rule wants: a record for a key of a table.
type change struct {
	table anyTable
	key   string
	data  []byte
	apply func(revision uint64) // tentatively
	same  bool                  // nothing to do
}

type outcome struct {
	revision uint64
	err      error
}

type purge struct {
	table    anyTable
	key      string
	revision uint64
}

// NewLog makes a log of a stream. nc needs chat.StoringGrant.
func NewLog(nc *nats.Conn, stream string, log *slog.Logger) (*Log, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(ackFor))
	if err != nil {
		return nil, err
	}
	l := &Log{
		js: js, stream: stream, log: log, tables: map[string]anyTable{},
		steps: make(chan *step, together), feed: make(chan jetstream.Msg, 1024),
		purges: make(chan purge, 16), again: make(chan struct{}, 1), moved: make(chan struct{}),
	}
	nc.SetReconnectHandler(func(*nats.Conn) {
		select {
		case l.again <- struct{}{}:
		default:
		}
	})
	return l, nil
}

// Revision is the last change that this replica knows.
func (l *Log) Revision() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.revision
}

// Await waits until this replica has seen a revision.
func (l *Log) Await(ctx context.Context, revision uint64) error {
	for {
		l.mu.RLock()
		have, moved := l.revision, l.moved
		l.mu.RUnlock()
		if have >= revision {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return chat.Errorf(chat.Timeout, "The coordinator is behind; try again.")
		}
	}
}

// Step runs a rule and commits the record that it returns; chat.ErrUnchanged returns the
// record as it is. The rule may run several times, on the view that it is handed,
// and must depend on nothing else that changes. The revision returned is one at
// which the record was true. Any other error of the rule is returned as it is, once
// it is certain that what the rule saw is committed.
func Step[R any](ctx context.Context, t *Table[R], rule func(View) (key string, r R, err error)) (Row[R], error) {
	var row Row[R]
	s := &step{ctx: ctx, done: make(chan outcome, 1)}
	s.rule = func() (change, error) {
		key, r, err := rule(tentative)
		if err != nil && !errors.Is(err, chat.ErrUnchanged) {
			return change{}, err
		}
		row = Row[R]{Key: key, Record: r}
		if err != nil {
			return change{same: true}, nil
		}
		data, err := encode(r)
		return change{
			table: t, key: key, data: data,
			apply: func(revision uint64) { t.put(tentative, Row[R]{key, revision, r}) },
		}, err
	}
	select {
	case t.log.steps <- s:
	case <-ctx.Done():
		return row, errBusy
	}
	select {
	case o := <-s.done:
		row.Revision = o.revision
		return row, o.err
	case <-t.log.stop.Done():
		return Row[R]{}, errBusy
	}
}

var errBusy = chat.Errorf(chat.Timeout, "The coordinator could not carry this out in time; try again.")

// Open reads the stream as it is. ctx is the log's life.
func (l *Log) Open(ctx context.Context) error {
	l.stop = ctx
	return l.load(ctx)
}

// Run follows the stream and commits steps until the context of Open is done. What
// waits then is answered with an error.
func (l *Log) Run() error {
	ctx := l.stop
	follower, err := l.follow(ctx)
	if err != nil {
		return err
	}
	defer follower.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(l.bury)
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-l.feed:
			l.take(m)
		case s := <-l.steps:
			l.commit(l.gather(s))
		case <-l.again:
			if err := l.load(ctx); err != nil {
				l.log.Error("read the state again", "stream", l.stream, "err", err)
			}
		}
	}
}

// follow has the stream's further records put into the feed.
func (l *Log) follow(ctx context.Context) (jetstream.ConsumeContext, error) {
	cons, err := l.js.OrderedConsumer(ctx, l.stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: l.revision + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", l.stream, err)
	}
	return cons.Consume(func(m jetstream.Msg) {
		select {
		case l.feed <- m:
		case <-ctx.Done():
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		l.log.Debug("follow the state", "stream", l.stream, "err", err)
	}))
}

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

// commit carries a batch out; steps that lose a race are run again on what won.
func (l *Log) commit(batch []*step) {
	for len(batch) > 0 {
		lost := l.try(batch)
		if len(lost) == 0 {
			return
		}
		if err := l.catchUp(); err != nil {
			l.log.Warn("catch up", "stream", l.stream, "err", err)
			l.pause()
		}
		batch = lost
	}
}

// flight is a step whose record has been published.
type flight struct {
	*step
	change
	ack jetstream.PubAckFuture
	err error // of the rule, or of the publish
}

// try runs the rules of a batch, publishes what they return and waits for the
// acknowledgements. It returns the steps that must be run again.
func (l *Log) try(batch []*step) []*step {
	flights, next := make([]flight, 0, len(batch)), l.revision
	for _, s := range batch {
		if s.ctx.Err() != nil || l.stop.Err() != nil {
			s.done <- outcome{err: errBusy}
			continue
		}
		f := flight{step: s}
		if f.change, f.err = s.rule(); f.err == nil && !f.same {
			f.ack, f.err = l.js.PublishAsync(f.table.subject(f.key), f.data, jetstream.WithExpectLastSequence(next))
			if f.err == nil {
				next++
				f.apply(next)
			}
		}
		flights = append(flights, f)
	}
	for i, f := range flights {
		if !l.settle(f) {
			return l.undo(flights[i:])
		}
	}
	return nil
}

// settle waits for one acknowledgement and answers the step. It is false when the
// record was not accepted, or when it is not known whether it was.
func (l *Log) settle(f flight) bool {
	switch {
	case f.ack != nil:
	case f.table != nil: // could not even be published
		l.log.Warn("publish a record", "stream", l.stream, "err", f.err)
		return false
	default:
		f.done <- outcome{revision: l.revision, err: f.err}
		return true
	}
	select {
	case ack := <-f.ack.Ok():
		l.committed(f.table, f.key, ack.Sequence, f.data, true)
		f.done <- outcome{revision: ack.Sequence}
		return true
	case err := <-f.ack.Err():
		var refused *jetstream.APIError
		if errors.As(err, &refused) && refused.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
			f.done <- outcome{err: storeError(refused)}
			f.done = nil
		}
		return false
	}
}

// storeError says why the stream took nothing.
func storeError(e *jetstream.APIError) error {
	if strings.Contains(e.Description, "maximum") {
		return chat.Errorf(chat.Full, "The server is full.")
	}
	return fmt.Errorf("store: %w", e)
}

// undo takes back what the flights have applied tentatively, and waits until the
// fate of those behind the first is known, so that none lands later.
func (l *Log) undo(flights []flight) []*step {
	var again []*step
	for i, f := range flights {
		if f.ack != nil && i > 0 {
			select {
			case <-f.ack.Ok():
			case <-f.ack.Err():
			}
		}
		if f.table != nil {
			f.table.revert(f.key)
		}
		if f.done != nil {
			again = append(again, f.step)
		}
	}
	return again
}

// catchUp takes what others have written; a follower that has nothing to offer has
// missed it, and the stream is read anew.
func (l *Log) catchUp() error {
	ctx, cancel := context.WithTimeout(l.stop, ackFor)
	defer cancel()
	info, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return err
	}
	target := info.CachedInfo().State.LastSeq
	patience := time.NewTimer(time.Duration(50+rand.IntN(100)) * time.Millisecond)
	defer patience.Stop()
	for l.revision < target {
		select {
		case m := <-l.feed:
			l.take(m)
		case <-patience.C:
			return l.load(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take applies a record that the follower brings.
func (l *Log) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil || meta.Sequence.Stream <= l.revision {
		return
	}
	kind, key, ok := cutSubject(m.Subject())
	if t := l.tables[kind]; ok && t != nil {
		l.committed(t, key, meta.Sequence.Stream, m.Data(), false)
	}
}

// committed makes a record the present one and tells about it.
func (l *Log) committed(t anyTable, key string, revision uint64, data []byte, own bool) {
	l.mu.Lock()
	tombstone, err := t.commit(key, revision, data, own)
	l.revision = revision
	close(l.moved)
	l.moved = make(chan struct{})
	l.mu.Unlock()
	if err != nil {
		l.log.Error("a record cannot be read", "err", err)
		return
	}
	if tombstone {
		l.buryLater(t, key, revision)
	}
	t.announce()
}

// load reads the whole stream and makes the tables what it says. Records that have
// been purged meanwhile are forgotten.
func (l *Log) load(ctx context.Context) error {
	s, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return fmt.Errorf("open %s: %w", l.stream, err)
	}
	state := s.CachedInfo().State
	left := map[string]map[string]bool{}
	for kind, t := range l.tables {
		left[kind] = t.keys()
	}
	read := func(m jetstream.Msg) {
		kind, key, _ := cutSubject(m.Subject())
		delete(left[kind], key)
		l.take(m)
	}
	if state.Msgs > 0 {
		if err := l.readAll(ctx, state.LastSeq, read); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.revision = max(l.revision, state.LastSeq)
	for kind, keys := range left {
		for key := range keys {
			l.tables[kind].forget(key, state.LastSeq)
		}
	}
	l.mu.Unlock()
	return nil
}

// readAll reads the stream from its beginning up to a sequence.
func (l *Log) readAll(ctx context.Context, last uint64, read func(jetstream.Msg)) error {
	cons, err := l.js.OrderedConsumer(ctx, l.stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read %s: %w", l.stream, err)
	}
	msgs, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("read %s: %w", l.stream, err)
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read %s: %w", l.stream, err)
		}
		read(m)
		if meta, err := m.Metadata(); err != nil || meta.NumPending == 0 || meta.Sequence.Stream >= last {
			return err
		}
	}
}

// buryLater purges a tombstone when every replica has had the time to see it.
func (l *Log) buryLater(t anyTable, key string, revision uint64) {
	time.AfterFunc(purgeAfter, func() {
		select {
		case l.purges <- purge{t, key, revision}:
		case <-l.stop.Done():
		}
	})
}

// bury purges tombstones when their time has come.
func (l *Log) bury() {
	for {
		select {
		case p := <-l.purges:
			l.purge(p)
		case <-l.stop.Done():
			return
		}
	}
}

// pause lets the store, or another replica, get on.
func (l *Log) pause() {
	select {
	case <-time.After(time.Duration(50+rand.IntN(100)) * time.Millisecond):
	case <-l.stop.Done():
	}
}

// purge removes a tombstone and all that is older under its subject. The sequence
// in the request keeps whatever came later.
func (l *Log) purge(p purge) {
	l.mu.Lock()
	p.table.forget(p.key, p.revision)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(l.stop, ackFor)
	defer cancel()
	s, err := l.js.Stream(ctx, l.stream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(p.table.subject(p.key)), jetstream.WithPurgeSequence(p.revision+1))
	}
	if err != nil && l.stop.Err() == nil {
		l.log.Warn("purge a tombstone", "subject", p.table.subject(p.key), "err", err)
	}
}

func cutSubject(subject string) (kind, key string, ok bool) {
	rest, ok := strings.CutPrefix(subject, chat.StateRoot+".")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}
