package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
)

const (
	// together is how many steps are committed at once.
	together = 64
	// purgeAfter is how long a tombstone stays for replicas that are behind.
	purgeAfter = 60 * time.Second
	// purgeAgain is when it is tried again to purge one: perhaps its stream had no leader.
	purgeAgain = 5 * time.Second
	// ackFor is how long an acknowledgement is waited for.
	ackFor = 5 * time.Second
	// askFor is how long the stream's word is waited for; one asked as the connection
	// went is never answered.
	askFor = time.Second
	// loadFor is how long reading the whole stream may take.
	loadFor = 30 * time.Second
)

// Log is one replica's copy of a stream with one record per subject, and the only
// way to change it. Tables are added with NewTable; then Open, then Run.
type Log struct {
	js     jetstream.JetStream
	stream string
	log    *slog.Logger
	tables map[string]anyTable

	steps   chan *step
	feed    chan jetstream.Msg
	purges  chan purge
	purged  chan purge
	reloads chan struct{} // the connection was away: read the stream anew
	stop    context.Context
	watch   broker.StoreWatch // see While

	purgeAfter time.Duration
	observe    func(took time.Duration)
	metrics    LogMetrics   // under mu
	replicated atomic.Bool  // the stream is kept by several servers, as it said last
	home       atomic.Value // string: see Installation

	// Owned by Run's goroutine.
	name       string  // of this replica, in the ids of the records that it writes
	written    uint64  // how many it has written, or tried to
	unresolved []chain // records whose fate is not known
	reconnects uint64  // of the connection, when the stream was last read

	mu       sync.RWMutex // guards revision and the tables' committed rows
	revision uint64
	moved    chan struct{} // closed when revision grows
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
		purges: make(chan purge, 16), purged: make(chan purge), reloads: make(chan struct{}, 1),
		moved: make(chan struct{}), name: rand.Text()[:12], purgeAfter: purgeAfter, watch: broker.Until{Context: context.Background()},
	}
	nc.SetReconnectHandler(func(*nats.Conn) { l.reload() })
	return l, nil
}

// While has steps refused at once while nothing can be stored. To be called before Open.
func (l *Log) While(w broker.StoreWatch) { l.watch = w }

// Installation is the id of the state that is kept: its revisions say nothing of those of
// another one. It is known once the log is open.
func (l *Log) Installation() string {
	id, _ := l.home.Load().(string)
	return id
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

// Sync waits until this replica has seen everything that was stored when it was
// asked to: for those who miss what another replica may have written a moment ago.
func (l *Log) Sync(ctx context.Context) error {
	state, err := l.state(ctx)
	if err != nil {
		return errBusy
	}
	return l.Await(ctx, state.LastSeq)
}

// state asks the stream where it stands.
func (l *Log) state(ctx context.Context) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	s, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("ask for stream %s: %w", l.stream, err)
	}
	info := s.CachedInfo()
	l.replicated.Store(info.Config.Replicas > 1)
	l.home.Store(broker.Installation(info))
	return info.State, nil
}

// Open reads the stream as it is. ctx is the log's life.
func (l *Log) Open(ctx context.Context) error {
	l.stop = ctx
	l.reconnects = l.js.Conn().Stats().Reconnects
	soon, cancel := context.WithTimeout(ctx, broker.ElectFor)
	defer cancel()
	return broker.Retry(soon, func(context.Context) error { return l.load() })
}

// Run follows the stream and commits steps until the context of Open is done. What
// waits then is answered with an error.
func (l *Log) Run() error {
	ctx := l.stop
	unfollow, err := l.follow(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for range purgesAtOnce {
		wg.Go(l.purgeTombstones)
	}
	defer unfollow()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-l.feed:
			l.take(m)
		case s := <-l.steps:
			l.commit(l.gather(s))
		case p := <-l.purged:
			l.forget(p)
		case <-l.reloads:
			if err := l.refresh(); err != nil {
				l.log.Error("read the state again", "stream", l.stream, "err", err)
				l.pause()
				l.reload()
			}
		}
	}
}

// follow has the stream's further records put into the feed, until stop is called.
func (l *Log) follow(ctx context.Context) (stop func(), err error) {
	var cons jetstream.Consumer
	var dismiss func()
	err = broker.Retry(ctx, func(once context.Context) (err error) {
		cons, dismiss, err = broker.OrderedConsumer(once, l.js, l.stream, jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: l.revision + 1,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", l.stream, err)
	}
	follower, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case l.feed <- m:
		case <-ctx.Done():
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		l.log.Debug("follow the state", "stream", l.stream, "err", err)
	}))
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", l.stream, err)
	}
	return func() {
		follower.Stop()
		dismiss()
	}, nil
}

// drain takes what the follower has brought, so that a busy replica does not fall
// behind the others, nor its own records fill the feed.
func (l *Log) drain() {
	for {
		select {
		case m := <-l.feed:
			l.take(m)
		default:
			return
		}
	}
}

// reload has the log read the stream anew.
func (l *Log) reload() {
	select {
	case l.reloads <- struct{}{}:
	default:
	}
}

// refresh reads the stream anew if the connection was away: meanwhile tombstones may
// have come and been purged, which no follower brings.
func (l *Log) refresh() error {
	n := l.js.Conn().Stats().Reconnects
	if n == l.reconnects {
		return nil
	}
	if err := l.load(); err != nil {
		return err
	}
	l.reconnects = n
	return nil
}

// take applies a record that the follower brings.
func (l *Log) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil || meta.Sequence.Stream <= l.revision {
		return
	}
	kind, key, _ := cutSubject(m.Subject())
	t := l.tables[kind]
	if t == nil { // of a later release
		l.mu.Lock()
		l.advance(meta.Sequence.Stream)
		l.mu.Unlock()
		return
	}
	c := change{table: t, key: key, data: m.Data(), tombstone: tombstoneOf(m.Headers())}
	l.committed(c, meta.Sequence.Stream, m.Headers().Get(jetstream.MsgIDHeader))
}

// committed makes a record the present one and tells about it. id says who wrote it.
func (l *Log) committed(c change, revision uint64, id string) {
	own := strings.HasPrefix(id, l.name+".")
	l.mu.Lock()
	gone, err := c.table.commit(c, revision, own)
	l.advance(revision)
	l.counted(own)
	l.mu.Unlock()
	if err != nil {
		l.log.Error("a record cannot be read", "err", err)
	}
	if gone {
		l.purgeLater(purge{c.table, c.key, revision, max(c.tombstone, first)}, l.purgeAfter)
	}
	c.table.announce()
	l.resolve(revision, id)
}

// advance notes a revision; the caller holds the lock.
func (l *Log) advance(revision uint64) {
	l.revision = max(l.revision, revision)
	close(l.moved)
	l.moved = make(chan struct{})
}

func cutSubject(subject string) (kind, key string, ok bool) {
	rest, ok := strings.CutPrefix(subject, chat.StateRoot+".")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}
