package main

import (
	"context"
	"fmt"
	"time"

	"natter/client"
	"natter/internal/coord"
)

// storm measures how long it takes after kill -9 and a restart until everybody has said hello again,
// and how long the same number of plain connections takes.
func (b *bench) storm() error {
	took, err := b.stormOfUsers()
	if err != nil {
		return err
	}
	plain, err := b.stormOfBares()
	if err != nil {
		return err
	}
	n := b.size.crowd
	b.holding.absolute(fmt.Sprintf("kill -9 and restart: %d users, all have said hello again", n), took, "s", atMost(10))
	b.holding.compare(fmt.Sprintf("the same, next to %d plain connections of nats.go", n), took, plain, seconds, atMost(3.5))
	return nil
}

func (b *bench) stormOfUsers() ([]float64, error) {
	limits := coord.Defaults().Limits // must not affect users who come back
	limits.Lobby = 0                  // all come from one address
	s, err := b.limitedServer("", limits)
	if err != nil {
		return nil, err
	}
	defer func() { s.kill() }()
	people, err := b.people(s, b.size.crowd)
	defer closeAll(people)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Duration(b.size.settle) * time.Second):
	case <-b.ctx.Done():
		return nil, b.ctx.Err()
	}
	var took []float64
	for range b.runs {
		s.kill()
		begin := time.Now()
		if err := s.start(); err != nil {
			return nil, err
		}
		v, err := b.profiled(s, "storm", func() (float64, error) { return b.backSince(people, begin) })()
		if err != nil {
			return nil, err
		}
		took = append(took, v)
	}
	return took, nil
}

func (b *bench) stormOfBares() ([]float64, error) {
	bares, err := b.bareServer(b.size.crowd)
	if err != nil {
		return nil, err
	}
	defer bares.close()
	var took []float64
	for range b.runs {
		v, err := bares.again(b)
		if err != nil {
			return nil, err
		}
		took = append(took, v.Seconds())
	}
	return took, nil
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
