package embedded

import (
	"errors"
	"net"
	"runtime/debug"
	"time"
)

// pending is how many bytes may wait for one connection.
func pending() int64 { return min(maxPending, max(debug.SetMemoryLimit(-1)/32, minPending)) }

// ownPending is how many bytes may wait for one of the coordinator's own connections, which are
// made before the server listens. The console gets what everybody says, and its turn comes
// behind all those who say it.
func ownPending() int64 {
	return max(pending(), min(maxOwnPending, debug.SetMemoryLimit(-1)/8))
}

const maxOwnPending = 256 << 20

// door is the way in from within this process. A server that ends leaves who comes then without
// an answer for as long as a handshake may take.
type door struct {
	s       *Server
	batched bool // see DialBatched
}

var errEnding = errors.New("the server ends")

// InProcessConn implements nats.InProcessConnProvider.
func (d door) InProcessConn() (net.Conn, error) {
	select {
	case <-d.s.quit:
		return nil, errEnding
	default:
	}
	nc, err := d.s.ns.InProcessConn()
	if err != nil || !d.batched {
		return nc, err
	}
	return &batchedConn{Conn: nc}, nil
}

// After data for which a batchedConn had to wait longer than readSoon, it reads nothing for
// readPause.
const (
	readSoon  = 50 * time.Microsecond
	readPause = 2 * time.Millisecond
)

// batchedConn reads what comes now and then in batches: being woken for each would delay the
// answers that others wait for. While more comes than is read, it does not pause.
type batchedConn struct {
	net.Conn
	waited bool // for what came last
}

// Read implements net.Conn.
func (c *batchedConn) Read(b []byte) (int, error) {
	if c.waited {
		time.Sleep(readPause)
	}
	begin := time.Now()
	n, err := c.Conn.Read(b)
	c.waited = time.Since(begin) > readSoon
	return n, err
}
