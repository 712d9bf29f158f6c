package direct

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"natter/session/transfer"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// identity draws an identity whose host is the same as that of the others in a test.
func identity(t testing.TB) *Identity {
	t.Helper()
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id.host = []byte("the host of a test")
	return id
}

// impatient is an identity that soon gives up.
func impatient(t testing.TB) *Identity {
	id := identity(t)
	id.limits.connect = 300 * time.Millisecond
	return id
}

func listen(t testing.TB, id *Identity) *Listener {
	t.Helper()
	l, err := Listen(id, loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// hello is what a listener tells a peer.
func hello(t testing.TB, l *Listener, peer *Identity) Hello {
	t.Helper()
	h, err := l.Hello(peer.Hello())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// end is one side of a Connect.
type end struct {
	id   *Identity
	l    *Listener
	peer Hello
}

type result struct {
	c   *Conn
	err error
}

// connect has a sender and a receiver make a connection.
func connect(t testing.TB, sender, receiver end) (s, r result) {
	t.Helper()
	done := make(chan result)
	go func() {
		c, err := Connect(t.Context(), receiver.id, receiver.l, receiver.peer, false)
		done <- result{c, err}
	}()
	s.c, s.err = Connect(t.Context(), sender.id, sender.l, sender.peer, true)
	r = <-done
	for _, e := range []result{s, r} {
		if e.c != nil {
			t.Cleanup(func() { e.c.Close() })
		}
	}
	return s, r
}

// pair returns the two ends of a connection.
func pair(t testing.TB, sender, receiver *Identity) (s, r *Conn) {
	t.Helper()
	l := listen(t, sender)
	a, b := connect(t, end{sender, l, receiver.Hello()}, end{receiver, nil, hello(t, l, receiver)})
	if a.err != nil || b.err != nil {
		t.Fatal(a.err, b.err)
	}
	return a.c, b.c
}

// talk has both ends hear each other.
func talk(t *testing.T, a, b *Conn) {
	t.Helper()
	for _, ends := range [][2]*Conn{{a, b}, {b, a}} {
		said := transfer.Message{Kind: transfer.WantPage, ID: transfer.ID{7}, Index: 3}
		if err := ends[0].Send(&said); err != nil {
			t.Fatal(err)
		}
		heard, err := ends[1].Receive(new(Buffer))
		if err != nil || heard.Kind != said.Kind || heard.ID != said.ID || heard.Index != said.Index {
			t.Fatalf("%+v, %v", heard, err)
		}
	}
}

// It does not matter who of the two listens, nor if both do.
func TestConnect(t *testing.T) {
	for name, who := range map[string][2]bool{"sender listens": {true, false}, "receiver listens": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			a, b := identity(t), identity(t)
			sender, receiver := end{a, nil, b.Hello()}, end{b, nil, a.Hello()}
			if who[0] {
				sender.l = listen(t, a)
				receiver.peer = hello(t, sender.l, b)
			}
			if who[1] {
				receiver.l = listen(t, b)
				sender.peer = hello(t, receiver.l, a)
			}
			s, r := connect(t, sender, receiver)
			if s.err != nil || r.err != nil {
				t.Fatal(s.err, r.err)
			}
			talk(t, s.c, r.c)
		})
	}
}

// A sender has one listener for all its receivers, and can tell them apart.
func TestSeveralReceivers(t *testing.T) {
	a := identity(t)
	l := listen(t, a)
	for range 3 {
		b := identity(t)
		s, r := connect(t, end{a, l, b.Hello()}, end{b, nil, hello(t, l, b)})
		if s.err != nil || r.err != nil {
			t.Fatal(s.err, r.err)
		}
		talk(t, s.c, r.c)
		if s.c.peer() != b.pin {
			t.Error("the connection of somebody else")
		}
	}
}

// A connection that is lost is made anew with the same pins.
func TestAgain(t *testing.T) {
	a, b := identity(t), identity(t)
	l := listen(t, a)
	for range 2 {
		s, r := connect(t, end{a, l, b.Hello()}, end{b, nil, hello(t, l, b)})
		if s.err != nil || r.err != nil {
			t.Fatal(s.err, r.err)
		}
		talk(t, s.c, r.c)
		s.c.Close()
	}
}

// Nobody is refused for coming before the other side calls Connect: it has told its addresses.
func TestEarly(t *testing.T) {
	a, b := identity(t), identity(t)
	l := listen(t, a)
	peer, early := hello(t, l, b), make(chan result)
	go func() {
		c, err := Connect(t.Context(), b, nil, peer, false)
		early <- result{c, err}
	}()
	e := l.expects(b.pin)
	c := <-e.found // it is there
	go func() { e.found <- c }()
	s, err := Connect(t.Context(), a, l, b.Hello(), true)
	r := <-early
	if err != nil || r.err != nil {
		t.Fatal(err, r.err)
	}
	talk(t, s, r.c)
	s.Close()
	r.c.Close()
}

// Who has another key than was told in the session is refused, on either side.
func TestWrongPin(t *testing.T) {
	for name, wrong := range map[string]func(s, r *end){
		"the receiver's": func(s, _ *end) { s.peer.Pin[0] ^= 1 },
		"the sender's":   func(_, r *end) { r.peer.Pin[31] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := impatient(t), impatient(t)
			l := listen(t, a)
			sender, receiver := end{a, l, b.Hello()}, end{b, nil, hello(t, l, b)}
			wrong(&sender, &receiver)
			s, r := connect(t, sender, receiver)
			if !errors.Is(s.err, ErrUnreachable) || !errors.Is(r.err, ErrUnreachable) {
				t.Errorf("%v, %v", s.err, r.err)
			}
		})
	}
}

