package transfer

import (
	"natter/chat"
	"natter/session/transfer/tree"
)

// content is what is known of the whole.
type content struct {
	piece  int64 // size of a piece
	most   int64 // how many bytes it may have
	size   int64 // -1: not known
	rooted bool
	root   tree.Hash
}

// pieces is how many there are, if the size is known.
func (c *content) pieces() (n uint64, known bool) { return pieces(c.size, c.piece) }

func pieces(size, piece int64) (n uint64, known bool) {
	if size < 0 {
		return 0, false
	}
	return uint64((size + piece - 1) / piece), true
}

// length is how long piece i is; as long as the size is not known, none is the last.
func (c *content) length(i uint64) int {
	if c.size < 0 {
		return int(c.piece)
	}
	return int(max(0, min(c.piece, c.size-int64(i)*c.piece)))
}

// bound is how many bytes there are at most.
func (c *content) bound() int64 {
	if c.size >= 0 {
		return c.size
	}
	return c.most
}

// outbox collects what a step has to have done.
type outbox struct {
	id          ID
	incarnation uint64
	now         Time
	fx          []Effect
}

func (o *outbox) emit(e Effect) { o.fx = append(o.fx, e) }

// send sends a message: to a receiver, or to the sender.
func (o *outbox) send(to chat.User, m Message) {
	m.ID, m.Incarnation = o.id, o.incarnation
	o.emit(Effect{Kind: Send, To: to, Message: m})
}
