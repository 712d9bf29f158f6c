package client

import (
	"sync"

	"natter/session"
)

// queue hands events to a reader who may be slow: what does not fit into the channel
// waits in memory, and order is kept.
type queue struct {
	out  chan Event
	also func(Event) // is told every event as well, in order; must not block
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

// push adds an event. It never blocks. What would be more than a reader has to wait for at any
// honest server is dropped.
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

// crowded reports whether so much waits that nothing more is taken from others for now.
func (q *queue) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes > maxWaiting
}

// textBytes is how much of an event others have written, and what it takes to keep it.
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

// pump moves what waits into the channel as the reader gets on.
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

// close ends the queue: what is in the channel can still be read.
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
