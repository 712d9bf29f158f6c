//go:build faults

package faults_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
	"natter/internal/chattest"
	"natter/internal/chattest/faults"
)

// seen is something that somebody was told, and when.
type seen struct {
	at    time.Time
	event client.Event
}

// actor is somebody in a row, whose program keeps what it is told.
type actor struct {
	t     *testing.T
	name  string
	keys  string
	urls  []string
	relay *faults.Relay // of the server that is tried first
	over  bool          // its program takes over from another one of the same user

	*client.Client
	mu    sync.Mutex
	told  []seen
	moved chan struct{}
	ended chan struct{} // closed when no more is told
}

func (a *actor) Say(text string) error           { return chattest.Say(a.Client, text) }
func (a *actor) Flush(ctx context.Context) error { return chattest.Flush(ctx, a.Client) }
func (a *actor) Quit(ctx context.Context) error  { return chattest.Quit(ctx, a.Client) }
func (a *actor) Leave(ctx context.Context) error { return chattest.Leave(ctx, a.Client) }

// newActor is at home at the first server.
func newActor(t *testing.T, s *servers, name string) *actor { return newActorAt(t, s, 0, name) }

// newActorAt reaches the server that they are at home at by a relay, and the others directly.
func newActorAt(t *testing.T, s *servers, home int, name string) *actor {
	t.Helper()
	home %= len(s.addresses)
	r, err := faults.NewRelay(s.addresses[home])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	a := &actor{t: t, name: name, keys: t.TempDir(), relay: r, urls: []string{r.URL()}, moved: make(chan struct{})}
	for _, other := range slices.Delete(slices.Clone(s.addresses), home, home+1) {
		a.urls = append(a.urls, "nats://"+other)
	}
	return a
}

// live starts the actor's program, which has forgotten everything but its key, and is seen by all.
func (a *actor) live() error {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	err := a.enter(ctx)
	if err == nil {
		err = a.SetPresence(ctx, true)
	}
	return err
}

// enter starts the program and takes the name.
func (a *actor) enter(ctx context.Context) error {
	c, err := client.Dial(ctx, client.Config{
		URL: strings.Join(a.urls, ","), KeyDir: a.keys, Name: a.name, Wait: askFor, Sent: true, Takeover: a.over,
		Options: []nats.Option{nats.IgnoreDiscoveredServers(), nats.DontRandomize()},
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.Client, a.told, a.ended = c, nil, make(chan struct{})
	a.mu.Unlock()
	go a.read(c, a.ended)
	_, err = c.Enter(ctx, a.name)
	a.t.Cleanup(c.Close)
	return err
}

func (a *actor) read(c *client.Client, ended chan struct{}) {
	defer close(ended)
	for e := range c.Events() {
		a.mu.Lock()
		a.told = append(a.told, seen{time.Now(), e})
		close(a.moved)
		a.moved = make(chan struct{})
		a.mu.Unlock()
	}
}

// dies ends the program as kill -9 does, and returns when that was.
func (a *actor) dies() time.Time {
	at := time.Now() // others may be told at once
	a.relay.Set(faults.Flaw{Cut: true})
	a.Client.Close()
	<-a.ended
	a.relay.Set(faults.Flaw{})
	return at
}

// heard are the texts that the present program was told, in order.
func (a *actor) heard() (texts []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.told {
		if said, ok := s.event.(client.Texts); ok {
			for _, m := range said.Messages {
				texts = append(texts, m.Text)
			}
		}
	}
	return texts
}

// hears waits until the present program has been told so many texts.
func (a *actor) hears(n int) []string {
	a.t.Helper()
	late := time.After(timeout)
	for {
		a.mu.Lock()
		moved := a.moved
		a.mu.Unlock()
		texts := a.heard()
		if len(texts) >= n {
			return texts
		}
		select {
		case <-moved:
		case <-late:
			a.t.Fatalf("%s hears only %q", a.name, texts)
		}
	}
}

// counts how often the present program was told something of a kind.
func counts[E client.Event](a *actor) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.told {
		if _, ok := s.event.(E); ok {
			n++
		}
	}
	return n
}

// told waits until the actor's program is told something, after a time, and returns it and
// when that was.
func told[E client.Event](a *actor, after time.Time) (found E, at time.Time) {
	a.t.Helper()
	late := time.NewTimer(timeout + 30*time.Second)
	defer late.Stop()
	for next := 0; ; {
		a.mu.Lock()
		news, moved := a.told[next:], a.moved
		next = len(a.told)
		a.mu.Unlock()
		for _, s := range news {
			if e, ok := s.event.(E); ok && s.at.After(after) {
				return e, s.at
			}
		}
		select {
		case <-moved:
		case <-late.C:
			a.t.Fatalf("%s is never told %T", a.name, found)
		}
	}
}