// Who answers to the name of somebody else has another key.
func TestImpostor(t *testing.T) {
	a, b, impostor := impatient(t), impatient(t), impatient(t)
	l := listen(t, impostor)
	l.id.pin = a.pin
	s, r := connect(t, end{impostor, l, b.Hello()}, end{b, nil, hello(t, l, b)})
	if !errors.Is(s.err, ErrUnreachable) || !errors.Is(r.err, ErrUnreachable) {
		t.Errorf("%v, %v", s.err, r.err)
	}
}

// stranger dials a listener with a TLS configuration of its own, until it is closed. It
// returns how many bytes the listener has said, and how it ended.
func stranger(t *testing.T, l *Listener, cfg *tls.Config) (int, error) {
	t.Helper()
	heard := &counted{Conn: raw(t, l)}
	c := tls.Client(heard, cfg)
	err := c.HandshakeContext(t.Context())
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	return heard.n, err
}

// counted counts what is read.
type counted struct {
	net.Conn
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += n
	return n, err
}

func raw(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Strangers are closed without a word: none of them gets as much as an alert.
func TestStrangers(t *testing.T) {
	a, b := identity(t), identity(t)
	l := listen(t, a)
	l.expect(b.pin)
	good := func() *tls.Config {
		cfg := b.config(a.pin.equal)
		cfg.ServerName = a.pin.serverName()
		return cfg
	}
	for name, c := range map[string]struct {
		change func(*tls.Config)
		heard  bool // the listener's certificate, for the name was right
	}{
		"version 1.2":      {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, false},
		"another name":     {func(c *tls.Config) { c.ServerName = "example.com" }, false},
		"no name":          {func(c *tls.Config) { c.ServerName = "" }, false},
		"another protocol": {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, false},
		"no protocol":      {func(c *tls.Config) { c.NextProtos = nil }, false},
		"no certificate":   {func(c *tls.Config) { c.Certificates = nil }, true},
		"another key":      {func(c *tls.Config) { c.Certificates = identity(t).config(nil).Certificates }, true},
	} {
		cfg := good()
		c.change(cfg)
		n, err := stranger(t, l, cfg)
		if c.heard != (n > 0) || alerted(err) || err == nil {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	c := raw(t, l)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("garbage is answered by %q", b)
	}
	l.forget(b.pin)
	if _, err := stranger(t, l, good()); err == nil || alerted(err) {
		t.Errorf("whom nobody waits for: %v", err)
	}
}

// alerted reports whether an error is an alert of the other side.
func alerted(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// A server that speaks TLS 1.2 only is not spoken to.
func TestOldServer(t *testing.T) {
	a, b := impatient(t), impatient(t)
	cfg := a.config(b.pin.equal)
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	cfg.VerifyConnection = nil
	tcp, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		c, err := tcp.Accept()
		if err == nil {
			err = c.(*tls.Conn).Handshake()
			c.Close()
		}
		ended <- err
	}()
	peer := a.Hello()
	peer.Addrs = []netip.AddrPort{tcp.Addr().(*net.TCPAddr).AddrPort()}
	if _, err := Connect(t.Context(), b, nil, peer, false); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a handshake of version 1.2")
	}
	tcp.Close()
}

// Who connects and says nothing is closed, and few can do that at once.
func TestSlowHandshakes(t *testing.T) {
	a := identity(t)
	a.limits.handshake = time.Second
	l := listen(t, a)
	var slow []net.Conn
	for range handshakes {
		slow = append(slow, raw(t, l))
	}
	begin := time.Now()
	if b, _ := io.ReadAll(raw(t, l)); len(b) > 0 || time.Since(begin) > a.limits.handshake {
		t.Errorf("one more than may wait got %q after %v", b, time.Since(begin))
	}
	for _, c := range slow {
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("it is answered by %q", b)
		}
	}
	if d := time.Since(begin); d < a.limits.handshake/2 {
		t.Errorf("closed after %v", d)
	}
	b := identity(t)
	s, r := connect(t, end{a, l, b.Hello()}, end{b, nil, hello(t, l, b)})
	if s.err != nil || r.err != nil {
		t.Error("nobody gets through after them:", s.err, r.err)
	}
}

