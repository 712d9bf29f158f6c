package delivery

import "natter/chat"

// message is one of ours that not everybody has acknowledged.
type message struct {
	said Time   // when
	at   int64  // the wall clock, in milliseconds
	end  uint64 // bytes of this and all earlier messages
	text string
	late bool // the user was told that it is late
	out  bool // somebody may have it: it was published while they were connected
}

// queue holds the messages that not everybody has acknowledged, without gaps: first is the number
// of the oldest, next that of the message to come.
type queue struct {
	ring  []message // a ring; its length is a power of two
	head  int
	first uint64
	next  uint64
	bytes uint64 // of all messages ever said
}

func newQueue() queue { return queue{ring: make([]message, 8), first: 1, next: 1} }

func (q *queue) len() int { return int(q.next - q.first) }

// get returns message n, which must be in the queue.
func (q *queue) get(n uint64) *message {
	return &q.ring[(q.head+int(n-q.first))&(len(q.ring)-1)]
}

func (q *queue) push(m message) {
	if q.len() == len(q.ring) {
		q.grow()
	}
	q.bytes += uint64(len(m.text))
	m.end = q.bytes
	q.next++
	*q.get(q.next - 1) = m
}

func (q *queue) grow() {
	ring := make([]message, 2*len(q.ring))
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

// pop drops the oldest message. A large ring is released once it is empty.
func (q *queue) pop() {
	q.ring[q.head].text = ""
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.first++
	if q.first == q.next && len(q.ring) > 1024 {
		q.ring, q.head = make([]message, 8), 0
	}
}

// renumber moves all numbers above base.
func (q *queue) renumber(base uint64) { q.first, q.next = q.first+base, q.next+base }

// size is how many bytes of text the messages from first on have.
func (q *queue) size(first uint64) uint64 {
	if first >= q.next {
		return 0
	}
	m := q.get(first)
	return q.bytes - m.end + uint64(len(m.text))
}

func (q *queue) message(n uint64) chat.Message {
	m := q.get(n)
	return chat.Message{N: n, At: unixMilli(m.at), Text: m.text}
}
