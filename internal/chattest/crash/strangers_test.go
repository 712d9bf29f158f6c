//go:build linux && !race

// How long logins take is measured, which the race detector makes many times longer.

package crash_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
	"natter/internal/chattest"
)

// strangers keep connections open for which they have no user, as many as the server lets them,
// until the test ends: some in the lobby, some that present nothing.
type strangers struct {
	server string
	open   atomic.Int64
	wg     sync.WaitGroup
}

// come keeps one connection open, from an address; a closed one is made again.
func (s *strangers) come(ctx context.Context, from net.IP, silent bool) {
	s.wg.Go(func() {
		for ctx.Err() == nil {
			s.stay(ctx, from, silent)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

func (s *strangers) stay(ctx context.Context, from net.IP, silent bool) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", s.server)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if !silent {
		fmt.Fprint(conn, "CONNECT {}\r\nPING\r\n")
	}
	s.open.Add(1)
	defer s.open.Add(-1)
	_, _ = io.Copy(io.Discard, conn) // until it is closed
}

// A server that may open 1,024 files, and 1,100 connections of strangers that are made again
// whenever they are closed: half of them from one address, the others from one each. People come
// in within two seconds, also from that address, and who chats is not disturbed.
func TestStrangersTakeAllConnections(t *testing.T) {
	const files, crowd, people, office = 1024, 1100, 100, 200
	s := startWith(t, files)
	alice, bob := s.pair()
	ctx, leave := context.WithCancel(t.Context())
	all := &strangers{server: s.listen}
	defer all.wg.Wait()
	defer leave()
	for i := range crowd {
		from := net.IPv4(127, 0, 0, 1)
		if i%2 == 1 {
			from = net.IPv4(127, 1, byte(i>>8), byte(i))
		}
		all.come(ctx, from, i%10 == 0)
	}
	until(t, "a full server", func() bool { return all.open.Load() > files*2/3 })
	var took []time.Duration
	for i := range people {
		took = append(took, s.login(t, fmt.Sprintf("person%d", i), net.IPv4(127, 0, 0, byte(1+i%2))))
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100-1]
	t.Logf("%d strangers are connected; a login takes %v, 99 %% of them %v, the slowest %v", all.open.Load(), took[len(took)/2], p99, took[len(took)-1])
	if p99 > 2*time.Second {
		t.Errorf("99 %% of logins take up to %v", p99)
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range office {
		wg.Go(func() { s.login(t, fmt.Sprintf("office%d", i), net.IPv4(127, 0, 0, 1)) })
	}
	wg.Wait()
	t.Logf("an office of %d behind the strangers' address came in within %v", office, time.Since(begin))
	if err := alice.Say("all the time"); err != nil {
		t.Fatal(err)
	}
	chattest.Until(bob, "what alice says", func(e client.Event) bool {
		if _, lost := e.(client.Lost); lost {
			t.Error("bob was disconnected")
		}
		text, ok := e.(chattest.Text)
		return ok && text.Text == "all the time"
	})
}

// login has somebody come in, and returns how long it took. They leave at once.
func (s *server) login(t *testing.T, name string, from net.IP) time.Duration {
	begin := time.Now()
	dialer := nats.SetCustomDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 2 * time.Second})
	c, err := client.Dial(t.Context(), client.Config{URL: "nats://" + s.listen, Options: []nats.Option{dialer}})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return time.Since(begin)
	}
	defer c.Close()
	if _, err := c.Enter(t.Context(), name); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return time.Since(begin)
}

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}
