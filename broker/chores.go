package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	choreFor   = 10 * time.Second // one try of a chore takes at most so long
	choreAgain = time.Second      // and is followed by another one after so long
)

// Chore is something that has to be done and may be done twice.
type Chore func(context.Context) error

// Chores are what a service does without being asked: now or at a time, and again until it
// is done, because a deadline that passes while the broker is away is still a deadline.
type Chores struct {
	log *slog.Logger
	wg  sync.WaitGroup

	mu     sync.Mutex
	timers map[string]*time.Timer
	life   context.Context
	end    context.CancelFunc
}

// NewChores has nothing to do yet.
func NewChores(log *slog.Logger) *Chores {
	c := &Chores{log: log, timers: map[string]*time.Timer{}}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Do does a chore in the background. what names it in the log.
func (c *Chores) Do(what string, chore Chore) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return
	}
	c.wg.Go(func() {
		for !c.try(what, chore) {
			select {
			case <-time.After(choreAgain):
			case <-c.life.Done():
				return
			}
		}
	})
}

func (c *Chores) try(what string, chore Chore) bool {
	ctx, cancel := context.WithTimeout(c.life, choreFor)
	defer cancel()
	err := chore(ctx)
	if err != nil && c.life.Err() == nil {
		c.log.Error("not done yet: "+what, "err", err)
	}
	return err == nil
}

// After does a chore in d, instead of the one that waits under the same key.
func (c *Chores) After(key string, d time.Duration, what string, chore Chore) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[key]; t != nil {
		t.Stop()
	}
	if c.life.Err() != nil {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		c.mu.Lock()
		if c.timers[key] == t {
			delete(c.timers, key)
		}
		c.mu.Unlock()
		c.Do(what, chore)
	})
	c.timers[key] = t
}

// Cancel forgets what waits under a key.
func (c *Chores) Cancel(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[key]; t != nil {
		t.Stop()
		delete(c.timers, key)
	}
}

// Stop begins nothing more, and waits for what is under way.
func (c *Chores) Stop() {
	c.mu.Lock()
	c.end()
	for _, t := range c.timers {
		t.Stop()
	}
	c.mu.Unlock()
	c.wg.Wait()
}
