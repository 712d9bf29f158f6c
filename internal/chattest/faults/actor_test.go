//go:build faults

package faults_test

import (
	"context"
	"flag"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/internal/chattest/faults"
	"natter/internal/client"
	"natter/session"
)

// The rows are fixed scenarios, each with the bounds that users are promised. What the
// schedules draw by chance happens here every time.
var rows = flag.Int("faults.rows", 1, "how many times each fixed scenario is played")

const (
	graceTime   = 10 * time.Second // as grace
	atOnce      = 2 * time.Second  // a connection that is closed is noticed
	releasedIn  = 15 * time.Second // a name and a chat, when the program is dead
	backIn      = 5 * time.Second  // everybody, when the server is up again
	elsewhereIn = 10 * time.Second // from a line on which nothing arrives
	replicaIn   = 3 * time.Second  // another coordinator serves
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
	relay *faults.Relay // of the first server

	*client.Client
	mu    sync.Mutex
	told  []seen
	moved chan struct{}
	ended chan struct{} // closed when no more is told
}

// newActor reaches the first server by a relay, and the others directly.
func newActor(t *testing.T, s *servers, name string) *actor {
	t.Helper()
	r, err := faults.NewRelay(s.addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	a := &actor{t: t, name: name, keys: t.TempDir(), relay: r, urls: []string{r.URL()}, moved: make(chan struct{})}
	for _, other := range s.addresses[1:] {
		a.urls = append(a.urls, "nats://"+other)
	}
	return a
}

// live starts the actor's program, which has forgotten everything but its key.
func (a *actor) live() error {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{
		URL: strings.Join(a.urls, ","), KeyDir: a.keys, Name: a.name, Wait: askFor,
		Options: []nats.Option{nats.IgnoreDiscoveredServers(), nats.DontRandomize()},
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.Client, a.told, a.ended = c, nil, make(chan struct{})
	a.mu.Unlock()
	go a.read(c, a.ended)
	if _, err = c.Enter(ctx, a.name); err == nil {
		err = c.SetPresence(ctx, true)
	}
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
	a.relay.Set(faults.Flaw{Cut: true})
	at := time.Now()
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
		if text, ok := s.event.(session.Text); ok {
			texts = append(texts, text.Text)
		}
	}
	return texts
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
	late := time.NewTimer(patience + 30*time.Second)
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

// promised fails if something took longer than is promised.
func promised(t *testing.T, what string, took, bound time.Duration) {
	t.Helper()
	if t.Logf("%s: %s", what, took.Round(time.Millisecond)); took > bound {
		t.Errorf("%s: %s, promised are %s", what, took.Round(time.Millisecond), bound)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cast brings actors in; together they chat.
func cast(t *testing.T, s *servers, names ...string) (all []*actor) {
	t.Helper()
	for _, name := range names {
		a := newActor(t, s, name)
		must(t, a.live())
		all = append(all, a)
	}
	return all
}

func together(t *testing.T, all ...*actor) string {
	t.Helper()
	var guests []string
	for _, a := range all[1:] {
		guests = append(guests, a.name)
	}
	begin := time.Now()
	s, err := all[0].Invite(t.Context(), guests...)
	must(t, err)
	for _, a := range all[1:] {
		told[session.Invited](a, begin)
		must(t, a.Answer(t.Context(), s.ID, true))
	}
	for _, a := range all {
		told[session.Opened](a, begin)
	}
	return s.ID
}

// chatter says numbers until it is stopped, and then how many.
func chatter(t *testing.T, a *actor) (stop func() int) {
	end, said := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case <-end:
				said <- n
				return
			case <-time.After(50 * time.Millisecond):
			}
			if err := a.Say(strconv.Itoa(n)); err == nil { // else nothing was kept, as is said
				n++
			}
		}
	}()
	return func() int { close(end); return <-said }
}

// complete fails unless what came to a program is 0, 1, 2, ..., n-1, from some number on, and
// returns that.
func complete(t *testing.T, who string, heard []string, n int) (first int) {
	t.Helper()
	if len(heard) == 0 {
		if n > 0 {
			t.Errorf("%s heard none of %d messages", who, n)
		}
		return n
	}
	first, err := strconv.Atoi(heard[0])
	must(t, err)
	for i, text := range heard {
		if text != strconv.Itoa(first+i) {
			t.Errorf("%s heard %q where %d was due: %v", who, text, first+i, heard)
			return first
		}
	}
	if first+len(heard) != n {
		t.Errorf("%s heard up to %d of %d messages", who, first+len(heard), n)
	}
	return first
}

// flushed waits until what was said has arrived.
func flushed(t *testing.T, a *actor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		t.Errorf("what %s said does not arrive: %v", a.name, err)
	}
}

// row plays a scenario as often as was asked for, beside the others, each on servers of its own.
func row(t *testing.T, install func(*testing.T) *servers, play func(*testing.T, *servers)) {
	build(t)
	t.Parallel()
	for n := range *rows {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			s := install(t)
			play(t, s)
		})
	}
}

func alone(t *testing.T) *servers { return embeddedServer(t) }
func three(t *testing.T) *servers { return cluster(t) }
