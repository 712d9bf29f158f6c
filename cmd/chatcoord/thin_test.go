package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLogIsThin(t *testing.T) {
	var out bytes.Buffer
	h := newThin(slog.NewTextHandler(&out, nil))
	other := h.WithAttrs([]slog.Attr{slog.String("component", "c")})
	start := time.Unix(1000, 0)
	write := func(h slog.Handler, message string, at time.Duration) {
		t.Helper()
		if err := h.Handle(context.Background(), slog.NewRecord(start.Add(at), slog.LevelError, message, 0)); err != nil {
			t.Fatal(err)
		}
	}
	lines := func(text string) int { return strings.Count(out.String(), text) }
	for n := range 1000 {
		write(h, "request failed", time.Duration(n)*time.Millisecond)
		write(other, "request failed", time.Duration(n)*time.Millisecond)
	}
	write(h, "something else", time.Second)
	if lines("request failed") != thinAfter || lines("something else") != 1 || lines("left out") != 0 {
		t.Errorf("%s", &out)
	}
	write(h, "request failed", thinFor)
	if lines("request failed") != thinAfter+1 || lines(fmt.Sprint("lines=", 2000-thinAfter)) != 1 {
		t.Errorf("%s", &out)
	}
	out.Reset()
	for n := range 10 * thinKinds {
		write(h, fmt.Sprint("message ", n), thinFor)
	}
	if n := lines("\n"); n != thinKinds-1 {
		t.Errorf("%d lines of messages that are all different", n)
	}
	out.Reset()
	write(h, "request failed", -time.Hour) // the clock was set
	if lines("request failed") != 1 {
		t.Errorf("%s", &out)
	}
}
