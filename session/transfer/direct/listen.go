package direct

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// handshakes is how many connections may be about to say who they are at once.
	handshakes = 8
	// acceptAgain is the pause after the system could not take a connection.
	acceptAgain = 100 * time.Millisecond
)

// Listener takes the connections of the other sides of one transfer, of which a sender may
// have several. It is open only as long as the transfer goes on.
type Listener struct {
	id   *Identity
	tcp  *net.TCPListener
	all  sync.WaitGroup
	ctx  context.Context // of the handshakes
	stop context.CancelFunc

	mu    sync.Mutex
	peers map[Pin]*expected
}

// expected is where the connections of a peer go, until nobody wants them.
type expected struct {
	found chan *Conn
	gone  chan struct{} // closed
}

// Listen opens a listener at an address of this host, or at all of them if it is the zero
// Addr, at a port that the system chooses. Nobody gets through whom Hello or Connect does not expect.
func Listen(id *Identity, at netip.Addr) (*Listener, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		return nil, fmt.Errorf("listen for direct connections: %w", err)
	}
	l := &Listener{id: id, tcp: tcp, peers: map[Pin]*expected{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.all.Go(l.serve)
	return l, nil
}

// Hello returns what to tell a peer that has been accepted: also where this side listens.
// From now on the peer gets through; Connect is to follow soon.
func (l *Listener) Hello(peer Hello) (Hello, error) {
	at := l.tcp.Addr().(*net.TCPAddr).AddrPort()
	own := []netip.Addr{at.Addr()}
	if at.Addr().IsUnspecified() {
		var err error
		if own, err = ownAddrs(); err != nil {
			return Hello{}, err
		}
	}
	h := l.id.Hello()
	h.Addrs = offered(own, at.Port(), peer.near(l.id.host))
	l.expect(peer.Pin)
	return h, nil
}

// ownAddrs returns the addresses of this host.
func ownAddrs() (list []netip.Addr, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("find the addresses of this host: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list, nil
}

// Close closes the listener; connections that Connect has returned stay open.
func (l *Listener) Close() error {
	l.stop()
	err := l.tcp.Close()
	l.all.Wait()
	return err
}

func (l *Listener) serve() {
	free := make(chan struct{}, handshakes)
	for l.ctx.Err() == nil {
		c, err := l.tcp.Accept()
		if err != nil {
			pause(l.ctx, acceptAgain)
			continue
		}
		select {
		case free <- struct{}{}:
			l.all.Go(func() {
				l.greet(c)
				<-free
			})
		default:
			c.Close()
		}
	}
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// greet finds out who has come, and hands the connection to who expects them.
func (l *Listener) greet(tcp net.Conn) {
	w := &wire{Conn: tcp, idle: l.id.limits.idle}
	w.silent.Store(true)
	c := newConn(w, tls.Server(w, l.config(w)))
	ctx, cancel := context.WithTimeout(l.ctx, l.id.limits.handshake)
	defer cancel()
	if c.tls.HandshakeContext(ctx) != nil {
		c.Close()
		return
	}
	e := l.expects(c.peer())
	if e == nil {
		c.Close()
		return
	}
	select {
	case e.found <- c:
	case <-e.gone:
		c.Close()
	case <-ctx.Done():
		c.Close()
	}
}

// config is the TLS of one connection that has come. It is silent until somebody has named
// this listener, and when it is not who is expected: not even an alert is sent.
func (l *Listener) config(w *wire) *tls.Config {
	cfg := l.id.config(func(p Pin) bool { return l.expects(p) != nil })
	// A certificate is required by verify: crypto/tls would send an alert if there is none.
	cfg.ClientAuth = tls.RequestClientCert
	check := cfg.VerifyConnection
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		err := check(s)
		w.silent.Store(err != nil)
		return err
	}
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != l.id.pin.serverName() || !slices.Contains(h.SupportedProtos, protocol) || !slices.Contains(h.SupportedVersions, tls.VersionTLS13) {
			return nil, errPeer
		}
		w.silent.Store(false)
		return nil, nil
	}
	return cfg
}

// expects returns where connections with a pin go, or nil.
func (l *Listener) expects(pin Pin) (found *expected) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, e := range l.peers {
		if p.equal(pin) {
			found = e
		}
	}
	return found
}

// expect lets a peer through until it is forgotten.
func (l *Listener) expect(pin Pin) *expected {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.peers[pin]
	if e == nil {
		e = &expected{make(chan *Conn), make(chan struct{})}
		l.peers[pin] = e
	}
	return e
}

func (l *Listener) forget(pin Pin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.peers[pin]; e != nil {
		close(e.gone)
		delete(l.peers, pin)
	}
}
