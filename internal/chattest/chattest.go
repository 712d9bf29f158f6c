// Package chattest is an installation in one process, with users that act in it: for
// tests that read as stories.
package chattest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/coord"
	"natter/session"
)

// Installation is a broker and a coordinator.
type Installation struct {
	T      testing.TB
	Server *embedded.Server
	Coord  *coord.Coordinator
	Config coord.Config

	Unrevoking bool // the next coordinator cannot revoke tickets
	stop       func()
}

// timeout is how long anything may take before a test fails.
const timeout = 20 * time.Second

// Run starts an installation that keeps nothing.
func Run(t testing.TB, change ...func(*coord.Config)) *Installation {
	t.Helper()
	return run(t, "", false, change)
}

// RunIn is Run with a data directory, where an earlier one may have run.
func RunIn(t testing.TB, dir string, change ...func(*coord.Config)) *Installation {
	t.Helper()
	return run(t, dir, false, change)
}

// RunUnrevoking is Run with a coordinator that cannot revoke tickets.
func RunUnrevoking(t testing.TB, change ...func(*coord.Config)) *Installation {
	t.Helper()
	return run(t, "", true, change)
}

func run(t testing.TB, dir string, unrevoking bool, change []func(*coord.Config)) *Installation {
	t.Helper()
	cfg := coord.Defaults()
	cfg.Memory = dir == ""
	cfg.Limits = rpc.Limits{}   // one address and a few users act as thousands
	cfg.ConnLimits.Reserved = 0 // the same
	cfg.Log = slog.New(slog.NewTextHandler(newTestWriter(t), &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, c := range change {
		c(&cfg)
	}
	in := &Installation{T: t, Server: brokertest.RunIn(t, dir), Config: cfg, Unrevoking: unrevoking}
	in.Start()
	return in
}

// Start starts a coordinator; it stops with the test.
func (in *Installation) Start() {
	in.T.Helper()
	links, err := coord.Embed(in.Server)
	if err != nil {
		in.T.Fatal(err)
	}
	if in.Unrevoking {
		links.Revoker = nil
	}
	c, err := coord.Start(context.Background(), in.Config, links.Links)
	if err != nil {
		in.T.Fatal(err)
	}
	in.Coord = c
	in.stop = sync.OnceFunc(func() {
		c.Stop()
		links.Close()
	})
	in.T.Cleanup(in.stop)
}

// StopCoordinator stops the coordinator that was started last.
func (in *Installation) StopCoordinator() { in.stop() }

// Stop stops the coordinator that was started last, and the server.
func (in *Installation) Stop() {
	in.stop()
	in.Server.Stop()
}

// User is a client in a test, whose events are read message by message.
type User struct {
	*client.Client
	T testing.TB

	once   sync.Once // begins to split
	events chan client.Event
}

// Text is one message of a client.Texts.
type Text struct {
	Session string
	From    chat.Name
	N       uint64
	At      time.Time
	Text    string
}

// Events are the client's, with a Text for each message.
func (u *User) Events() <-chan client.Event {
	u.once.Do(func() {
		u.events = make(chan client.Event)
		go u.split()
	})
	return u.events
}

func (u *User) split() {
	defer close(u.events)
	for e := range u.Client.Events() {
		for _, e := range Split(e) {
			select {
			case u.events <- e:
			case <-u.T.Context().Done():
			}
		}
	}
}

// Split is an event as the events of single messages.
func Split(e client.Event) []client.Event {
	said, ok := e.(client.Texts)
	if !ok {
		return []client.Event{e}
	}
	var all []client.Event
	for _, m := range said.Messages {
		all = append(all, Text{Session: said.Session, From: said.From, N: m.N, At: m.At, Text: m.Text})
	}
	return all
}

// Guest dials without a name.
func (in *Installation) Guest() *User {
	in.T.Helper()
	c, err := client.Dial(in.T.Context(), client.Config{URL: in.Server.URL(), Log: in.Config.Log})
	if err != nil {
		in.T.Fatal(err)
	}
	in.T.Cleanup(c.Close)
	return &User{Client: c, T: in.T}
}

// User is a visible user.
func (in *Installation) User(name string) *User {
	in.T.Helper()
	return Dial(in.T, client.Config{URL: in.Server.URL(), Log: in.Config.Log}, name)
}

// Dial is a visible user at any server.
func Dial(t testing.TB, cfg client.Config, name string) *User {
	t.Helper()
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Enter(t.Context(), name); err != nil {
		t.Fatalf("%s enters: %v", name, err)
	}
	if err := c.SetPresence(t.Context(), true); err != nil {
		t.Fatalf("%s becomes visible: %v", name, err)
	}
	return &User{Client: c, T: t}
}

// Chat begins a chat between a host and guests.
func Chat(host *User, guests ...*User) chat.Session {
	host.T.Helper()
	var names []string
	for _, g := range guests {
		names = append(names, string(g.Me()))
	}
	s, err := host.Invite(host.T.Context(), names...)
	if err != nil {
		host.T.Fatalf("%s invites: %v", host.Me(), err)
	}
	for _, g := range guests {
		Wait[session.Invited](g)
		if err := g.Answer(host.T.Context(), s.ID, true); err != nil {
			host.T.Fatalf("%s accepts: %v", g.Me(), err)
		}
	}
	for _, u := range append(guests, host) {
		Wait[session.Opened](u)
	}
	return s
}

// Wait reads events until one of the wanted type comes.
func Wait[E client.Event](u *User) (wanted E) {
	u.T.Helper()
	Until(u, fmt.Sprintf("%T", wanted), func(e client.Event) (found bool) {
		wanted, found = e.(E)
		return found
	})
	return wanted
}

// Until reads events until the last of them, which is what is waited for.
func Until(u *User, what string, last func(client.Event) bool) {
	u.T.Helper()
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		select {
		case e, ok := <-u.Events():
			if !ok {
				u.T.Fatalf("%s is closed while waiting for %s", u.Me(), what)
			}
			if last(e) {
				return
			}
		case <-late.C:
			u.T.Fatalf("%s waited in vain for %s", u.Me(), what)
		}
	}
}

// Code fails unless err is a chat.Error with a code.
func Code(t testing.TB, err error, code chat.Code) {
	t.Helper()
	e, ok := err.(*chat.Error)
	if !ok || e.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

// testWriter logs to a test until it ends: callbacks of a connection may come later.
type testWriter struct {
	t    testing.TB
	mu   sync.Mutex
	over bool
}

func newTestWriter(t testing.TB) *testWriter {
	w := &testWriter{t: t}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
	})
	return w
}

// Write implements io.Writer.
func (w *testWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}
