package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"natter/broker"
)

func TestChoresAreDoneInTheEnd(t *testing.T) {
	c := broker.NewScheduler(slog.New(slog.DiscardHandler))
	tries, done := 0, make(chan struct{})
	c.Do("something", func(context.Context) error {
		if tries++; tries < 2 {
			return errors.New("not yet")
		}
		close(done)
		return nil
	})
	<-done
	c.Stop()
	if tries != 2 {
		t.Fatalf("tried %d times", tries)
	}
}

func TestChoresWait(t *testing.T) {
	c := broker.NewScheduler(slog.New(slog.DiscardHandler))
	did := make(chan string, 4)
	job := func(name string) broker.Job {
		return func(context.Context) error { did <- name; return nil }
	}
	c.After("a", time.Hour, "never", job("replaced"))
	c.After("a", time.Millisecond, "soon", job("a"))
	c.After("b", time.Hour, "never", job("cancelled"))
	c.Cancel("b")
	c.After("c", time.Hour, "never", job("stopped"))
	if got := <-did; got != "a" {
		t.Fatalf("did %s", got)
	}
	c.Within("e", time.Millisecond, "soon", job("e"))
	c.Within("e", 0, "never", job("e waits already"))
	if got := <-did; got != "e" {
		t.Fatalf("did %s", got)
	}
	c.Stop()
	c.Do("too late", job("late"))
	c.After("d", 0, "too late", job("late"))
	c.Stop()
	if len(did) != 0 {
		t.Fatalf("did %s", <-did)
	}
}

func TestStopEndsAChoreThatCannotBeDone(t *testing.T) {
	c := broker.NewScheduler(slog.New(slog.DiscardHandler))
	begun := make(chan struct{})
	c.Do("hopeless", func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	<-begun
	c.Stop()
}
