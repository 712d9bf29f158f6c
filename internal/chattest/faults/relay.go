package faults

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Flaw is how a relay misbehaves. Its zero value is a good line.
type Flaw struct {
	Cut      bool          // nobody gets through, and who was connected is cut off
	HoldUp   bool          // what clients send does not arrive until the flaw changes
	HoldDown bool          // what the server sends does not
	Delay    time.Duration // each piece comes later by so much,
	Jitter   time.Duration // more or less by so much
	Stall    float64       // the share of pieces that come later by StallFor
	StallFor time.Duration
}

// Relay is a line between clients and one server.
type Relay struct {
	to       string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	flaw    Flaw
	loss    float64       // the share of packets that is lost
	changed chan struct{} // closed at each change of the flaw
	ends    map[net.Conn]bool
	closed  bool
}

// NewRelay listens on loopback for a server's address.
func NewRelay(to string) (*Relay, error) {
	plain := net.ListenConfig{}
	plain.SetMultipathTCP(false) // which can be given no filter: see Lose
	l, err := plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{to: to, listener: l, changed: make(chan struct{}), ends: map[net.Conn]bool{}}
	r.wg.Go(r.serve)
	return r, nil
}

// URL is where clients connect.
func (r *Relay) URL() string { return "nats://" + r.Address() }

// Address is the host and port of URL.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Set makes the line bad, or good again.
func (r *Relay) Set(f Flaw) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flaw = f
	close(r.changed)
	r.changed = make(chan struct{})
	if f.Cut {
		r.cutAll()
	}
}

// Close cuts everybody off and waits.
func (r *Relay) Close() {
	_ = r.listener.Close()
	r.mu.Lock()
	r.closed = true
	close(r.changed)
	r.changed = make(chan struct{})
	r.cutAll()
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *Relay) cutAll() {
	for c := range r.ends {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as when a machine is gone
		}
		_ = c.Close()
	}
}

func (r *Relay) serve() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		if !r.keep(c) {
			continue
		}
		r.wg.Go(func() { r.join(c) })
	}
}

// keep notes an end of a connection; false if it is cut at once.
func (r *Relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flaw.Cut || r.closed {
		_ = c.Close()
		return false
	}
	r.ends[c] = true
	r.lossy(c)
	return true
}

func (r *Relay) drop(c net.Conn) {
	r.mu.Lock()
	delete(r.ends, c)
	r.mu.Unlock()
	_ = c.Close()
}

// join carries one connection.
func (r *Relay) join(client net.Conn) {
	defer r.drop(client)
	server, err := net.Dial("tcp", r.to)
	if err != nil || !r.keep(server) {
		return
	}
	defer r.drop(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.carry(server, client, func(f Flaw) bool { return f.HoldUp })
		_ = client.Close()
		_ = server.Close()
	}()
	r.carry(client, server, func(f Flaw) bool { return f.HoldDown })
	_ = client.Close()
	_ = server.Close()
	<-done
}

// carry copies one direction as well as the line allows.
func (r *Relay) carry(to io.Writer, from io.Reader, held func(Flaw) bool) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if r.wait(held) != nil {
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errClosed = errors.New("the relay is closed")

// wait holds a piece up.
func (r *Relay) wait(held func(Flaw) bool) error {
	for {
		r.mu.Lock()
		flaw, changed, closed := r.flaw, r.changed, r.closed
		r.mu.Unlock()
		switch {
		case closed:
			return errClosed
		case held(flaw):
			<-changed
			continue
		case flaw.Delay > 0:
			late := flaw.Delay + time.Duration((2*rand.Float64()-1)*float64(flaw.Jitter))
			if rand.Float64() < flaw.Stall {
				late += flaw.StallFor
			}
			select {
			case <-time.After(late):
			case <-changed:
			}
		}
		return nil
	}
}
