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
	"natter/internal/client"
)

// text is what everybody says.
var (
	text    = strings.Repeat("x", 256)
	payload = []byte(text)
)

// plain is a group of connections that hear each other.
type plain struct {
	conns   []*nats.Conn
	subject []string
	arrived chan time.Time // when a message is there; nil: only counted
	left    atomic.Int64   // until all is there
	all     chan struct{}
}

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

func (p *plain) take(*nats.Msg) {
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

// lone measures one message at a time.
func (b *bench) lone() error {
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	people, err := b.couples(s, 1)
	defer closeAll(people)
	if err != nil {
		return err
	}
	p, err := plainGroup(s, "lone", 2, make(chan time.Time, 1))
	defer p.close()
	if err != nil {
		return err
	}
	ours := func() (float64, error) {
		return b.oneByOne(func() (time.Time, error) {
			if err := people[0].Say(text); err != nil {
				return time.Time{}, err
			}
			_, err := await[client.Texts](b.ctx, people[1])
			return time.Now(), err
		})
	}
	theirs := func() (float64, error) {
		return b.oneByOne(func() (time.Time, error) {
			if err := p.conns[0].Publish(p.subject[0], payload); err != nil {
				return time.Time{}, err
			}
			return <-p.arrived, nil // when the callback had it, not when it is known here
		})
	}
	a, c, err := b.duel(b.profiled(s, "lone", ours), theirs)
	if err == nil {
		b.table.compare("lone message of 256 B, member to member, p50", a, c, micros, atMost(1.2))
	}
	return err
}

// oneByOne is the median time in microseconds until something is there.
func (b *bench) oneByOne(do func() (there time.Time, err error)) (float64, error) {
	took := make([]float64, b.size.lone)
	for i := range took {
		begin := time.Now()
		there, err := do()
		if err != nil {
			return 0, err
		}
		took[i] = float64(there.Sub(begin).Nanoseconds()) / 1000
	}
	return median(took), nil
}

// pairs measures many chats at full speed without a console, and what they cost the
// server.
func (b *bench) pairs() error {
	rate, cost, both, err := b.atFullSpeed("pairs", "")
	if err != nil {
		return err
	}
	n := b.size.pairs
	b.table.compare(fmt.Sprintf("%d pairs at full speed, all delivered, no console", n), rate[0], rate[1], perSecond, atLeast(0.7))
	b.table.compare("the same: processor time of the server per million messages", cost[0], cost[1], seconds, atMost(1.3))
	b.table.compare("the same: of the server and all clients together", both[0], both[1], seconds, atMost(1/0.7))
	return nil
}

// console is pairs with a console that shows all to a file.
func (b *bench) console() error {
	rate, _, _, err := b.atFullSpeed("console", b.dir+"/console.log")
	if err != nil {
		return err
	}
	b.table.compare(fmt.Sprintf("%d pairs at full speed, console shows all to a file", b.size.pairs), rate[0], rate[1], perSecond, atLeast(0.4))
	return nil
}

// atFullSpeed returns messages per second and the processor time per million of them in
// seconds, of the server and of both processes: ours and theirs.
func (b *bench) atFullSpeed(name, consoleFile string) (rate, cost, both [2][]float64, err error) {
	s, err := b.server(consoleFile)
	if err != nil {
		return rate, cost, both, err
	}
	defer s.kill()
	people, err := b.couples(s, b.size.pairs)
	defer closeAll(people)
	if err != nil {
		return rate, cost, both, err
	}
	plains, err := plainPairs(s, b.size.pairs)
	defer func() {
		for _, p := range plains {
			p.close()
		}
	}()
	if err != nil {
		return rate, cost, both, err
	}
	total := float64(b.size.pairs * b.size.each)
	side := func(i int, f func() error) func() (float64, error) {
		return func() (float64, error) {
			perSecond, server, all, err := b.timed(s, total, f)
			cost[i], both[i] = append(cost[i], server), append(both[i], all)
			return perSecond, err
		}
	}
	ours := side(0, func() error { return b.everybodySays(people, b.size.each) })
	theirs := side(1, func() error { return b.plainlySaid(plains, b.size.each) })
	rate[0], rate[1], err = b.duel(b.profiled(s, name, ours), theirs)
	return rate, cost, both, err
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

// everybodySays has the first of each couple say n things, until all have arrived.
func (b *bench) everybodySays(people []*client.Client, n int) error {
	var all sync.WaitGroup
	failed := make([]error, len(people))
	for i, c := range people {
		all.Go(func() {
			if i%2 == 0 {
				failed[i] = say(c, n)
			} else {
				failed[i] = b.hears(c, n)
			}
		})
	}
	all.Wait()
	return first(failed)
}

func say(c *client.Client, n int) error {
	for range n {
		if err := c.Say(text); err != nil {
			return err
		}
	}
	return nil
}

// hears counts n messages.
func (b *bench) hears(c *client.Client, n int) error {
	defer context.AfterFunc(b.ctx, c.Close)()
	for e := range c.Events() {
		said, ok := e.(client.Texts)
		if !ok {
			continue
		}
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

// In the group everybody speaks at once, in rounds: plain connections have no limit to
// what is under way, and the broker cuts off who has more than 16 MB to read.
const members, inARound = 10, 3000

// group measures how much a group of ten hears.
func (b *bench) group() error {
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	people, err := b.people(s, members)
	defer closeAll(people)
	if err != nil {
		return err
	}
	if err := b.chatting(people[0], people[1:]...); err != nil {
		return err
	}
	if err := b.warmUp(people...); err != nil {
		return err
	}
	p, err := plainGroup(s, "group", members, nil)
	defer p.close()
	if err != nil {
		return err
	}
	total := float64(b.size.rounds * inARound * members * (members - 1))
	var both [2][]float64
	rounds := func(i int, f func() error) func() (float64, error) {
		return func() (float64, error) {
			rate, _, used, err := b.timed(s, total, func() error {
				for range b.size.rounds {
					if err := f(); err != nil {
						return err
					}
				}
				return nil
			})
			both[i] = append(both[i], used)
			return rate, err
		}
	}
	ours := rounds(0, func() error { return b.allSay(people, inARound) })
	theirs := rounds(1, func() error { return b.allPublish(p, inARound) })
	a, c, err := b.duel(b.profiled(s, "group", ours), theirs)
	if err != nil {
		return err
	}
	b.table.compare(fmt.Sprintf("group of %d, all speak: deliveries", members), a, c, perSecond, atLeast(0.75))
	b.table.compare("the same: processor time of server and clients per million", both[0], both[1], seconds, atMost(1/0.75))
	return nil
}

// allSay has everybody say n things to everybody.
func (b *bench) allSay(people []*client.Client, n int) error {
	var all sync.WaitGroup
	failed := make([]error, 2*len(people))
	for i, c := range people {
		all.Go(func() { failed[2*i] = say(c, n) })
		all.Go(func() { failed[2*i+1] = b.hears(c, n*(len(people)-1)) })
	}
	all.Wait()
	return first(failed)
}

func (b *bench) allPublish(p *plain, n int) error {
	p.left.Store(int64(n * len(p.conns) * (len(p.conns) - 1)))
	var all sync.WaitGroup
	failed := make([]error, len(p.conns)+1)
	for i, nc := range p.conns {
		all.Go(func() { failed[i] = publish(nc, p.subject[i], n) })
	}
	all.Wait()
	failed[len(p.conns)] = b.until(p.all)
	return first(failed)
}
