package account_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/presence/account"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestReserve(t *testing.T) {
	const day = 24 * time.Hour
	reserved := account.Record{Name: "alice", Key: "A", Created: noon, Reserved: noon.Add(time.Minute)}
	taken, err := account.Login(reserved, "alice", noon)
	if err != nil || !taken.Taken() {
		t.Fatalf("login: %+v, %v", taken, err)
	}
	if _, err := account.Login(taken, "alice", noon.Add(time.Minute)); !errors.Is(err, chat.ErrUnchanged) {
		t.Errorf("another login a minute later: %v", err)
	}
	if later, err := account.Login(taken, "Alice", noon.Add(time.Minute)); err != nil || later.Name != "Alice" {
		t.Errorf("another spelling: %+v, %v", later, err)
	}
	if later, err := account.Login(taken, "alice", noon.Add(time.Hour)); err != nil || later.LastLogin != noon.Add(time.Hour) {
		t.Errorf("an hour later: %+v, %v", later, err)
	}
	for _, c := range []struct {
		what   string
		before account.Record
		key    string
		after  time.Duration
		ttl    time.Duration
		want   string
	}{
		{"a free name", account.Record{}, "A", 0, day, "A"},
		{"one's own reservation", reserved, "A", 30 * time.Second, day, "A"},
		{"another's reservation", reserved, "B", 30 * time.Second, day, "taken"},
		{"a reservation while its ticket can still be used", reserved, "B", time.Minute, day, "taken"},
		{"a reservation that nobody took", reserved, "B", time.Minute + 1, day, "B"},
		{"one's own name", taken, "A", 300 * day, day, "unchanged or A"},
		{"another's name", taken, "B", day, day, "taken"},
		{"a name that nobody has used", taken, "B", day + 1, day, "B"},
		{"a name for ever", taken, "B", 1000 * day, 0, "taken"},
	} {
		r, err := account.Reserve(c.before, "Alice", c.key, noon.Add(c.after), noon.Add(c.after), time.Minute, c.ttl)
		got := r.Key
		var told *chat.Error
		switch {
		case errors.Is(err, chat.ErrUnchanged):
			got = "unchanged or A"
		case errors.As(err, &told):
			got = string(told.Code)
		case r.Taken() || r.Reserved != noon.Add(c.after+time.Minute):
			if c.want != "unchanged or A" {
				t.Errorf("%s: %+v", c.what, r)
			}
			got = "unchanged or A"
		}
		if got != c.want && !(got == "A" && c.want == "unchanged or A") {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestATicketEndsBeforeItsNameDoes(t *testing.T) {
	const day = 24 * time.Hour
	reserved := account.Record{Name: "alice", Key: "A", Reserved: noon.Add(time.Minute)}
	taken := account.Record{Name: "alice", Key: "A", LastLogin: noon}
	for _, c := range []struct {
		r              account.Record
		after, ttl, in time.Duration
	}{
		{reserved, 20 * time.Second, day, 40 * time.Second},
		{taken, time.Hour, day, chat.UserTicketTTL},
		{taken, 20 * time.Hour, day, 4 * time.Hour},
		{taken, 300 * day, 0, chat.UserTicketTTL},
	} {
		if got := c.r.TicketTTL(noon.Add(c.after), noon.Add(c.after), c.ttl); got != c.in {
			t.Errorf("%+v after %s, kept for %s: a ticket for %s, want %s", c.r, c.after, c.ttl, got, c.in)
		}
	}
}

// TestOneOfManyGetsAName has many keys reserve one name through two stores at once.
func TestOneOfManyGetsAName(t *testing.T) {
	srv := brokertest.Run(t)
	stores := []*account.Store{open(t, srv), open(t, srv)}
	const keys = 40
	won, refused := make(chan string, keys), make(chan error, keys)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key := fmt.Sprint("key", i)
			_, err := stores[i%2].Update(t.Context(), "alice", func(r account.Record) (account.Record, error) {
				return account.Reserve(r, "alice", key, noon, noon, time.Minute, 0)
			})
			if err == nil {
				won <- key
			} else {
				refused <- err
			}
		})
	}
	wg.Wait()
	close(refused)
	if len(won) != 1 {
		t.Fatalf("%d keys got the name", len(won))
	}
	for err := range refused {
		if !errors.Is(err, &chat.Error{Code: chat.Taken}) {
			t.Error(err)
		}
	}
	r, revision, err := stores[0].Get(t.Context(), "alice")
	if err != nil || r.Key != <-won || revision != 1 {
		t.Fatalf("stored is %+v at %d, %v", r, revision, err)
	}
	if r, revision, err := stores[1].Get(t.Context(), "nora"); err != nil || revision != 0 || r.Key != "" {
		t.Fatalf("nora has %+v at %d, %v", r, revision, err)
	}
}

func open(t *testing.T, srv *embedded.Server) *account.Store {
	t.Helper()
	nc, err := srv.Dial("store", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.EnsureStreams(t.Context(), js, jetstream.MemoryStorage, 1); err != nil {
		t.Fatal(err)
	}
	store, err := account.OpenStore(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
