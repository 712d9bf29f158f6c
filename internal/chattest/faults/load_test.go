//go:build faults

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
	"natter/client"
	"natter/internal/setup"
	"natter/session"
)

// leader is the server that leads a stream.
func (s *servers) leader(t *testing.T, stream string) int {
	t.Helper()
	keys, err := setup.Open(s.keys)
	must(t, err)
	nc, err := keys.Dial(s.urls(), setup.Store)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	held, err := js.Stream(t.Context(), stream)
	must(t, err)
	n := 0
	if _, err := fmt.Sscanf(held.CachedInfo().Cluster.Leader, "natter-%d", &n); err != nil {
		t.Fatalf("%s is led by %q", stream, held.CachedInfo().Cluster.Leader)
	}
	return n - 1
}

// talkers are two in a chat who both talk.
type talkers struct {
	t    *testing.T
	two  []*actor
	stop []func() int
}

// talking has two chat who are at home at servers.
func talking(t *testing.T, s *servers, one, other string, homes ...int) *talkers {
	t.Helper()
	p := &talkers{t: t, two: []*actor{newActorAt(t, s, homes[0], one), newActorAt(t, s, homes[1], other)}}
	for _, a := range p.two {
		must(t, a.live())
	}
	together(t, p.two...)
	for _, a := range p.two {
		p.stop = append(p.stop, chatter(t, a))
	}
	return p
}

// over ends the chat, which must have gone on until now, with all that was said.
func (p *talkers) over() {
	p.t.Helper()
	var said []int
	for _, stop := range p.stop {
		said = append(said, stop())
	}
	for _, a := range p.two {
		flushed(p.t, a)
		undisturbed(p.t, a)
	}
	must(p.t, p.two[0].Quit(p.t.Context()))
	for _, a := range p.two {
		told[session.Ended](a, time.Time{})
	}
	for i, a := range p.two {
		complete(p.t, a.name, a.heard(), said[1-i])
	}
}

// undisturbed fails if somebody was told of more than a connection that was lost.
func undisturbed(t *testing.T, a *actor) {
	t.Helper()
	if k := counts[session.Ended](a) + counts[session.MemberLeft](a); k > 0 {
		t.Errorf("the chat of %s has ended", a.name)
	}
	if k := counts[client.SignedOut](a); k > 0 {
		t.Errorf("%s is sent away", a.name)
	}
}

// silence is the longest time between two messages that somebody heard from a time on.
func silence(a *actor, from time.Time) (longest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.told {
		if _, ok := s.event.(client.Texts); ok && s.at.After(from) {
			longest = max(longest, s.at.Sub(from))
			from = s.at
		}
	}
	return max(longest, time.Since(from))
}

// newcomers register one after the other: what is stored for them is what must last.
type newcomers struct {
	t      *testing.T
	urls   string
	keys   string
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	welcome []newcomer
	refused []error
	moved   chan struct{}
}

type newcomer struct {
	name      string
	begun, at time.Time
}

// coming has newcomers come, a few at a time, until they are stopped.
func coming(t *testing.T, s *servers, prefix string) *newcomers {
	ctx, cancel := context.WithCancel(t.Context())
	n := &newcomers{t: t, urls: s.urls(), keys: t.TempDir(), cancel: cancel, moved: make(chan struct{})}
	for worker := range 3 {
		n.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n.comes(ctx, fmt.Sprintf("%s-%d-%d", prefix, worker, i))
				select {
				case <-time.After(20 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	t.Cleanup(n.stop)
	return n
}

// once is how long a newcomer waits before another one tries.
const once = 4 * time.Second

func (n *newcomers) comes(ctx context.Context, name string) {
	begun := time.Now()
	_, err := enters(ctx, n.urls, n.keys, name, once)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		n.refused = append(n.refused, err)
	}
	if err != nil {
		return
	}
	n.welcome = append(n.welcome, newcomer{name, begun, time.Now()})
	close(n.moved)
	n.moved = make(chan struct{})
}

// enters has somebody come and go. known says that the name was theirs already. Whether an
// earlier connection of theirs counts as closed yet is no matter.
func enters(ctx context.Context, urls, keys, name string, within time.Duration) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{URL: urls, KeyDir: keys, Takeover: true})
	if err != nil {
		return false, err
	}
	defer c.Close()
	reply, err := c.Enter(ctx, name)
	if err == nil {
		_ = c.Exit(ctx) // what comes of that is no matter
	}
	return reply.Returning, err
}

func (n *newcomers) stop() {
	n.cancel()
	n.wg.Wait()
}

// names are those who are welcome by now.
func (n *newcomers) names() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.welcome {
		names = append(names, one.name)
	}
	return names
}

// served waits until somebody is welcome who came after a time, and returns when.
func (n *newcomers) served(after time.Time) time.Time {
	n.t.Helper()
	late := time.NewTimer(timeout + 30*time.Second)
	defer late.Stop()
	for {
		n.mu.Lock()
		all, moved := n.welcome, n.moved
		n.mu.Unlock()
		for _, one := range all {
			if one.begun.After(after) {
				return one.at
			}
		}
		select {
		case <-moved:
		case <-late.C:
			n.t.Fatalf("nobody is welcome: %v", errors.Join(n.refused...))
		}
	}
}

// enough waits until so many are welcome.
func (n *newcomers) enough(count int) {
	n.t.Helper()
	for have := 0; have < count; have = len(n.names()) {
		n.served(time.Now().Add(-time.Millisecond))
	}
}

// known fails for those of whom nobody knows that they were welcome.
func (n *newcomers) known(names []string) {
	n.t.Helper()
	var wg sync.WaitGroup
	queue := make(chan string)
	for range 4 {
		wg.Go(func() {
			for name := range queue {
				if known, err := enters(n.t.Context(), n.urls, n.keys, name, askFor); err != nil || !known {
					n.t.Errorf("%s was welcome, and is known: %t, %v", name, known, err)
				}
			}
		})
	}
	for _, name := range names {
		queue <- name
	}
	close(queue)
	wg.Wait()
	n.t.Logf("%d were welcome", len(names))
}

// plain fails for what is no sentence that a person can be told.
func plain(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		var told *chat.Error
		if !errors.As(err, &told) || strings.Contains(told.Error(), "internal error") {
			t.Errorf("somebody is told %v", err)
			return
		}
	}
}
