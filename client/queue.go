package client

import (
	"sync"

	"natter/session"
)

// queue passes events to a reader who may be slow: events that do not fit into the channel wait in
// memory, in order.
type queue struct {
	out  chan Event
	also func(Event) // called with every event, in order; must not block
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	waiting []Event
	bytes   int // of the texts that wait
	pumping bool
	closed  bool
}

func newQueue(also func(Event)) *queue {
	return &queue{out: make(chan Event, 256), also: also, stop: make(chan struct{})}
}

// push adds an event. It never blocks. Events beyond what an honest server can cause are dropped.
func (q *queue) push(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes > 2*maxWaiting {
		return
	}
	q.also(e)
	if !q.pumping {
		select {
		case q.out <- e:
			return
		default:
		}
		q.pumping = true
		q.wg.Go(q.pump)
	}
	q.waiting = append(q.waiting, e)
	q.bytes += textBytes(e)
}

// maxWaiting bounds the texts that wait for a reader, in bytes.
const maxWaiting = 16 << 20

// crowded reports whether so much waits that no more messages of others are accepted for now.
func (q *queue) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes > maxWaiting
}

// textBytes is the size of an event's texts of other users, with the memory to store them.
func textBytes(e Event) int {
	const least, perMessage = 256, 64
	switch e := e.(type) {
	case Texts:
		n := least
		for _, m := range e.Messages {
			n += len(m.Text) + perMessage
		}
		return n
	case DirectText:
		return len(e.Text) + least
	case PresenceChanged:
		return least * (1 + len(e.Changed) + len(e.Gone))
	case session.Invited:
		return least + perMessage*len(e.Session.Members)
	case SignedOut:
		return least + len(e.Reason)
	}
	return least
}

// pump moves waiting events into the channel.
func (q *queue) pump() {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.pumping, q.waiting = false, nil
			q.mu.Unlock()
			return
		}
		e := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.bytes -= textBytes(e)
		q.mu.Unlock()
		select {
		case q.out <- e:
		case <-q.stop:
			return
		}
	}
}

// close ends the queue: events in the channel can still be read.
func (q *queue) close() {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.closed = true
	q.mu.Unlock()
	close(q.stop)
	q.wg.Wait()
	close(q.out)
}
