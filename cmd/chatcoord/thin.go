package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// thinFor is how long lines with the same message are counted; thinAfter of them are written.
	thinFor   = 10 * time.Second
	thinAfter = 10
	// thinKinds is how many different messages are counted in that time.
	thinKinds = 1000
)

// thin is a log that clients cannot fill: a fault that occurs with every request, or every connection,
// is written a few times, with the number of lines that were left out.
type thin struct {
	slog.Handler
	lines *lines
}

func newThin(h slog.Handler) slog.Handler {
	return thin{h, &lines{seen: map[string]int{}}}
}

// Handle implements slog.Handler.
func (t thin) Handle(ctx context.Context, r slog.Record) error {
	due, more := t.lines.due(r.Message, r.Time)
	if more > 0 {
		left := slog.NewRecord(r.Time, slog.LevelWarn, "lines that repeat others were left out", 0)
		left.AddAttrs(slog.Int("lines", more))
		if err := t.Handler.Handle(ctx, left); err != nil {
			return err
		}
	}
	if !due {
		return nil
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t thin) WithAttrs(attrs []slog.Attr) slog.Handler {
	return thin{t.Handler.WithAttrs(attrs), t.lines}
}

// WithGroup implements slog.Handler.
func (t thin) WithGroup(name string) slog.Handler { return thin{t.Handler.WithGroup(name), t.lines} }

// lines counts lines by their message.
type lines struct {
	mu    sync.Mutex
	since time.Time
	seen  map[string]int
	more  int // that were left out
}

// due reports whether a line is to be written, and how many were left out in the time before.
func (l *lines) due(message string, now time.Time) (due bool, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := now.Sub(l.since); d >= thinFor || d < 0 {
		more, l.more = l.more, 0
		l.since = now
		clear(l.seen)
	}
	n := l.seen[message]
	if n >= thinAfter || n == 0 && len(l.seen) >= thinKinds {
		l.more++
		return false, more
	}
	l.seen[message] = n + 1
	return true, more
}
