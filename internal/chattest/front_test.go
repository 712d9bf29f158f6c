package chattest_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"natter/client"
	"natter/internal/chattest"
)

// front stands before a server, and can say something in its name.
type front struct {
	t        *testing.T
	listener net.Listener
	to       func() string

	mu    sync.Mutex
	conns []net.Conn // to the clients, in the order in which they came
	last  time.Time  // that something was passed on to one of them
	all   sync.WaitGroup
}

func newFront(t *testing.T, to func() string) *front {
	f := &front{t: t, listener: must(net.Listen("tcp", "127.0.0.1:0"))(t), to: to}
	f.all.Go(f.serve)
	t.Cleanup(func() {
		f.listener.Close()
		f.cut()
		f.all.Wait()
	})
	return f
}

func (f *front) url() string { return "nats://" + f.listener.Addr().String() }

func (f *front) serve() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", f.to())
		if err != nil {
			c.Close()
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, c)
		f.mu.Unlock()
		for _, pair := range [][2]io.ReadWriteCloser{{toClient{f, c}, s}, {s, c}} {
			f.all.Go(func() {
				_, _ = io.Copy(struct{ io.Writer }{pair[0]}, struct{ io.Reader }{pair[1]})
				c.Close()
				s.Close()
			})
		}
	}
}

// toClient notes when something is passed on.
type toClient struct {
	*front
	net.Conn
}

// Write implements io.Writer.
func (c toClient) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	return c.Conn.Write(p)
}

// quiet reports whether nothing has been passed on for a moment, and so nothing in part.
func (f *front) quiet() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.last) > 100*time.Millisecond
}

// cut ends all connections.
func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
}

// says writes to all clients that are connected.
func (f *front) says(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_, _ = io.WriteString(c, line)
	}
}

// TestAnUnknownErrorIsNoEnd: the library closes a connection for good whose server says an
// error that it does not know. The user, the member and the lobby get another one.
func TestAnUnknownErrorIsNoEnd(t *testing.T) {
	in := chattest.Run(t)
	f := newFront(t, in.Server.Addr)
	cfg := client.Config{URL: f.url(), Log: in.Config.Log}
	guest := must(client.Dial(t.Context(), cfg))(t)
	defer guest.Close()
	alice, bob := chattest.Dial(t, cfg, "alice"), in.User("bob")
	chattest.Chat(alice, bob)
	for i := range 2 {
		converse(t, alice, bob, "before")
		eventually(t, "the receipts are there", f.quiet)
		f.says("-ERR 'Something Else'\r\n")
		chattest.Wait[client.Lost](alice)
		if e := chattest.Wait[client.Connected](alice); e.Forgotten || e.Chat == nil {
			t.Errorf("%d: alice is told %+v", i, e)
		}
		converse(t, alice, bob, "after")
	}
	must(alice.List(t.Context()))(t)
	if _, err := guest.Enter(t.Context(), "carol"); err != nil {
		t.Errorf("carol enters: %v", err)
	}
}
