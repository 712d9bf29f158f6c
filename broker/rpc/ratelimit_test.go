package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/rpc"
	"natter/chat"
)

const timeout = 20 * time.Second

// desk is a service that lists nobody, or everybody in the world to who wants to watch, and
// lets nobody in, with limits and a clock.
type desk struct {
	*rpc.Service
	srv    *embedded.Server
	clock  atomic.Int64 // nanoseconds
	excess chan []rpc.Excess
	abuse  chan chat.User
}

func open(t *testing.T, l rpc.Limits) *desk {
	t.Helper()
	srv := brokertest.Run(t)
	answering := brokertest.Dial(t, srv, chat.AnsweringGrant(), chat.StoreInbox)
	s, err := rpc.NewService(answering.Conn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	d := &desk{Service: s, srv: srv, excess: make(chan []rpc.Excess, 9), abuse: make(chan chat.User, 9)}
	d.clock.Store(1)
	s.SetClock(func() time.Time { return time.Unix(0, d.clock.Load()) })
	s.Limits, s.Limited, s.Abuse = l, func(e []rpc.Excess) { d.excess <- e }, func(u chat.User) { d.abuse <- u }
	err = errors.Join(
		rpc.Handle(s, chat.List, func(_ context.Context, _ rpc.Caller, q chat.ListRequest) (chat.ListReply, error) {
			if q.Watch {
				return chat.ListReply{Users: make([]chat.Entry, 1_000_000)}, nil
			}
			return chat.ListReply{Revision: 7}, nil
		}),
		rpc.Handle(s, chat.Exit, func(context.Context, rpc.Caller, chat.ExitRequest) (chat.Done, error) {
			return chat.Done{Revision: 7}, nil
		}),
		rpc.Handle(s, chat.Enter, func(context.Context, rpc.Caller, chat.EnterRequest) (chat.Sealed, error) {
			return chat.Sealed{From: "x"}, nil
		}),
		rpc.Settle(answering.Conn))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTooLongAnAnswer: what the server does not carry is told, and not waited for.
func TestTooLongAnAnswer(t *testing.T) {
	d := open(t, rpc.Limits{})
	alice := brokertest.User(t, d.srv, "alice")
	_, err := rpc.Call(t.Context(), alice.Conn, chat.List, chat.Address{User: "alice"}, chat.ListRequest{Watch: true})
	if !errors.Is(err, &chat.Error{Code: chat.TooLong}) {
		t.Error(err)
	}
}

// once asks without timeout.
func once[Q, R any](t *testing.T, nc *brokertest.Conn, r chat.Request[Q, R], u chat.User) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // what is to be waited for is a second or more
	defer cancel()
	var q Q
	_, err := rpc.Call(ctx, nc.Conn, r, chat.Address{User: u}, q)
	return err
}

func slowed(t *testing.T, err error, text string) {
	t.Helper()
	told := &chat.Error{}
	if !errors.As(err, &told) || told.Code != chat.Rate || told.Wait != time.Second || told.Text != text {
		t.Errorf("%+v, want %q", err, text)
	}
}

func TestTooManyRequests(t *testing.T) {
	d := open(t, rpc.Limits{Requests: chat.RequestRate, Lists: chat.ListRate})
	mallory, alice := brokertest.User(t, d.srv, "mallory"), brokertest.User(t, d.srv, "alice")
	for i := range chat.RequestRate * chat.BurstFactor {
		if err := once(t, mallory, chat.Exit, "mallory"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	slowed(t, once(t, mallory, chat.Exit, "mallory"), "Too many requests; try again in 1 s.")
	for range chat.ListRate * chat.BurstFactor {
		if err := once(t, alice, chat.List, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	slowed(t, once(t, alice, chat.List, "alice"), "Too many lists; try again in 1 s.")
	if err := once(t, alice, chat.Exit, "alice"); err != nil {
		t.Errorf("alice may still ask for something else: %v", err)
	}
	if got := d.Refused(); got["requests"] != 1 || got["lists"] != 1 || got["lobby"] != 0 {
		t.Errorf("refused: %v", got)
	}
	got := map[chat.User]string{}
	for _, e := range <-d.excess {
		got[e.User] = e.Text
	}
	if got["mallory"] != "201 requests in 1 s, limit 20; slowed down" || got["alice"] != "51 lists in 1 s, limit 5; slowed down" {
		t.Errorf("told: %v", got)
	}
	d.clock.Add(int64(time.Second))
	for _, u := range []*brokertest.Conn{mallory, alice} {
		name := chat.User("mallory")
		if u == alice {
			name = "alice"
		}
		if err := once(t, u, chat.List, name); err != nil {
			t.Errorf("%s a second later: %v", name, err)
		}
	}
}

// Who asks too fast is answered later, not refused, if they have the time.
func TestCallSlowsDown(t *testing.T) {
	d := open(t, rpc.Limits{Requests: 1})
	alice := brokertest.User(t, d.srv, "alice")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	go func() {
		<-d.excess
		d.clock.Add(int64(time.Second))
	}()
	for range chat.BurstFactor + 1 {
		if _, err := rpc.Call(ctx, alice.Conn, chat.List, chat.Address{User: "alice"}, chat.ListRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if d.Refused()["requests"] == 0 {
		t.Error("nothing was refused")
	}
}

// In the lobby the address counts that the server vouches for, whatever a header says,
// and whoever comes from another one notices nothing.
func TestTooManyInTheLobby(t *testing.T) {
	d := open(t, rpc.Limits{Lobby: 2})
	for i := range 2 * chat.LobbyFactor {
		lobby := brokertest.Lobby(t, d.srv)
		q := nats.NewMsg(chat.Enter.Subject(chat.Address{}))
		q.Header["Nats-Request-Info"] = []string{fmt.Sprintf(`{"host":"6.6.6.%d"}`, i)}
		q.Data = []byte("{}")
		m, err := lobby.RequestMsg(q, timeout)
		if err != nil || m.Header.Get("Nats-Service-Error-Code") != "" {
			t.Fatalf("request %d: %v %v", i, m, err)
		}
		lobby.Close()
	}
	slowed(t, once(t, brokertest.Lobby(t, d.srv), chat.Enter, ""), "Too many requests from your address; try again in 1 s.")
	if e := <-d.excess; len(e) != 1 || e[0].Address != "127.0.0.1" || e[0].User != "" {
		t.Errorf("told: %+v", e)
	}
}

// Requests that are none, and those whose answer would go elsewhere, are counted.
func TestAbuse(t *testing.T) {
	d := open(t, rpc.Limits{})
	mallory := brokertest.User(t, d.srv, "mallory")
	subject := chat.List.Subject(chat.Address{User: "mallory"})
	for range 60 {
		if err := mallory.PublishRequest(subject, "chat.coord.exit.alice", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := mallory.Request(subject, []byte("no JSON"), timeout); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case u := <-d.abuse:
		if u != "mallory" || d.Ignored() != 60 {
			t.Errorf("%s, %d ignored", u, d.Ignored())
		}
	case <-time.After(timeout):
		t.Error("nobody is told")
	}
}
