package direct

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"natter/chat"
)

// candidates is how many connections Connect chooses from at most.
const candidates = 2 * MaxAddrs

// ErrUnreachable says that there is no direct connection, and nothing about why.
var ErrUnreachable = chat.Errorf(chat.NotConnected, "No direct connection could be made: neither of the two computers reached the other within 10 seconds.")

// Connect makes a connection to a peer that has been accepted, and whose user has accepted:
// it dials the addresses of its Hello, and takes what comes to the listener, which may be nil.
// Sends says that this is the sender of the transfer: it chooses if there are several
// connections. At most one Connect goes on for each peer. Before another one the two sides tell
// each other their Hello again, so that each expects the other.
//
// If there is none it returns ErrUnreachable when 10 s are over, or the error of ctx.
func Connect(ctx context.Context, id *Identity, l *Listener, peer Hello, sends bool) (*Conn, error) {
	limited, cancel := context.WithTimeout(ctx, id.limits.connect)
	m := &meeting{id: id, ctx: limited, sends: sends, reached: make(chan *Conn), agreed: make(chan *Conn), turn: make(chan struct{}, 1)}
	defer m.all.Wait()
	defer cancel()
	// Who shows our own pin has copied it, perhaps together with our mark.
	if !peer.Pin.equal(id.pin) {
		if l != nil {
			m.come = l.expect(peer.Pin).found
			defer l.forget(peer.Pin)
		}
		m.dial(peer)
	}
	if c := m.choose(); c != nil {
		return c, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, ErrUnreachable
}

// meeting is one Connect.
type meeting struct {
	id      *Identity
	ctx     context.Context
	sends   bool
	come    <-chan *Conn  // connections with the right pin that the listener took
	reached chan *Conn    // and those that were dialled
	agreed  chan *Conn    // the one that both sides use
	turn    chan struct{} // the sender tries one after the other
	all     sync.WaitGroup
}

// choose returns the connection that both sides use, or nil when time is over.
func (m *meeting) choose() *Conn {
	for n := 0; ; n++ {
		var c *Conn
		select {
		case c = <-m.come:
		case c = <-m.reached:
		case c = <-m.agreed:
			return c
		case <-m.ctx.Done():
			return nil
		}
		if n < candidates {
			m.all.Go(func() { m.agree(c) })
		} else {
			c.Close()
		}
	}
}

// handOver passes a connection on, or closes it when nobody wants it any more.
func handOver(ctx context.Context, c *Conn, to chan<- *Conn) {
	select {
	case to <- c:
	case <-ctx.Done():
		c.Close()
	}
}

// agree finds out whether a connection is the one that both sides use.
func (m *meeting) agree(c *Conn) {
	meet := m.take
	if m.sends {
		meet = m.propose
	}
	if meet(c) {
		handOver(m.ctx, c, m.agreed)
	} else {
		c.Close()
	}
}

// propose is the sender's part: when it is this connection's turn, it asks whether it works.
func (m *meeting) propose(c *Conn) bool {
	select {
	case m.turn <- struct{}{}:
	case <-m.ctx.Done():
		return false
	}
	ok := within(m.ctx, m.id.limits.turn, c, func() bool { return c.sendEmpty() == nil && c.awaitEmpty() == nil })
	if !ok {
		<-m.turn
	}
	return ok
}

// take is the receiver's part: it waits to be asked.
func (m *meeting) take(c *Conn) bool {
	return within(m.ctx, m.id.limits.connect, c, func() bool { return c.awaitEmpty() == nil && c.sendEmpty() == nil })
}

// within closes the connection if what is done with it takes too long.
func within(ctx context.Context, limit time.Duration, c *Conn, do func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	ok := do()
	return stop() && ok
}

// dial dials the addresses of a peer, each at its time, whatever happens with the others.
func (m *meeting) dial(peer Hello) {
	own, err := ownAddrs()
	if err != nil {
		return // which of the peer's addresses are our own is not known
	}
	for i, a := range dialable(peer.Addrs, own, peer.near(m.id.host)) {
		m.all.Go(func() {
			if !pause(m.ctx, time.Duration(i)*m.id.limits.stagger) {
				return
			}
			if c := m.dialOne(a, peer.Pin); c != nil {
				handOver(m.ctx, c, m.reached)
			}
		})
	}
}

// dialOne returns a connection to the peer at an address, or nil.
func (m *meeting) dialOne(a netip.AddrPort, pin Pin) *Conn {
	tcp, err := new(net.Dialer).DialContext(m.ctx, "tcp", a.String())
	if err != nil {
		return nil
	}
	w := &wire{Conn: tcp, idle: m.id.limits.idle}
	cfg := m.id.config(pin.equal)
	cfg.ServerName = pin.serverName()
	c := newConn(w, tls.Client(w, cfg))
	if c.tls.HandshakeContext(m.ctx) != nil {
		c.Close()
		return nil
	}
	return c
}
