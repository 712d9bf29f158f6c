package embedded_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/embedded"
	"natter/chat"
)

// gate has connections read nothing while it is shut.
type gate struct {
	in   nats.InProcessConnProvider // nil: over the network
	open chan struct{}
}

type gated struct {
	net.Conn
	open <-chan struct{}
	n    int // bytes read; a handshake needs some
}

func (g *gate) InProcessConn() (net.Conn, error) {
	nc, err := g.in.InProcessConn()
	return &gated{Conn: nc, open: g.open}, err
}

func (g *gate) Dial(network, address string) (net.Conn, error) {
	nc, err := net.Dial(network, address)
	return &gated{Conn: nc, open: g.open}, err
}

func (c *gated) Read(b []byte) (int, error) {
	if c.n > 8<<10 {
		<-c.open
	}
	n, err := c.Conn.Read(b)
	c.n += n
	return n, err
}

// TestMoreWaitsForOurOwn: what the coordinator's own connections have not read yet may be more
// than what waits for others, from whom the server keeps what is too much.
func TestMoreWaitsForOurOwn(t *testing.T) {
	srv, err := embedded.Start(embedded.Config{Listen: anyPort, Shut: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	grant := chat.Grant{Publish: []string{"x"}, Subscribe: []string{"x"}, Payload: chat.MaxPayload, Subscriptions: 2}
	open := make(chan struct{})
	dial := func(opts ...nats.Option) *nats.Conn {
		t.Helper()
		nc, err := srv.Dial("own", grant, "", opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	hears := func(nc *nats.Conn) *nats.Subscription {
		t.Helper()
		sub, err := nc.SubscribeSync("x")
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return sub
	}
	speaker := dial()
	own := hears(dial(nats.InProcessServer(&gate{srv.Door(), open})))
	if err := srv.Open(); err != nil {
		t.Fatal(err)
	}
	jwt, key, err := srv.Minter().Creds(grant, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other := hears(connect(t, srv, nats.SetCustomDialer(&gate{open: open}), nats.UserJWT(func() (string, error) { return jwt, nil }, key.Sign)))
	const messages = 800 // of 60 KB: three times what may wait for others
	for range messages {
		if err := speaker.Publish("x", make([]byte, 60<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := speaker.FlushTimeout(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	close(open)
	count := func(sub *nats.Subscription) (n int) {
		for n < messages {
			if _, err := sub.NextMsg(2 * time.Second); err != nil {
				return n
			}
			n++
		}
		return n
	}
	if n := count(own); n != messages {
		t.Errorf("our own connection gets %d of %d messages", n, messages)
	}
	if n := count(other); n == messages {
		t.Error("everything has waited for a connection from outside")
	}
}

// TestBatchedReads: after data that had to be waited for there is a pause, in which more comes
// together; what has come by then is read without another one.
func TestBatchedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			<-time.After(time.Second)
			for _, text := range []string{"one", "two", "three"} {
				_, _ = there.Write([]byte(text)) // fails when the test does
			}
			_ = there.Close()
		}()
		c, begin := embedded.Batched(here), time.Now()
		for _, want := range []struct {
			text  string
			after time.Duration
		}{{"one", time.Second}, {"two", time.Second + 2*time.Millisecond}, {"three", time.Second + 2*time.Millisecond}} {
			b := make([]byte, 16)
			n, err := c.Read(b)
			if err != nil || string(b[:n]) != want.text || time.Since(begin) != want.after {
				t.Errorf("%q after %v, %v; want %q after %v", b[:n], time.Since(begin), err, want.text, want.after)
			}
		}
	})
}
