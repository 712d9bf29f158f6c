package client

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"natter/broker"
)

// shared is what all parts of a client have: the configuration, the events and the context.
type shared struct {
	cfg    Config
	log    *slog.Logger
	events *queue

	ctx    context.Context // the client's life
	cancel context.CancelFunc
	wg     sync.WaitGroup
	work   chan func() // changes of sessions, in order; only the worker runs them
}

func newShared(cfg Config) *shared {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &shared{cfg: cfg, log: cfg.Log, events: newQueue(cfg.keep), work: make(chan func(), 256)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// server returns the URL that the client was given, without a password.
func (s *shared) server() string { return broker.Redact(s.cfg.URL) }

// start begins the client's own goroutine.
func (s *shared) start() {
	s.wg.Go(func() {
		for {
			select {
			case f := <-s.work:
				f()
			case <-s.ctx.Done():
				return
			}
		}
	})
}

// later runs a function on the worker.
func (s *shared) later(f func()) {
	select {
	case s.work <- f:
	case <-s.ctx.Done():
	}
}

// offer is later, but returns false if the worker has too much to do.
func (s *shared) offer(f func()) bool {
	select {
	case s.work <- f:
		return true
	default:
		return false
	}
}

// inOrder runs a function on the worker and waits for it.
func (s *shared) inOrder(f func()) {
	done := make(chan struct{})
	s.later(func() { f(); close(done) })
	select {
	case <-done:
	case <-s.ctx.Done():
	}
}

// pause waits before the coordinator is asked again.
func (s *shared) pause() { s.rest(200 * time.Millisecond) }

func (s *shared) rest(wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-s.ctx.Done():
	}
}

// awaitReader waits while too much waits to be read already.
func (s *shared) awaitReader(ctx context.Context) error {
	for s.events.crowded() {
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	return nil
}
