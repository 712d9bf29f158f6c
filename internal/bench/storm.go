package main

import (
	"context"
	"fmt"
	"time"

	"natter/internal/client"
	"natter/internal/coord"
)

// storm measures how long it takes after kill -9 and a restart until everybody has said
// hello again.
func (b *bench) storm() error {
	limits := coord.Defaults().Limits // that nobody who comes back is to feel
	limits.Lobby = 0                  // all come from one address
	s, err := b.limitedServer("", limits)
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	people, err := b.people(s, b.size.crowd)
	defer closeAll(people)
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Duration(b.size.settle) * time.Second):
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	var took []float64
	for range b.runs {
		s.kill()
		begin := time.Now()
		if err := s.start(); err != nil {
			return err
		}
		v, err := b.profiled(s, "storm", func() (float64, error) { return b.backSince(people, begin) })()
		if err != nil {
			return err
		}
		took = append(took, v)
	}
	b.holding.absolute(fmt.Sprintf("kill -9 and restart: %d users, all have said hello again", len(people)), took, "s", atMost(10))
	return nil
}

// backSince waits until everybody has been told that they are back, and returns how long
// that took in seconds.
func (b *bench) backSince(people []*client.Client, begin time.Time) (float64, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	for _, c := range people {
		if _, err := await[client.Connected](ctx, c); err != nil {
			return 0, err
		}
	}
	return time.Since(begin).Seconds(), nil
}
