package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
)

// stallRate is how many messages a second each member sends.
const stallRate = 20

// stall measures what a group notices of a member whose computer is suspended: its connections are up,
// but not read. It measures with and without it in turns.
func (b *bench) stall() error {
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	line := &frozen{}
	people, statue, err := b.groupWith(s, line)
	defer closeAll(append(people, statue))
	defer line.set(false)
	if err != nil {
		return err
	}
	var delay [2][]float64
	var more []float64
	for range min(b.runs, 3) {
		for side, still := range []bool{true, false} {
			before, err := s.memory()
			if err != nil {
				return err
			}
			line.set(still)
			delays, most, err := b.roundTable(s, people)
			if err != nil {
				return err
			}
			line.set(false)
			if delay[side] = append(delay[side], p99(delays)); still {
				more = append(more, (most-before)/(1<<20))
			}
			if err := b.allFlush(people); err != nil { // the statue has heard everything
				return err
			}
		}
	}
	what := fmt.Sprintf("group of %d, %d messages/s each, one reads nothing for %d s: ", members, stallRate, b.size.stall)
	b.holding.compare(what+"delivery to the others, p99", delay[0], delay[1], millis, atMost(1.2))
	b.holding.absolute("the same: memory of the server, more than before", more, "MB", atMost(16))
	return nil
}

// groupWith begins a group with a member on a connection that can be suspended.
func (b *bench) groupWith(s *server, line *frozen) (people []*client.Client, statue *client.Client, err error) {
	if people, err = b.people(s, members-1); err != nil {
		return people, nil, err
	}
	statue, err = b.enter(client.Config{URL: s.url(), Options: []nats.Option{
		nats.SetCustomDialer(line), nats.PingInterval(time.Hour), // what stands still notices nothing
	}}, "statue")
	if err != nil {
		return people, nil, err
	}
	all := append(people[:len(people):len(people)], statue)
	if err := b.chatting(all[0], all[1:]...); err != nil {
		return people, statue, err
	}
	return people, statue, b.warmUp(all...)
}

// roundTable has everybody send at fixed times, and returns how long each delivery took, in
// milliseconds, and the greatest memory of the server.
func (b *bench) roundTable(s *server, people []*client.Client) (delays []float64, most float64, err error) {
	begin, n := time.Now(), b.size.stall*stallRate
	due := func(who, i int) time.Time {
		return begin.Add(time.Second / stallRate * time.Duration(i*len(people)+who) / time.Duration(len(people)))
	}
	number := map[string]int{}
	for i, c := range people {
		number[string(c.Me())] = i
	}
	var all sync.WaitGroup
	failed, took := make([]error, 2*len(people)), make([][]float64, len(people))
	for i, c := range people {
		all.Go(func() {
			for k := 0; k < n && failed[2*i] == nil; k++ {
				time.Sleep(time.Until(due(i, k)))
				failed[2*i] = say(c, strconv.Itoa(k)+" "+text[:200])
			}
		})
		all.Go(func() {
			heard := hearing{c: c}
			for range n * (len(people) - 1) {
				from, e, err := heard.next(b.ctx)
				var k int
				if err == nil {
					_, err = fmt.Sscan(e.Text, &k)
				}
				if err != nil {
					failed[2*i+1] = err
					return
				}
				took[i] = append(took[i], time.Since(due(number[string(from)], k)).Seconds()*1000)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	if most, err = mostMemory(s, done); err == nil {
		err = first(failed)
	}
	for _, t := range took {
		delays = append(delays, t...)
	}
	return delays, most, err
}

// mostMemory looks every second until done is closed.
func mostMemory(s *server, done <-chan struct{}) (most float64, err error) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		now, failed := s.memory()
		if failed != nil {
			err = failed
		}
		most = max(most, now)
		select {
		case <-every.C:
		case <-done:
			return most, err
		}
	}
}

func (b *bench) allFlush(people []*client.Client) error {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	for _, c := range people {
		if err := inChat(c, func(s *client.Session) error { return s.Flush(ctx) }); err != nil {
			return fmt.Errorf("what %s has said does not arrive at everybody: %w", c.Me(), err)
		}
	}
	return nil
}

// frozen dials connections that can be suspended: then nothing is read, and dialing waits.
type frozen struct {
	mu    sync.Mutex
	moved chan struct{} // closed when it moves again; nil while it does
}

// set suspends the connections, or resumes them.
func (f *frozen) set(still bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case still && f.moved == nil:
		f.moved = make(chan struct{})
	case !still && f.moved != nil:
		close(f.moved)
		f.moved = nil
	}
}

func (f *frozen) wait() {
	f.mu.Lock()
	moved := f.moved
	f.mu.Unlock()
	if moved != nil {
		<-moved
	}
}

// Dial implements nats.CustomDialer.
func (f *frozen) Dial(network, address string) (net.Conn, error) {
	f.wait()
	c, err := net.Dial(network, address)
	return frozenConn{c, f}, err
}

type frozenConn struct {
	net.Conn
	line *frozen
}

// Read implements net.Conn. Data that was read before the suspension is returned first.
func (c frozenConn) Read(p []byte) (int, error) {
	c.line.wait()
	return c.Conn.Read(p)
}
