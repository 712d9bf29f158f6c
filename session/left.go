package session

import (
	"errors"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// What has left this program may have been shown, also if nobody has acknowledged it: the
// receiver's computer may sleep, with the message in the buffers of its connection. Only
// what has never gone out to somebody who was there has certainly not arrived.

// maxText is the longest text that can be said now.
func (t *Talk) maxText() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line == nil {
		return t.Rules.MaxText
	}
	return t.line.text
}

// publish sends a message. What gets lost is sent again. It is false if the library has
// certainly not sent it: what it has sent in part is not cut. A message from before the
// present ticket that is longer than it allows is not sent: the server would close the connection.
func (t *Talk) publish(l *line, o outgoing) bool {
	t.buf = o.message().AppendJSON(t.buf[:0])
	if l.carries > 0 && len(t.buf) > l.carries {
		return false
	}
	err := l.nc.Publish(l.msg, t.buf)
	t.down = err != nil
	return !errors.Is(err, nats.ErrReconnectBufExceeded) && !errors.Is(err, nats.ErrConnectionClosed)
}

// anyConnected reports whether somebody is there to get a message.
func (t *Talk) anyConnected() bool {
	for _, p := range t.peers {
		if !p.lost {
			return true
		}
	}
	return false
}

// mayHave notes that somebody who was lost is there: they may get all that waits for them,
// from here or from the server.
func (t *Talk) mayHave() {
	for i := range t.out {
		t.out[i].left = true
	}
}

// notSent notes that a message could not be sent when it was said.
func (t *Talk) notSent(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := len(t.out) - 1; i >= 0 && t.out[i].n == n {
		t.out[i].left = false
	}
}

// perhapsStored notes that messages may be stored, although that was not confirmed for all.
func (t *Talk) perhapsStored(q chat.ParkRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.out {
		if n := len(q.Messages); n > 0 && t.out[i].n >= q.Messages[0].N && t.out[i].n <= q.Messages[n-1].N {
			t.out[i].left = true
		}
	}
}
