package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/store"
	"natter/chat"
)

// count is a record that is changed by its own value: a lost update shows.
type count struct {
	N    int    `json:"n"`
	Who  string `json:"who,omitempty"`
	Gone bool   `json:"gone,omitempty"`
}

// replica is a log with one table, as each coordinator has.
type replica struct {
	*store.Log
	*store.Table[count]
	nc   *nats.Conn
	stop func()

	mu      sync.Mutex
	changes []store.Change[count]
}

const timeout = 20 * time.Second

// streams makes the streams, with what the operator has changed about LIVE.
func streams(t *testing.T, srv *embedded.Server, change func(*jetstream.StreamConfig)) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(dial(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.EnsureStreams(t.Context(), js, jetstream.MemoryStorage, 1); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		s, err := js.Stream(t.Context(), broker.LiveStream)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		change(&cfg)
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	return js
}

func dial(t *testing.T, srv *embedded.Server, opts ...nats.Option) *nats.Conn {
	return brokertest.Dial(t, srv, chat.StoringGrant(), chat.StoreInbox, opts...).Conn
}

// follow runs a log on a connection.
func follow(t *testing.T, nc *nats.Conn, purgeAfter time.Duration) *replica {
	t.Helper()
	l, err := store.NewLog(nc, broker.LiveStream, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.PurgeAfter(purgeAfter)
	r := &replica{Log: l, nc: nc}
	r.Table = store.NewTable(l, "user", store.TableConfig[count]{
		Gone:    func(c count) bool { return c.Gone },
		Index:   func(c count) []string { return []string{c.Who} },
		Changed: r.changed,
	})
	ctx, cancel := context.WithCancel(context.Background())
	if err := l.Open(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the log ends with %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *replica) changed(c store.Change[count]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

func (r *replica) heard() []store.Change[count] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]store.Change[count](nil), r.changes...)
}

// Sync is the log's: its tables have one too.
func (r *replica) Sync(ctx context.Context) error { return r.Log.Sync(ctx) }

func (r *replica) step(ctx context.Context, key string, rule func(count) (count, error)) (store.Row[count], error) {
	return store.Step(ctx, r.Table, func(v store.View) (string, count, error) {
		row, _ := r.Get(v, key)
		after, err := rule(row.Record)
		return key, after, err
	})
}

func (r *replica) set(t *testing.T, key string, c count) store.Row[count] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	row, err := r.step(ctx, key, func(count) (count, error) { return c, nil })
	if err != nil {
		t.Fatalf("setting %s: %v", key, err)
	}
	return row
}

func (r *replica) add(ctx context.Context, key string) error {
	_, err := r.step(ctx, key, func(c count) (count, error) { return count{N: c.N + 1, Who: c.Who}, nil })
	return err
}

// eventually waits for something that only a look can tell.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(timeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// caughtUp waits until a replica has seen everything.
func caughtUp(t *testing.T, r *replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := r.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestStepsAreReadable(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	r := follow(t, dial(t, srv), time.Hour)
	r.set(t, "a", count{N: 1, Who: "x"})
	r.set(t, "b", count{N: 2, Who: "x"})
	row := r.set(t, "c", count{N: 3, Who: "y"})
	if row.Key != "c" || row.Record.N != 3 || row.Revision != 3 || r.Revision() != 3 {
		t.Errorf("the step returns %+v at revision %d", row, r.Revision())
	}
	r.set(t, "b", count{Gone: true})
	if got, ok := r.Get(store.Committed, "a"); !ok || got.Record.N != 1 || got.Revision != 1 {
		t.Errorf("a is %+v, %v", got, ok)
	}
	if got, ok := r.Get(store.Committed, "b"); !ok || !got.Record.Gone {
		t.Errorf("the tombstone is %+v, %v", got, ok)
	}
	if rows := r.By(store.Committed, "x"); len(rows) != 1 || rows[0].Key != "a" {
		t.Errorf("under x there is %+v", rows)
	}
	if n, all := r.Len(store.Committed), r.Snapshot(); n != 2 || len(all) != 2 {
		t.Errorf("%d records, %+v", n, all)
	}
}

func TestRulesThatStoreNothing(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	r := follow(t, dial(t, srv), time.Hour)
	before := r.set(t, "a", count{N: 1})
	row, err := r.step(t.Context(), "a", func(c count) (count, error) { return c, chat.ErrUnchanged })
	if err != nil || row.Record.N != 1 || row.Revision != before.Revision {
		t.Errorf("unchanged is %+v, %v", row, err)
	}
	no := errors.New("no")
	if _, err := r.step(t.Context(), "a", func(c count) (count, error) { return c, no }); err != no {
		t.Errorf("the rule's error comes back as %v", err)
	}
	if r.Revision() != before.Revision {
		t.Errorf("something was stored")
	}
}

// What a rule refuses must be true of what is stored, not of what this replica has
// happened to see so far.
func TestRefusalsAreNotStale(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	a, b := follow(t, dial(t, srv), time.Hour), follow(t, dial(t, srv), time.Hour)
	for i := range 300 {
		key := fmt.Sprint("k", i)
		a.set(t, key, count{N: 1})
		_, err := b.step(t.Context(), key, func(c count) (count, error) {
			if c.N == 0 {
				return c, errors.New("not there")
			}
			return c, chat.ErrUnchanged
		})
		if err != nil {
			t.Fatalf("step %d, right after it was stored elsewhere: %v", i, err)
		}
	}
}

func TestConcurrentStepsOfOneReplica(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	r := follow(t, dial(t, srv), time.Hour)
	race(t, []*replica{r}, 200, 10)
}

func TestReplicasLoseNoUpdate(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			srv := brokertest.Run(t)
			streams(t, srv, nil)
			var all []*replica
			for range n {
				all = append(all, follow(t, dial(t, srv), time.Hour))
			}
			race(t, all, 20, 15)
		})
	}
}

