package broker

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	measureAgain = 5 * time.Second // the limits of streams are looked at so often
	measureNext  = time.Second     // and at most so often
)

// Capacity watches which streams are at their limits.
type Capacity struct {
	say  func(stream string, u Usage)
	soon chan struct{}

	mu   sync.Mutex
	full map[string]bool
}

// NewCapacity says when a stream has reached its limit, and when it has room again.
func NewCapacity(say func(stream string, u Usage)) *Capacity {
	return &Capacity{say: say, soon: make(chan struct{}, 1), full: map[string]bool{}}
}

// Look has Watch look at once.
func (c *Capacity) Look() {
	select {
	case c.soon <- struct{}{}:
	default: // it is about to
	}
}

// Full lists the streams that are at their limits, sorted.
func (c *Capacity) Full() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for stream, full := range c.full {
		if full {
			all = append(all, stream)
		}
	}
	slices.Sort(all)
	return all
}

// Watch looks every few seconds, and after Look, until ctx is done. ask is Streams.
func (c *Capacity) Watch(ctx context.Context, ask func() map[string]Usage) {
	for {
		for stream, u := range ask() {
			c.note(stream, u)
		}
		select {
		case <-time.After(measureNext):
		case <-ctx.Done():
			return
		}
		select {
		case <-c.soon:
		case <-time.After(measureAgain - measureNext):
		case <-ctx.Done():
			return
		}
	}
}

func (c *Capacity) note(stream string, u Usage) {
	c.mu.Lock()
	before := c.full[stream]
	c.full[stream] = u.Full
	c.mu.Unlock()
	if u.Full != before {
		c.say(stream, u)
	}
}
