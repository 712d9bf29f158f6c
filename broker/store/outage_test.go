package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
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

func TestOpenReadsEverything(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, nil)
	r := follow(t, dial(t, srv), time.Hour)
	for i := range 50 {
		r.set(t, fmt.Sprint("k", i%20), count{N: i, Gone: i%20 == 7})
	}
	again := follow(t, dial(t, srv), time.Hour)
	if again.Revision() != r.Revision() || again.Len(store.Committed) != 19 {
		t.Errorf("at %d there are %d records", again.Revision(), again.Len(store.Committed))
	}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		was, _ := r.Get(store.Committed, key)
		if is, ok := again.Get(store.Committed, key); !ok || is != was {
			t.Errorf("%s was %+v, is %+v", key, was, is)
		}
	}
	for _, c := range again.heard() {
		if c.Own || c.Known {
			t.Errorf("what another one has written is announced as %+v", c)
		}
	}
}

func TestTombstonesArePurged(t *testing.T) {
	srv := brokertest.Run(t)
	js := streams(t, srv, nil)
	r, other := follow(t, dial(t, srv), time.Hour), follow(t, dial(t, srv), time.Hour)
	r.set(t, "new", count{Gone: true})
	kept := r.set(t, "new", count{N: 2}) // in the place of a tombstone that is yet to be purged
	r.PurgeAfter(0)
	r.set(t, "old", count{Gone: true})
	r.set(t, "stays", count{N: 1})
	// A tombstone that came before PurgeAfter has changed waits for an hour; a log
	// that opens now buries it at once.
	late := follow(t, dial(t, srv), 0)
	eventually(t, "the tombstones are purged", func() bool { return stored(t, js) == 2 })
	eventually(t, "the tombstone is forgotten", func() bool {
		_, ok := r.Get(store.Committed, "old")
		return !ok
	})
	last := r.set(t, "stays", count{N: 2})
	for _, l := range []*replica{r, other, late} {
		caughtUp(t, l)
		if row, ok := l.Get(store.Committed, "new"); !ok || row != kept {
			t.Errorf("the newer record is %+v, %v", row, ok)
		}
		if l.Revision() != last.Revision {
			t.Errorf("revision %d", l.Revision())
		}
	}
	for range 5 { // and everybody can go on
		for _, l := range []*replica{r, other, late} {
			if err := l.add(t.Context(), "stays"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// line is a connection that can be cut, and made deaf before: then it hears nothing
// until it is cut.
type line struct {
	mu    sync.Mutex
	conns []net.Conn
	deaf  atomic.Bool
	down  atomic.Bool
}

type deafConn struct {
	net.Conn
	l    *line
	dead atomic.Bool
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for err == nil && c.l.deaf.Load() {
		c.dead.Store(true)
		_, err = c.Conn.Read(p)
	}
	if c.dead.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Dial implements nats.CustomDialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	if l.down.Load() {
		return nil, errors.New("the line is down")
	}
	nc, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, nc)
	return &deafConn{Conn: nc, l: l}, nil
}

// cut closes the connection; what was on its way is lost.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, nc := range l.conns {
		_ = nc.Close()
	}
	l.conns = nil
}

// A record that was stored while its acknowledgement was lost is not stored twice.
func TestLostAcknowledgement(t *testing.T) {
	srv := brokertest.Run(t)
	js := streams(t, srv, nil)
	l := &line{}
	r := follow(t, dial(t, srv, nats.SetCustomDialer(l)), time.Hour)
	r.set(t, "a", count{N: 0})
	for round := 1; round <= 10; round++ {
		before := r.set(t, "b", count{}).Revision // all is well before
		l.deaf.Store(true)
		done := make(chan error, 2)
		go func() { done <- r.add(t.Context(), "a") }()
		go func() { done <- r.add(t.Context(), "a") }()
		eventually(t, "the record is stored", func() bool {
			s, err := js.Stream(t.Context(), broker.LiveStream)
			return err == nil && s.CachedInfo().State.LastSeq > before
		})
		l.cut()
		l.deaf.Store(false)
		failed := 0
		for range 2 {
			if err := <-done; errors.Is(err, &chat.Error{Code: chat.Timeout}) {
				failed++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		row, _ := r.Get(store.Committed, "a")
		if missing := 2*round - row.Record.N; missing != 0 {
			t.Fatalf("round %d: %d, with %d steps that nobody knows about", round, row.Record.N, failed)
		}
		if failed > 0 {
			t.Fatalf("round %d: %d steps failed although their records were there", round, failed)
		}
	}
	checkChanges(t, r)
	for _, c := range r.heard() {
		if !c.Own {
			t.Errorf("not our own: %+v", c)
		}
	}
}

// A replica that was cut off while a tombstone came and was purged does not keep
// what the tombstone had ended.
func TestMissedTombstone(t *testing.T) {
	for name, after := range map[string]func(*testing.T, *replica){
		"last":     func(*testing.T, *replica) {},
		"followed": func(t *testing.T, r *replica) { r.set(t, "other", count{N: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := brokertest.Run(t)
			js := streams(t, srv, nil)
			l := &line{}
			behind := follow(t, dial(t, srv, nats.SetCustomDialer(l)), time.Hour)
			r := follow(t, dial(t, srv), 0)
			r.set(t, "a", count{N: 1})
			r.set(t, "b", count{N: 1})
			caughtUp(t, behind)
			l.down.Store(true)
			l.cut()
			r.set(t, "a", count{Gone: true})
			eventually(t, "the tombstones are purged", func() bool { return stored(t, js) == 1 })
			after(t, r)
			l.down.Store(false)
			if err := behind.add(t.Context(), "c"); err != nil {
				t.Fatal(err)
			}
			if row, ok := behind.Get(store.Committed, "a"); ok {
				t.Errorf("it still sees %+v", row)
			}
		})
	}
}

func TestStoreIsFull(t *testing.T) {
	srv := brokertest.Run(t)
	streams(t, srv, func(c *jetstream.StreamConfig) { c.MaxMsgs = 2 })
	r := follow(t, dial(t, srv), 0)
	r.set(t, "a", count{N: 1})
	r.set(t, "b", count{N: 1})
	var wg sync.WaitGroup
	for range 8 { // some of them in one batch
		wg.Go(func() {
			if err := r.add(t.Context(), "c"); !errors.Is(err, &chat.Error{Code: chat.Full}) {
				t.Errorf("a new record: %v", err)
			}
		})
		wg.Go(func() {
			if err := r.add(t.Context(), "a"); err != nil {
				t.Errorf("a record that is there: %v", err)
			}
		})
	}
	wg.Wait()
	if row, _ := r.Get(store.Committed, "a"); row.Record.N != 9 || r.Len(store.Committed) != 2 {
		t.Errorf("%+v, %d records", row, r.Len(store.Committed))
	}
	r.set(t, "b", count{Gone: true})
	eventually(t, "there is room again", func() bool { return r.add(t.Context(), "c") == nil })
}

// The broker goes away and comes back where it was, with what it had acknowledged.
func TestBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	srv := brokertest.RunIn(t, dir)
	js, err := jetstream.New(dial(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.EnsureStreams(t.Context(), js, jetstream.FileStorage, 1); err != nil {
		t.Fatal(err)
	}
	replicas := []*replica{follow(t, dial(t, srv), time.Hour), follow(t, dial(t, srv), time.Hour)}
	var committed, unknown, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, r := range replicas {
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(t.Context(), timeout)
					err := r.add(ctx, "a")
					cancel()
					switch {
					case err == nil:
						committed.Add(1)
					case errors.Is(err, &chat.Error{Code: chat.Timeout}):
						unknown.Add(1)
					default:
						failed.Add(1)
						t.Error(err)
						return
					}
				}
			})
		}
	}
	addr := srv.Addr()
	for range 3 {
		goal := committed.Load() + 100
		eventually(t, "steps are committed", func() bool { return committed.Load() > goal || failed.Load() > 0 })
		srv.Stop()
		srv = brokertest.RunConfig(t, embedded.Config{DataDir: dir, Listen: addr})
	}
	goal := committed.Load() + 100
	eventually(t, "steps are committed again", func() bool { return committed.Load() > goal || failed.Load() > 0 })
	close(stop)
	wg.Wait()
	t.Logf("%d committed, %d unknown", committed.Load(), unknown.Load())
	for _, r := range replicas {
		caughtUp(t, r)
		row, _ := r.Get(store.Committed, "a")
		if n := int64(row.Record.N); n < committed.Load() || n > committed.Load()+unknown.Load() {
			t.Errorf("%d counted; %d committed and %d unknown", n, committed.Load(), unknown.Load())
		}
		checkChanges(t, r)
	}
}
