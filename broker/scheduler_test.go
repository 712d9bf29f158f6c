package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// While a stream is full, what many jobs cannot store is tried rarely and logged once a minute.
func TestChoresOfAFullStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := broker.NewScheduler(slog.New(slog.NewTextHandler(&out, nil)))
		const jobs = 100
		var tries, done atomic.Int32
		var full atomic.Bool
		full.Store(true)
		for range jobs {
			c.Do("note something", func(context.Context) error {
				if tries.Add(1); full.Load() {
					return broker.ErrAtLimit
				}
				done.Add(1)
				return nil
			})
		}
		<-time.After(4*time.Minute + time.Second)
		synctest.Wait()
		if n := strings.Count(out.String(), "not done yet: note something"); n != 5 || !strings.Contains(out.String(), "count=1 ") || !strings.Contains(out.String(), "count=500 ") {
			t.Errorf("logged %d times:\n%s", n, out.String())
		}
		if n := tries.Load(); n > 12*jobs {
			t.Errorf("%d tries", n)
		}
		full.Store(false)
		<-time.After(30 * time.Second)
		synctest.Wait()
		if done.Load() != jobs {
			t.Errorf("%d are done", done.Load())
		}
		c.Stop()
	})
}
