package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	jobTimeout = 10 * time.Second // one try of a job takes at most so long
	retryAfter = time.Second      // and is followed by another one after so long
	roomAfter  = 30 * time.Second // or, where a stream is at its limit, after up to so long
	sayAgain   = time.Minute      // jobs of one kind that fail are logged so often
)

// Job is something that has to be done and may be done twice.
type Job func(context.Context) error

// Scheduler runs what a service does without being asked: now or at a time, and again until it
// is done, because a deadline that passes while the broker cannot be reached is still a deadline.
type Scheduler struct {
	log *slog.Logger
	wg  sync.WaitGroup

	mu     sync.Mutex
	timers map[string]*time.Timer
	failed map[string]*failures // by what is to be done
	life   context.Context
	end    context.CancelFunc
}

// failures are the tries of one kind of job that failed.
type failures struct {
	said time.Time
	more int // since then
}

// NewScheduler has nothing to do yet.
func NewScheduler(log *slog.Logger) *Scheduler {
	c := &Scheduler{log: log, timers: map[string]*time.Timer{}, failed: map[string]*failures{}}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Do does a job in the background. what names its kind in the log.
func (c *Scheduler) Do(what string, job Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return
	}
	c.wg.Go(func() {
		wait := retryAfter
		for err := c.try(what, job); err != nil; err = c.try(what, job) {
			if wait = min(2*wait, roomAfter); !AtLimit(err) {
				wait = retryAfter
			}
			select {
			case <-time.After(wait):
			case <-c.life.Done():
				return
			}
		}
	})
}

func (c *Scheduler) try(what string, job Job) error {
	ctx, cancel := context.WithTimeout(c.life, jobTimeout)
	defer cancel()
	err := job(ctx)
	if err != nil && c.life.Err() == nil {
		c.say(what, err)
	}
	return err
}

// say logs that a job could not be done: jobs of one kind fail together, and again and again.
func (c *Scheduler) say(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, now := c.failed[what], time.Now()
	if f == nil {
		f = &failures{}
		c.failed[what] = f
	}
	f.more++
	if now.Sub(f.said) < sayAgain {
		return
	}
	c.log.Error("not done yet: "+what, "count", f.more, "err", err)
	*f = failures{said: now}
}

// After does a job in d, instead of the one that waits under the same key.
func (c *Scheduler) After(key string, d time.Duration, what string, job Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[key]; t != nil {
		t.Stop()
	}
	c.schedule(key, d, what, job)
}

// Within does a job in d, unless one waits under the same key.
func (c *Scheduler) Within(key string, d time.Duration, what string, job Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timers[key] == nil {
		c.schedule(key, d, what, job)
	}
}

func (c *Scheduler) schedule(key string, d time.Duration, what string, job Job) {
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
		c.Do(what, job)
	})
	c.timers[key] = t
}

// Cancel forgets what waits under a key.
func (c *Scheduler) Cancel(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[key]; t != nil {
		t.Stop()
		delete(c.timers, key)
	}
}

// Stop begins nothing more, and waits for what is under way.
func (c *Scheduler) Stop() {
	c.mu.Lock()
	c.end()
	for _, t := range c.timers {
		t.Stop()
	}
	c.mu.Unlock()
	c.wg.Wait()
}
