package store

import "time"

// LogMetrics is how it went with a log since it was opened.
type LogMetrics struct {
	Committed uint64 // steps of this replica whose records were stored
	Repeated  uint64 // steps that were run again: another replica was faster, or the store did not answer
	Revision  uint64 // the last change that this replica knows
}

// Metrics counts.
func (l *Log) Metrics() LogMetrics {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f := l.metrics
	f.Revision = l.revision
	return f
}

// Observe has fn told how long each attempt took to commit the steps that waited
// together. To be called before Open.
func (l *Log) Observe(fn func(took time.Duration)) { l.observe = fn }

// tried notes an attempt that left steps to be run again.
func (l *Log) tried(again int, took time.Duration) {
	l.mu.Lock()
	l.metrics.Repeated += uint64(again)
	l.mu.Unlock()
	if l.observe != nil {
		l.observe(took)
	}
}

// counted notes a record; the caller holds the lock.
func (l *Log) counted(own bool) {
	if own {
		l.metrics.Committed++
	}
}