// race has each replica's goroutines count in the same record and in one of their
// own, and compares the sums everywhere.
func race(t *testing.T, all []*replica, goroutines, times int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*timeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, r := range all {
		for g := range goroutines {
			own := fmt.Sprintf("own-%d-%d", i, g%3)
			wg.Go(func() {
				for range times {
					if err := errors.Join(r.add(ctx, "shared"), r.add(ctx, own)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for i, r := range all {
		caughtUp(t, r)
		if row, _ := r.Get(store.Committed, "shared"); row.Record.N != len(all)*goroutines*times {
			t.Errorf("replica %d counts %d of %d", i, row.Record.N, len(all)*goroutines*times)
		}
		own := 0
		for _, row := range r.Snapshot() {
			if row.Key != "shared" {
				own += row.Record.N
			}
		}
		if own != len(all)*goroutines*times {
			t.Errorf("replica %d counts %d of its own of %d", i, own, len(all)*goroutines*times)
		}
		checkChanges(t, r)
	}
	owned := map[uint64]int{}
	for _, r := range all {
		for _, c := range r.heard() {
			if c.Own {
				owned[c.Revision]++
			}
		}
	}
	if want := 2 * len(all) * goroutines * times; len(owned) != want {
		t.Errorf("%d steps have an owner, of %d", len(owned), want)
	}
	for revision, n := range owned {
		if n != 1 {
			t.Errorf("revision %d has %d owners", revision, n)
		}
	}
}

// checkChanges: in the order of revisions, each from what the one before it left.
func checkChanges(t *testing.T, r *replica) {
	t.Helper()
	last, records := uint64(0), map[string]count{}
	for _, c := range r.heard() {
		before, known := records[c.Key]
		if c.Revision <= last || c.Known != known || c.Before != before {
			t.Fatalf("after revision %d and %+v comes %+v", last, before, c)
		}
		last, records[c.Key] = c.Revision, c.Record
	}
}

func TestStepWhoseTimeIsOver(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	r := follow(t, dial(t, srv), time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.add(ctx, "a"); !errors.Is(err, &chat.Error{Code: chat.Timeout}) {
		t.Errorf("a step that comes too late: %v", err)
	}
	// One that is waiting when its time ends.
	busy, release := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = r.step(t.Context(), "b", func(c count) (count, error) { close(busy); <-release; return c, chat.ErrUnchanged })
	}()
	<-busy
	ctx, cancel = context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- r.add(ctx, "a") }()
	cancel()
	if err := <-answer; !errors.Is(err, &chat.Error{Code: chat.Timeout}) {
		t.Errorf("a step whose context ends: %v", err)
	}
	close(release)
	caughtUp(t, r)
	if r.Len(store.Committed) != 0 {
		t.Errorf("something was stored: %+v", r.Snapshot())
	}
}

func TestStepsOfALogThatStops(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	r := follow(t, dial(t, srv), time.Hour)
	r.set(t, "a", count{N: 1})
	r.stop()
	if err := r.add(context.Background(), "a"); !errors.Is(err, &chat.Error{Code: chat.Timeout}) {
		t.Errorf("a step of a log that has stopped: %v", err)
	}
}

func TestAwait(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	a, b := follow(t, dial(t, srv), time.Hour), follow(t, dial(t, srv), time.Hour)
	waited := make(chan error, 1)
	go func() { waited <- b.Await(t.Context(), 2) }()
	a.set(t, "a", count{N: 1})
	row := a.set(t, "a", count{N: 2})
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if got, _ := b.Get(store.Committed, "a"); got != row {
		t.Errorf("then it sees %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Await(ctx, 3); !errors.Is(err, &chat.Error{Code: chat.Timeout}) {
		t.Errorf("waiting for what never comes: %v", err)
	}
}

// Who has read the state leaves no consumer behind, nor does who stops following it.
func TestALogLeavesNoConsumer(t *testing.T) {
	srv := brokertest.Run(t)
	js := streams(t, srv, nil)
	first := follow(t, dial(t, srv), time.Minute)
	first.set(t, "alice", count{N: 1})
	for range 3 {
		follow(t, dial(t, srv), time.Minute).stop()
	}
	eventually(t, "one consumer is left", func() bool {
		s, err := js.Stream(t.Context(), broker.LiveStream)
		return err == nil && s.CachedInfo().State.Consumers == 1
	})
}
