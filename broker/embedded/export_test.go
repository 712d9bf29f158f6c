package embedded

import (
	"net"

	"github.com/nats-io/nats.go"
)

// Door is the way in from within the process.
func (s *Server) Door() nats.InProcessConnProvider { return door{s: s} }

// Batched reads from a connection as that of DialBatched does.
func Batched(nc net.Conn) net.Conn { return &batchedConn{Conn: nc} }
