package direct

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"natter/session/transfer"
)

// How a connection ends. None of these names an address.
var (
	ErrLost  = errors.New("the direct connection was lost")
	ErrIdle  = errors.New("the direct connection was given up: nothing went through for a minute")
	ErrFrame = errors.New("the direct connection was closed: the other side does not speak the protocol")
)

const frameHead = 4

// Buffer holds a message that is received.
type Buffer [transfer.MaxMessage]byte

// Conn carries the messages of one transfer between its two sides. Each is a frame: its
// length in 4 bytes, big endian, and the message.
//
// Any number of goroutines may call Send, one may call Receive at the same time, and Close may
// be called by anybody at any time. After an error other than that of a message too long,
// the connection is closed. What it needs of memory does not depend on what goes through.
type Conn struct {
	wire *wire
	tls  *tls.Conn

	mu  sync.Mutex // of what is sent
	out []byte
}

func newConn(w *wire, t *tls.Conn) *Conn { return &Conn{wire: w, tls: t} }

// peer is the pin of the other side.
func (c *Conn) peer() Pin { return pinOf(c.tls.ConnectionState().PeerCertificates[0]) }

// Send sends a message, and returns when the system has taken it. The message is not used
// after that.
func (c *Conn) Send(m *transfer.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		c.out = make([]byte, frameHead, frameHead+transfer.MaxMessage)
	}
	b := m.Append(c.out)
	if len(b) > frameHead+transfer.MaxMessage {
		return errors.New("the message is longer than a message may be")
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-frameHead))
	return c.write(b)
}

func (c *Conn) write(b []byte) error {
	if _, err := c.tls.Write(b); err != nil {
		return c.end(err)
	}
	return nil
}

// Receive returns the next message. It reads into buf, and the message's Data is part of that:
// buf may be used again when the message is not needed any more. Frames that are not a message,
// perhaps of a later version, are passed over.
func (c *Conn) Receive(buf *Buffer) (transfer.Message, error) {
	for {
		n, err := c.readHead()
		if err != nil {
			return transfer.Message{}, err
		}
		if _, err := io.ReadFull(c.tls, buf[:n]); err != nil {
			return transfer.Message{}, c.end(err)
		}
		if m, err := transfer.Parse(buf[:n]); err == nil {
			return m, nil
		}
	}
}

// readHead reads the length of a frame.
func (c *Conn) readHead() (int, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(c.tls, head[:]); err != nil {
		return 0, c.end(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > transfer.MaxMessage {
		return 0, c.end(ErrFrame)
	}
	return int(n), nil
}

// sendEmpty and awaitEmpty are how the two sides agree on a connection.
func (c *Conn) sendEmpty() error { return c.write(make([]byte, frameHead)) }

func (c *Conn) awaitEmpty() error {
	if n, err := c.readHead(); err != nil || n > 0 {
		return c.end(ErrFrame)
	}
	return nil
}

// Close ends the connection, both ways and at once. What was sent just before may still arrive.
func (c *Conn) Close() error {
	c.wire.closed.Store(true)
	return c.wire.Close()
}

// end closes the connection after an error, and says which it was without the words of others,
// which name addresses.
func (c *Conn) end(err error) error {
	closed := c.wire.closed.Swap(true)
	c.wire.Close()
	switch {
	case closed:
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrIdle
	case errors.Is(err, ErrFrame):
		return ErrFrame
	}
	return ErrLost
}

// wire is the connection below TLS. It gives up when nothing goes through for long, however
// much there is to be sent, and can be made silent.
type wire struct {
	net.Conn
	idle   time.Duration
	silent atomic.Bool // nothing is written
	closed atomic.Bool // by this side, or after an error
}

var errSilent = errors.New("nothing is said to who was not asked to come")

func (w *wire) Read(p []byte) (int, error) {
	if err := w.SetReadDeadline(time.Now().Add(w.idle)); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

func (w *wire) Write(p []byte) (int, error) {
	if w.silent.Load() {
		return 0, errSilent
	}
	if err := w.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}