// visited is a listener of which somebody is to find out whether it is there.
func visited(t *testing.T) (at netip.AddrPort, came <-chan time.Time) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	times, ended := make(chan time.Time, 10), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			times <- time.Now()
			c.Close()
		}
	}()
	t.Cleanup(func() { tcp.Close(); <-ended })
	return tcp.Addr().(*net.TCPAddr).AddrPort(), times
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) netip.AddrPort {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp.Close()
	return tcp.Addr().(*net.TCPAddr).AddrPort()
}

// Loopback is not dialled for somebody elsewhere, nor for one who shows what is ours.
func TestNotNear(t *testing.T) {
	b := impatient(t)
	at, came := visited(t)
	elsewhere := identity(t)
	elsewhere.host = []byte("another host")
	for name, peer := range map[string]Hello{
		"elsewhere":         elsewhere.Hello(),
		"our mark":          {Pin: elsewhere.pin, Mark: b.Hello().Mark},
		"our mark and pin":  b.Hello(),
		"no mark":           {Pin: elsewhere.pin},
		"no mark, same pin": {Pin: b.pin},
	} {
		peer.Addrs = []netip.AddrPort{at}
		if _, err := Connect(t.Context(), b, nil, peer, false); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if len(came) > 0 {
			t.Fatalf("%s: dialled", name)
		}
	}
}

// Nobody can tell from the time what there is at the addresses before theirs.
func TestNoPortScanner(t *testing.T) {
	b := impatient(t)
	at, came := visited(t)
	peer := identity(t).Hello()
	peer.Addrs = []netip.AddrPort{closedPort(t), at}
	b.limits.connect, b.limits.stagger = time.Second, 100*time.Millisecond
	begin := time.Now()
	if _, err := Connect(t.Context(), b, nil, peer, false); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	if d := time.Since(begin); d < b.limits.connect {
		t.Errorf("it failed after %v", d)
	}
	if d := (<-came).Sub(begin); d < b.limits.stagger {
		t.Errorf("the second address was dialled after %v", d)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Connect(ctx, identity(t), nil, identity(t).Hello(), true); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A listener tells loopback only to who is on the same host.
func TestListenerHello(t *testing.T) {
	a, near, far := identity(t), identity(t), identity(t)
	far.host = []byte("another host")
	l := listen(t, a)
	if h := hello(t, l, near); len(h.Addrs) != 1 || h.Addrs[0].Addr() != loopback {
		t.Errorf("told are %v", h.Addrs)
	}
	if h := hello(t, l, far); len(h.Addrs) != 0 {
		t.Errorf("told are %v", h.Addrs)
	}
	all, err := Listen(a, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	for _, at := range hello(t, all, far).Addrs {
		if at.Addr().IsLoopback() || at.Port() == 0 {
			t.Errorf("told is %v", at)
		}
	}
	if h := hello(t, all, near); len(h.Addrs) == 0 || !h.Addrs[0].Addr().IsLoopback() {
		t.Errorf("told are %v", h.Addrs)
	}
}
