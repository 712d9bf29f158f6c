package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/store"
)

// What was gone before a server ended without a word is gone afterwards, also where
// there is no ledger to compare with.
func TestWhatIsBuriedStaysBuried(t *testing.T) {
	dir := t.TempDir()
	srv := brokertest.RunIn(t, dir)
	js := files(t, srv)
	r := follow(t, dial(t, srv), 0)
	r.set(t, "bob", count{N: 1})
	r.set(t, "stays", count{N: 2})
	r.set(t, "bob", count{Gone: true})
	eventually(t, "the tombstones are purged", func() bool { return stored(t, js) == 1 })
	r.stop()
	srv.Stop()
	index, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", broker.LiveStream, "msgs", "index.db"))
	if err != nil || len(index) != 1 {
		t.Fatal(index, err)
	}
	if err := errors.Join(os.Remove(index[0]), os.Remove(filepath.Join(dir, "ledger"))); err != nil {
		t.Fatal(err)
	}
	srv = brokertest.RunIn(t, dir)
	js = files(t, srv)
	r = follow(t, dial(t, srv), 0)
	if row, ok := r.Get(store.Committed, "bob"); ok && !row.Record.Gone {
		t.Errorf("bob is back: %+v", row)
	}
	if row, ok := r.Get(store.Committed, "stays"); !ok || row.Record.N != 2 {
		t.Errorf("%+v stays, %t", row, ok)
	}
	eventually(t, "what came back is purged", func() bool { return stored(t, js) == 1 })
}

// A second tombstone is no news to whoever has seen the first one.
func TestASecondTombstoneTellsNothing(t *testing.T) {
	srv := brokertest.Run(t)
	js := streams(t, srv, nil)
	r, other := follow(t, dial(t, srv), time.Hour), follow(t, dial(t, srv), time.Hour)
	r.set(t, "bob", count{N: 1})
	caughtUp(t, other)
	r.set(t, "bob", count{Gone: true})
	caughtUp(t, other)
	follow(t, dial(t, srv), 0)
	eventually(t, "the tombstones are purged", func() bool { return stored(t, js) == 0 })
	r.set(t, "carol", count{N: 1})
	for _, l := range []*replica{r, other} {
		caughtUp(t, l)
		if heard := l.heard(); len(heard) != 3 || heard[2].Key != "carol" {
			t.Errorf("heard of %+v", heard)
		}
	}
}

// files makes the streams as a server keeps them that is to last.
func files(t *testing.T, srv *embedded.Server) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(dial(t, srv))
	if err == nil {
		err = broker.EnsureStreams(t.Context(), js, jetstream.FileStorage, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// stored counts the records of LIVE.
func stored(t *testing.T, js jetstream.JetStream) uint64 {
	s, err := js.Stream(t.Context(), broker.LiveStream)
	if err != nil {
		return 1 << 60
	}
	return s.CachedInfo().State.Msgs
}
