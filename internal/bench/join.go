package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// join measures how long it takes until all members of a group have joined, beside connections that
// subscribe twice.
func (b *bench) join() error {
	for _, g := range []struct {
		members int
		goal    goal
	}{{members, atMost(3)}, {b.size.group, atMost(5)}} {
		s, err := b.coordinator("none")
		if err != nil {
			return err
		}
		people, err := b.people(s.server, g.members)
		if err != nil {
			closeAll(people)
			s.kill()
			return err
		}
		turn := 0
		ours := func() (float64, error) { return b.gathers(people) }
		theirs := func() (float64, error) { turn++; return b.subscribes(s.server, g.members, turn) }
		a, c, err := b.duel(b.profiled(s.server, fmt.Sprintf("join-%d", g.members), ours), theirs)
		closeAll(people)
		s.kill()
		if err != nil {
			return fmt.Errorf("%d members: %w", g.members, err)
		}
		b.table.compare(fmt.Sprintf("joining a group of %d, each, next to two subscriptions on a connection", g.members), a, c, millis, g.goal)
	}
	return nil
}

// gathers begins a group, whose guests accept at the same time, waits until everybody has received a
// message of the host, and ends it. It returns the milliseconds for each member.
func (b *bench) gathers(people []*client.Client) (float64, error) {
	host, guests := people[0], people[1:]
	var names []string
	for _, g := range guests {
		names = append(names, string(g.Me()))
	}
	begin := time.Now()
	s, err := host.Invite(b.ctx, names...)
	if err != nil {
		return 0, err
	}
	err = b.each(guests, func(g *client.Client) error {
		if _, err := await[session.Invited](b.ctx, g); err != nil {
			return err
		}
		return g.Answer(b.ctx, s.ID, true)
	})
	if err != nil {
		return 0, err
	}
	if err := b.each(people, func(c *client.Client) error { _, err := await[session.Opened](b.ctx, c); return err }); err != nil {
		return 0, err
	}
	if err := say(host, text); err != nil {
		return 0, err
	}
	if err := b.each(guests, func(g *client.Client) error { _, err := await[client.Texts](b.ctx, g); return err }); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took.Seconds() * 1000 / float64(len(people)), b.scatter(people)
}

// each calls a function for all clients at the same time.
func (b *bench) each(all []*client.Client, do func(*client.Client) error) error {
	var wg sync.WaitGroup
	failed := make([]error, len(all))
	for i, c := range all {
		wg.Go(func() { failed[i] = do(c) })
	}
	wg.Wait()
	return first(failed)
}

// scatter ends a group.
func (b *bench) scatter(people []*client.Client) error {
	if err := quit(b.ctx, people[0]); err != nil {
		return err
	}
	return b.each(people, func(c *client.Client) error { _, err := await[session.Ended](b.ctx, c); return err })
}

// subscribes has plain members connect and subscribe twice, all at once, until everybody
// has heard the first. It returns the milliseconds for each.
func (b *bench) subscribes(s *server, n, turn int) (float64, error) {
	channel := fmt.Sprintf("join%d", turn)
	tickets := make([]ticket, n)
	for i := range n {
		var err error
		if tickets[i], err = s.ticket(chat.MemberGrant(chat.User(fmt.Sprintf("plain%d", i)), channel)); err != nil {
			return 0, err
		}
	}
	conns, heardBy := make([]*nats.Conn, n), make(chan struct{}, n)
	defer func() {
		for _, nc := range conns {
			if nc != nil {
				nc.Close()
			}
		}
	}()
	begin := time.Now()
	var all sync.WaitGroup
	failed := make([]error, n)
	for i := range n {
		all.Go(func() {
			u := chat.User(fmt.Sprintf("plain%d", i))
			conns[i], failed[i] = s.dial(tickets[i], chat.MemberInbox(u, channel), nats.NoEcho())
			for _, subject := range []string{heard(channel), chat.MemberInbox(u, channel) + ".>"} {
				if failed[i] == nil {
					_, failed[i] = conns[i].Subscribe(subject, func(*nats.Msg) { heardBy <- struct{}{} })
				}
			}
			if failed[i] == nil {
				failed[i] = conns[i].Flush()
			}
		})
	}
	all.Wait()
	if err := first(failed); err != nil {
		return 0, err
	}
	if err := conns[0].Publish(said("plain0", channel), payload); err != nil {
		return 0, err
	}
	for range n - 1 {
		if err := b.until(heardBy); err != nil {
			return 0, err
		}
	}
	return time.Since(begin).Seconds() * 1000 / float64(n), nil
}
