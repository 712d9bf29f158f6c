package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// login measures logins, with and without a kept ticket, beside bare connections.
func (b *bench) login() error {
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	tickets := make([]ticket, b.size.logins)
	for i := range tickets {
		if tickets[i], err = s.ticket(chat.UserGrant(bare(i))); err != nil {
			return err
		}
	}
	var cold, warm, plain []float64
	for turn := range b.runs {
		cfg := client.Config{URL: s.url(), Presence: chat.Visible, KeyDir: filepath.Join(b.dir, fmt.Sprintf("keys%d", turn))}
		for _, step := range []struct {
			name   string
			into   *[]float64
			arrive func(i int) (func() error, error)
		}{
			{"login-cold", &cold, b.arrival(cfg, false)},
			{"login-bare", &plain, s.bareArrival(tickets)},
			{"login-again", new([]float64), b.arrival(cfg, true)}, // the first ticket of a new name is too short to be kept
			{"login-warm", &warm, b.arrival(cfg, false)},
		} {
			rate, err := b.profiled(s, step.name, func() (float64, error) { return b.arrivals(step.arrive) })()
			if err != nil {
				return err
			}
			*step.into = append(*step.into, rate)
		}
	}
	what := fmt.Sprintf("%d at once: dial to presence shown, ", atOnce)
	b.table.compare(what+"cold (new name, lobby first)", cold, plain, perSecond, atLeast(0.3))
	b.table.compare(what+"warm (ticket still good)", warm, plain, perSecond, atLeast(0.6))
	return nil
}

func bare(i int) chat.User { return chat.User(fmt.Sprintf("bare%d", i)) }

// arrivals returns how many users log in per second. All log out afterwards.
func (b *bench) arrivals(arrive func(i int) (leave func() error, err error)) (float64, error) {
	n := b.size.logins
	leave := make([]func() error, n)
	begin := time.Now()
	err := inParallel(n, func(i int) (err error) {
		leave[i], err = arrive(i)
		return err
	})
	rate := float64(n) / time.Since(begin).Seconds()
	if err != nil {
		return 0, err
	}
	return rate, inParallel(n, func(i int) error { return leave[i]() })
}

// arrival is that of users who leave by an exit, which gives the ticket back, or whose program ends.
func (b *bench) arrival(cfg client.Config, ends bool) func(int) (func() error, error) {
	return func(i int) (func() error, error) {
		mine := cfg
		mine.Name = fmt.Sprintf("%s-%d", filepath.Base(cfg.KeyDir), i)
		c, err := b.enter(mine, mine.Name)
		if err != nil {
			return nil, err
		}
		if ends {
			return func() error { c.Close(); return nil }, nil
		}
		return func() error { return c.Exit(b.ctx) }, nil
	}
}

func (s *server) bareArrival(tickets []ticket) func(int) (func() error, error) {
	return func(i int) (func() error, error) {
		nc, err := s.dial(tickets[i], chat.Inbox(bare(i)))
		if err != nil {
			return nil, err
		}
		return func() error { nc.Close(); return nil }, nil
	}
}

// invite measures the time from an invitation to the chat, in milliseconds, if the guest accepts at
// once.
func (b *bench) invite() error {
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	people, err := b.people(s, 2)
	defer closeAll(people)
	if err != nil {
		return err
	}
	var medians []float64
	for range b.runs {
		took := make([]float64, b.size.invites)
		measure := func() (float64, error) {
			for i := range took {
				begin := time.Now()
				if err := b.chatting(people[0], people[1]); err != nil {
					return 0, err
				}
				took[i] = time.Since(begin).Seconds() * 1000
				if err := b.apart(people...); err != nil {
					return 0, err
				}
			}
			return median(took), nil
		}
		m, err := b.profiled(s, "invite", measure)()
		if err != nil {
			return err
		}
		medians = append(medians, m)
	}
	b.table.absolute("invitation, accepted at once, until both have been told, p50", medians, "ms", atMost(10))
	return nil
}

// apart ends a chat.
func (b *bench) apart(people ...*client.Client) error {
	if err := quit(b.ctx, people[0]); err != nil {
		return err
	}
	for _, c := range people {
		if _, err := await[session.Ended](b.ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// bareUser is a connection with a user's rights and subscriptions, and without a client.
func (s *server) bareUser(i int, opts ...nats.Option) (*nats.Conn, error) {
	u := bare(i)
	t, err := s.ticket(chat.UserGrant(u))
	if err != nil {
		return nil, err
	}
	nc, err := s.dial(t, chat.Inbox(u), opts...)
	if err != nil {
		return nil, err
	}
	for _, subject := range chat.UserGrant(u).Subscribe {
		if _, err := nc.Subscribe(subject, func(*nats.Msg) {}); err != nil {
			return nc, err
		}
	}
	return nc, nc.Flush()
}
