package account_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/presence/account"
)

func TestIndexHoldsLookAlikes(t *testing.T) {
	const day = 24 * time.Hour
	later := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		what string
		r    account.Record
		now  time.Time
		want bool
	}{
		{"a name that is taken", account.Record{Name: "walice", Key: "A", LastLogin: noon}, later(day), true},
		{"in another spelling", account.Record{Name: "WaIice", Key: "A", LastLogin: noon}, later(day), true},
		{"a name that nobody has used", account.Record{Name: "walice", Key: "A", LastLogin: noon}, later(31 * day), false},
		{"a reservation", account.Record{Name: "walice", Key: "A", Reserved: later(time.Minute)}, later(30 * time.Second), true},
		{"a reservation that has ended", account.Record{Name: "walice", Key: "A", Reserved: later(time.Minute)}, later(2 * time.Minute), false},
		{"a name that was freed", account.Record{Name: "walice", Freed: later(time.Hour)}, later(2 * time.Hour), false},
		{"a name that will be free", account.Record{Name: "walice", Freed: later(time.Hour)}, noon, true},
		{"a name that nobody has used, says a clock that is not settled", account.Record{Name: "walice", Key: "A", LastLogin: later(100 * day)}, later(31 * day), true},
		{"a tombstone", account.Record{Name: "walice", Deleted: noon}, later(1000 * day), true},
	} {
		var x account.Index
		x.Note("walice", c.r, noon)
		for _, n := range []chat.Name{"waIice", "wa1ice", "wal-ice", "vvalice"} {
			if got := x.Held(n, c.now, c.now, 30*day); got != c.want {
				t.Errorf("%s: %s is held: %v", c.what, n, got)
			}
		}
		if x.Held("walice", c.now, c.now, 30*day) || x.Held("malice", c.now, c.now, 30*day) {
			t.Errorf("%s: its owner, or another name, is kept away", c.what)
		}
	}
}

// What is noted last counts, also of two whose names look alike since long ago.
func TestIndexForgets(t *testing.T) {
	var x account.Index
	held := func(n chat.Name) bool { return x.Held(n, noon, noon, 0) }
	x.Note("al", account.Record{Name: "AI", Key: "A", LastLogin: noon}, noon)
	x.Note("ai", account.Record{Name: "AI", Key: "A", LastLogin: noon}, noon)
	x.Note("a1", account.Record{Name: "a1", Key: "B", LastLogin: noon}, noon)
	x.Note("ai", account.Record{Name: "ai", Key: "A", LastLogin: noon}, noon)
	x.Note("al", account.Record{Name: "al"}, noon)
	if !held("a-l") || !held("a_i") {
		t.Error("a name that is taken is free")
	}
	x.Note("a1", account.Record{Name: "a1"}, noon)
	if held("a-l") {
		t.Error("the old spelling is still there")
	}
	for n := range 1000 { // reservations that end are dropped
		x.Note(chat.User(fmt.Sprintf("u%d", n)), account.Record{Name: chat.Name(fmt.Sprintf("U%d", n)), Key: "A", Reserved: noon.Add(time.Minute)}, noon)
	}
	x.Note("bob", account.Record{Name: "bob", Key: "B", LastLogin: noon}, noon.Add(5*time.Minute))
	if got := x.Len(); got != 2 {
		t.Errorf("%d skeletons are kept", got)
	}
}

// A store knows what it and others have stored, before it began to follow and after.
func TestIndexFollowsTheStream(t *testing.T) {
	srv := brokertest.Run(t)
	mine, other := open(t, srv), open(t, srv)
	login := func(s *account.Store, n chat.Name) {
		t.Helper()
		if _, err := s.Update(t.Context(), n.User(), func(r account.Record) (account.Record, error) {
			return account.Record{Name: n, Key: "A", LastLogin: noon}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	login(other, "walice")
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	loaded := make(chan struct{})
	run.Go(func() { mine.Follow(ctx, slog.New(slog.DiscardHandler), func() { close(loaded) }) })
	<-loaded
	held := func(n chat.Name) bool { return mine.Names.Held(n, noon, noon, 0) }
	if !held("waIice") {
		t.Error("what was stored before is not known")
	}
	login(other, "Bob")
	for !held("b0b") {
		runtime.Gosched()
	}
	login(mine, "carol")
	if !held("car0l") {
		t.Error("what the store itself has stored is not known")
	}
	cancel()
	run.Wait()
}

// The memory of the index: see BenchmarkIndex.
func BenchmarkIndex(b *testing.B) {
	const accounts = 100_000
	for b.Loop() {
		var x account.Index
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for n := range accounts {
			name := chat.Name(fmt.Sprintf("someUser%d", n))
			x.Note(name.User(), account.Record{Name: name, Key: "A", LastLogin: noon}, noon)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/accounts, "B/account")
		runtime.KeepAlive(&x)
	}
}
