package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
)

// open measures delays at rates far below full speed. A delay counts from the time at
// which the message was due, whether or not the one before was late.
func (b *bench) open() error {
	s, err := b.coordinator("none")
	if err != nil {
		return err
	}
	defer s.kill()
	people, err := b.couples(s.server, b.size.open)
	defer closeAll(people)
	if err != nil {
		return err
	}
	plains, err := plainPairs(s.server, b.size.open)
	defer func() {
		for _, p := range plains {
			p.close()
		}
	}()
	if err != nil {
		return err
	}
	for _, rate := range []int{5000, 20_000} {
		ours := func() (float64, error) { return b.schedule(rate).delay(b, people) }
		theirs := func() (float64, error) { return b.schedule(rate).plainDelay(b, plains) }
		a, c, err := b.duel(b.profiled(s.server, fmt.Sprintf("open-%d", rate), ours), theirs)
		if err != nil {
			return err
		}
		b.table.compare(fmt.Sprintf("%d pairs, open loop, %d messages/s in all: delay p50", b.size.open, rate), a, c, micros, atMost(1.2))
	}
	return nil
}

// schedule says when messages are due: those of each pair at equal intervals, with the pairs spread
// over an interval.
type schedule struct {
	begin       time.Time
	pairs, each int
	apart       time.Duration // messages of one pair
}

func (b *bench) schedule(rate int) schedule {
	n := b.size.open
	return schedule{
		begin: time.Now().Add(50 * time.Millisecond), pairs: n, each: max(1, rate*b.size.openFor/n),
		apart: time.Second * time.Duration(n) / time.Duration(rate),
	}
}

func (t schedule) due(pair, i int) time.Time {
	return t.begin.Add(t.apart*time.Duration(i) + t.apart*time.Duration(pair)/time.Duration(t.pairs))
}

// late is the delay of a message in microseconds.
func (t schedule) late(pair, i int) float64 {
	return float64(time.Since(t.due(pair, i)).Nanoseconds()) / 1000
}

// speak sends each message of a pair when it is due.
func (t schedule) speak(pair int, say func() error) error {
	for i := range t.each {
		time.Sleep(time.Until(t.due(pair, i)))
		if err := say(); err != nil {
			return err
		}
	}
	return nil
}

// delay returns the median delay of couples in microseconds.
func (t schedule) delay(b *bench, people []*client.Client) (float64, error) {
	var all sync.WaitGroup
	failed, took := make([]error, len(people)), make([][]float64, t.pairs)
	for k := range t.pairs {
		all.Go(func() { failed[2*k] = t.speak(k, func() error { return say(people[2*k], text) }) })
		all.Go(func() {
			failed[2*k+1] = b.hearing(people[2*k+1], t.each, func(n int) {
				for range n {
					took[k] = append(took[k], t.late(k, len(took[k])))
				}
			})
		})
	}
	all.Wait()
	return median(slices.Concat(took...)), first(failed)
}

// plainDelay is delay for plain connections. A message's delay ends in the callback.
func (t schedule) plainDelay(b *bench, plains []*plain) (float64, error) {
	var all sync.WaitGroup
	failed, took := make([]error, 2*t.pairs), make([][]float64, t.pairs)
	for k, p := range plains {
		p.left.Store(int64(t.each))
		p.told.Store(&told{func(*nats.Msg) { took[k] = append(took[k], t.late(k, len(took[k]))) }})
		all.Go(func() {
			failed[2*k] = t.speak(k, func() error { return p.conns[0].Publish(p.subject[0], payload) })
			failed[2*k+1] = b.until(p.all)
		})
	}
	all.Wait()
	return median(slices.Concat(took...)), first(failed)
}
