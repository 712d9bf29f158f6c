package broker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// LogFigures is how it went with a log since it was opened.
type LogFigures struct {
	Committed uint64 // steps of this replica whose records were stored
	Repeated  uint64 // steps that were run again: another replica was faster, or the store did not answer
	Revision  uint64 // the last change that this replica knows
}

// Figures counts.
func (l *Log) Figures() LogFigures {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f := l.figures
	f.Revision = l.revision
	return f
}

// Observe has fn told how long each attempt took to commit the steps that waited
// together. To be called before Open.
func (l *Log) Observe(fn func(took time.Duration)) { l.observe = fn }

// tried notes an attempt that left steps to be run again.
func (l *Log) tried(again int, took time.Duration) {
	l.mu.Lock()
	l.figures.Repeated += uint64(again)
	l.mu.Unlock()
	if l.observe != nil {
		l.observe(took)
	}
}

// counted notes a record; the caller holds the lock.
func (l *Log) counted(own bool) {
	if own {
		l.figures.Committed++
	}
}

// Usage is what a stream takes.
type Usage struct{ Messages, Bytes uint64 }

// Streams asks what the streams take, by name. Those that do not answer before ctx is
// done are left out.
func Streams(ctx context.Context, js jetstream.JetStream) map[string]Usage {
	all := map[string]Usage{}
	for _, cfg := range streams {
		if s, err := js.Stream(ctx, cfg.Name); err == nil {
			state := s.CachedInfo().State
			all[cfg.Name] = Usage{state.Msgs, state.Bytes}
		}
	}
	return all
}
