package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
)

// crowd measures what many idle users cost, and what one of them sees: the list, and how often it is
// notified of others.
func (b *bench) crowd() error {
	var told, lists []float64
	ours := func() (bytes float64, err error) {
		kb, notices, list, err := b.idleUsers()
		told, lists = append(told, notices), append(lists, list)
		return kb, err
	}
	a, c, err := b.duel(ours, b.idleConnections)
	if err != nil {
		return err
	}
	n := b.size.crowd
	b.table.compare(fmt.Sprintf("memory of the server per idle user, %d of them", n), a, c, kilobytes, atMost(1.1))
	b.table.absolute(fmt.Sprintf("list of %d users at the asker, p50", n), lists, "ms", atMost(5))
	b.table.absolute(fmt.Sprintf("notices per second to one who watches while %d log in", n), told, "/s", atMost(4))
	return nil
}

// idleUsers returns the server's memory per user in KB, how many notices per second one
// who watched was told while they came, and how long the list takes in milliseconds.
func (b *bench) idleUsers() (kb, notices, list float64, err error) {
	s, err := b.server("")
	if err != nil {
		return 0, 0, 0, err
	}
	defer s.kill()
	viewer, err := b.enter(client.Config{URL: s.url()}, "viewer")
	if err != nil {
		return 0, 0, 0, err
	}
	defer viewer.Close()
	if _, err := viewer.Watch(b.ctx); err != nil {
		return 0, 0, 0, err
	}
	told := make(chan float64, 1)
	go countNotices(viewer, told)
	before, err := b.memory(s)
	if err != nil {
		return 0, 0, 0, err
	}
	people, err := b.people(s, b.size.crowd)
	defer closeAll(people)
	if err != nil {
		return 0, 0, 0, err
	}
	after, err := b.memory(s)
	if err != nil {
		return 0, 0, 0, err
	}
	if list, err = b.profiled(s, "list", func() (float64, error) { return b.list(people) })(); err != nil {
		return 0, 0, 0, err
	}
	viewer.Close()
	return (after - before) / float64(len(people)) / 1024, <-told, list, b.heap(s, "users")
}

// countNotices returns how many notices per second came, from the first to the last, when
// the client is closed.
func countNotices(c *client.Client, told chan<- float64) {
	n := -1.0
	var first, last time.Time
	for e := range c.Events() {
		if _, ok := e.(client.PresenceChanged); !ok {
			continue
		}
		last = time.Now()
		if n++; n == 0 {
			first = last
		}
	}
	told <- max(n, 0) / max(last.Sub(first).Seconds(), 1e-3)
}

// list returns the median time of the list of everybody at the asker in milliseconds.
func (b *bench) list(people []*client.Client) (float64, error) {
	took := make([]float64, b.size.lists)
	for i := range took {
		begin := time.Now()
		all, err := people[i%len(people)].List(b.ctx)
		took[i] = time.Since(begin).Seconds() * 1000
		if err != nil {
			return 0, err
		}
		if len(all) < len(people) {
			return 0, fmt.Errorf("the list has %d of %d users", len(all), len(people))
		}
	}
	return median(took), nil
}

// idleConnections returns the server's memory in KB per bare connection with a user's
// ticket and subscriptions.
func (b *bench) idleConnections() (kb float64, err error) {
	s, err := b.server("")
	if err != nil {
		return 0, err
	}
	defer s.kill()
	before, err := b.memory(s)
	if err != nil {
		return 0, err
	}
	conns := make([]*nats.Conn, b.size.crowd)
	err = inParallel(len(conns), func(i int) (err error) {
		conns[i], err = s.bareUser(i)
		return err
	})
	defer func() {
		for _, nc := range conns {
			if nc != nil {
				nc.Close()
			}
		}
	}()
	if err != nil {
		return 0, err
	}
	after, err := b.memory(s)
	return (after - before) / float64(len(conns)) / 1024, errors.Join(err, b.heap(s, "bare"))
}

// memory returns the lowest memory of a server within some seconds: memory that was needed for logins
// is released slowly.
func (b *bench) memory(s *server) (bytes float64, err error) {
	least := math.Inf(1)
	for range 4 {
		now, err := s.memory()
		if err != nil {
			return 0, err
		}
		least = min(least, now)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	return least, nil
}
