package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
)

// text is the text of all messages.
var (
	text    = strings.Repeat("x", 256)
	payload = []byte(text)
)

// plain is a group of connections that hear each other.
type plain struct {
	conns   []*nats.Conn
	subject []string
	arrived chan time.Time // when a message has arrived; nil: only counted
	left    atomic.Int64   // until all is there
	all     chan struct{}
	told    atomic.Pointer[told] // called with each message, or nil
}

type told struct{ heard func(*nats.Msg) }

// plainGroup connects n members of one channel.
func plainGroup(s *server, channel string, n int, arrived chan time.Time) (*plain, error) {
	p := &plain{arrived: arrived, all: make(chan struct{}, 1)}
	for i := range n {
		u := chat.User(fmt.Sprintf("plain%d", i))
		nc, err := s.plainMember(u, channel)
		if err != nil {
			return p, err
		}
		p.conns = append(p.conns, nc)
		p.subject = append(p.subject, said(u, channel))
		if _, err := nc.Subscribe(heard(channel), p.take); err != nil {
			return p, err
		}
		if err := nc.Flush(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *plain) take(m *nats.Msg) {
	if t := p.told.Load(); t != nil {
		t.heard(m)
	}
	if p.arrived != nil {
		p.arrived <- time.Now()
	} else if p.left.Add(-1) == 0 {
		p.all <- struct{}{}
	}
}

func (p *plain) close() {
	for _, nc := range p.conns {
		nc.Close()
	}
}

// stages are a coordinator for natter, with a given console, and one for plain connections, whose
// console shows nothing, so that plain messages cause no work there.
func (b *bench) stages(show string) (ours, theirs *coordinator, end func(), err error) {
	if ours, err = b.coordinator(show); err != nil {
		return nil, nil, nil, err
	}
	if show == "none" {
		return ours, ours, ours.kill, nil
	}
	if theirs, err = b.coordinator("none"); err != nil {
		ours.kill()
		return nil, nil, nil, err
	}
	return ours, theirs, func() { ours.kill(); theirs.kill() }, nil
}

// lone measures single messages.
func (b *bench) lone() error {
	if err := b.loneWith("none", atMost(1.05), atMost(1.1)); err != nil {
		return err
	}
	return b.loneWith("all", atMost(1.2), atMost(1.2))
}

func (b *bench) loneWith(show string, p50, p99 goal) error {
	s, bare, end, err := b.stages(show)
	if err != nil {
		return err
	}
	defer end()
	people, err := b.couples(s.server, 1)
	defer closeAll(people)
	if err != nil {
		return err
	}
	p, err := plainGroup(bare.server, "lone", 2, make(chan time.Time, 1))
	defer p.close()
	if err != nil {
		return err
	}
	var slow [2][]float64
	defer context.AfterFunc(b.ctx, people[1].Close)()
	ours := func() (float64, error) {
		return b.oneByOne(&slow[0], func() (time.Time, error) {
			if err := say(people[0], text); err != nil {
				return time.Time{}, err
			}
			for e := range people[1].Events() {
				if _, ok := e.(client.Texts); ok {
					return time.Now(), nil
				}
			}
			return time.Time{}, fmt.Errorf("%s hears nothing more", people[1].Me())
		})
	}
	theirs := func() (float64, error) {
		return b.oneByOne(&slow[1], func() (time.Time, error) {
			if err := p.conns[0].Publish(p.subject[0], payload); err != nil {
				return time.Time{}, err
			}
			return <-p.arrived, nil // the time of the callback, not of this line
		})
	}
	a, c, err := b.duel(b.profiled(s.server, "lone-"+show, ours), theirs)
	if err == nil {
		b.table.compare(fmt.Sprintf("lone message of 256 B, --show %s, p50", show), a, c, micros, p50)
		b.table.compare("the same: p99", slow[0], slow[1], micros, p99)
	}
	return err
}

// oneByOne returns the median time in microseconds until something has arrived, and adds the 99th
// percentile to slow.
func (b *bench) oneByOne(slow *[]float64, do func() (there time.Time, err error)) (float64, error) {
	took := make([]float64, b.size.lone)
	for i := range took {
		begin := time.Now()
		there, err := do()
		if err != nil {
			return 0, err
		}
		took[i] = float64(there.Sub(begin).Nanoseconds()) / 1000
	}
	*slow = append(*slow, p99(took))
	return median(took), nil
}

// pairs measures many chats at full speed, and what they cost the server.
func (b *bench) pairs() error {
	rate, cost, both, _, err := b.atFullSpeed("none", b.size.each)
	if err != nil {
		return err
	}
	n := b.size.pairs
	b.table.compare(fmt.Sprintf("%d pairs at full speed, --show none", n), rate[0], rate[1], perSecond, atLeast(1.8))
	b.table.compare("the same: processor time of the server per million messages", cost[0], cost[1], seconds, atMost(0.4))
	b.table.compare("the same: of the server and all clients together", both[0], both[1], seconds, atMost(0.6))
	return nil
}

// console measures pairs with a console that shows all to a file, until every line has
// been written.
func (b *bench) console() error {
	rate, _, _, missing, err := b.atFullSpeed("all", b.size.each/4)
	if err != nil {
		return err
	}
	b.table.compare(fmt.Sprintf("%d pairs at full speed, --show all to a file, until every line is written", b.size.pairs), rate[0], rate[1], perSecond, atLeast(0.9))
	b.table.absolute("the same: lines that are missing", missing, "lines", atMost(0))
	return nil
}

// atFullSpeed returns messages per second and the processor time per million of them in
// seconds, of the server and of both processes, ours and theirs; and how many lines the
// console has not written 10 s after the last message of each turn.
func (b *bench) atFullSpeed(show string, each int) (rate, cost, both [2][]float64, missing []float64, err error) {
	s, bare, end, err := b.stages(show)
	if err != nil {
		return rate, cost, both, nil, err
	}
	defer end()
	people, err := b.couples(s.server, b.size.pairs)
	defer closeAll(people)
	if err != nil {
		return rate, cost, both, nil, err
	}
	plains, err := plainPairs(bare.server, b.size.pairs)
	defer func() {
		for _, p := range plains {
			p.close()
		}
	}()
	if err != nil {
		return rate, cost, both, nil, err
	}
	shown, err := os.Open(s.console)
	if err != nil {
		return rate, cost, both, nil, err
	}
	defer func() { _ = shown.Close() }()
	written := &lines{file: shown}
	total := b.size.pairs * each
	side := func(i int, s *server, f func() error) func() (float64, error) {
		return func() (float64, error) {
			perSecond, server, all, err := b.timed(s, float64(total), f)
			cost[i], both[i] = append(cost[i], server), append(both[i], all)
			return perSecond, err
		}
	}
	ours := side(0, s.server, func() error {
		if err := b.everybodySays(people, each); err != nil || show != "all" {
			return err
		}
		lost, err := written.until(total)
		missing, written.n = append(missing, float64(lost)), 0
		return err
	})
	theirs := side(1, bare.server, func() error { return b.plainlySaid(plains, each) })
	rate[0], rate[1], err = b.duel(b.profiled(s.server, "pairs-"+show, ours), theirs)
	return rate, cost, both, missing, err
}

// timed returns how many of n per second there were and the processor time per million,
// in seconds: of the server and of both processes.
func (b *bench) timed(s *server, n float64, f func() error) (perSecond, server, both float64, err error) {
	begin := time.Now()
	var used [2]time.Duration
	for i, pid := range []int{s.cmd.Process.Pid, os.Getpid()} {
		if used[i], err = cpu(pid); err != nil {
			return 0, 0, 0, err
		}
	}
	if err := f(); err != nil {
		return 0, 0, 0, err
	}
	took := time.Since(begin)
	for i, pid := range []int{s.cmd.Process.Pid, os.Getpid()} {
		after, err := cpu(pid)
		if err != nil {
			return 0, 0, 0, err
		}
		used[i] = after - used[i]
	}
	million := n / 1e6
	return n / took.Seconds(), used[0].Seconds() / million, (used[0] + used[1]).Seconds() / million, nil
}

// everybodySays has the first of each couple send n messages, and waits until all have arrived.
func (b *bench) everybodySays(people []*client.Client, n int) error {
	var all sync.WaitGroup
	failed := make([]error, len(people))
	for i, c := range people {
		all.Go(func() {
			if i%2 == 0 {
				failed[i] = b.say(c, n)
			} else {
				failed[i] = b.hears(c, n)
			}
		})
	}
	all.Wait()
	return first(failed)
}

func (b *bench) say(c *client.Client, n int) error {
	defer context.AfterFunc(b.ctx, c.Close)()
	for range n {
		if err := say(c, text); err != nil {
			return err
		}
	}
	return nil
}

// hears receives n messages.
func (b *bench) hears(c *client.Client, n int) error { return b.hearing(c, n, func(int) {}) }

// hearing calls there each time some of n messages have arrived, with how many.
func (b *bench) hearing(c *client.Client, n int, there func(int)) error {
	defer context.AfterFunc(b.ctx, c.Close)()
	for e := range c.Events() {
		said, ok := e.(client.Texts)
		if !ok {
			continue
		}
		there(len(said.Messages))
		if n -= len(said.Messages); n <= 0 {
			return nil
		}
	}
	return fmt.Errorf("%s has %d messages less than were said", c.Me(), n)
}

func first(failed []error) error {
	i := slices.IndexFunc(failed, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return failed[i]
}

func plainPairs(s *server, n int) ([]*plain, error) {
	all := make([]*plain, n)
	err := inParallel(n, func(i int) (err error) {
		all[i], err = plainGroup(s, fmt.Sprintf("pair%d", i), 2, nil)
		return err
	})
	return all, err
}

// plainlySaid has the first of each group publish n messages, until all have arrived.
func (b *bench) plainlySaid(groups []*plain, n int) error {
	var all sync.WaitGroup
	failed := make([]error, len(groups))
	for i, p := range groups {
		p.left.Store(int64(n * (len(p.conns) - 1)))
		all.Go(func() { failed[i] = b.plainly(p, p.conns[0], p.subject[0], n) })
	}
	all.Wait()
	return first(failed)
}

func (b *bench) plainly(p *plain, nc *nats.Conn, subject string, n int) error {
	if err := publish(nc, subject, n); err != nil {
		return err
	}
	return b.until(p.all)
}

func publish(nc *nats.Conn, subject string, n int) error {
	for range n {
		if err := nc.Publish(subject, payload); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) until(done <-chan struct{}) error {
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case <-done:
		return nil
	case <-late.C:
		return fmt.Errorf("messages of plain connections are lost: %w", nats.ErrTimeout)
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}
