package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/session"
)

// atOnce is how many arrive at the same time.
const atOnce = 32

// inParallel does something n times, some at once, and returns what went wrong.
func inParallel(n int, do func(i int) error) error {
	next := make(chan int)
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return failed
}

// enter makes a visible user.
func (b *bench) enter(cfg client.Config, name string) (*client.Client, error) {
	for late := time.Now().Add(10 * time.Second); ; {
		c, err := b.tryEnter(cfg, name)
		// The coordinator may not have heard yet that the connection of their last program is closed.
		if !errors.Is(err, &chat.Error{Code: chat.SignedIn}) || time.Now().After(late) {
			return c, err
		}
	}
}

func (b *bench) tryEnter(cfg client.Config, name string) (*client.Client, error) {
	c, err := client.Dial(b.ctx, cfg)
	if err != nil {
		return nil, err
	}
	if _, err = c.Enter(b.ctx, name); err == nil {
		err = c.SetPresence(b.ctx, true)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s enters: %w", name, err)
	}
	return c, nil
}

// people are n users.
func (b *bench) people(s *server, n int) ([]*client.Client, error) {
	all := make([]*client.Client, n)
	err := inParallel(n, func(i int) (err error) {
		all[i], err = b.enter(client.Config{URL: s.url()}, fmt.Sprintf("user%d", i))
		return err
	})
	return all, err
}

func closeAll(all []*client.Client) {
	_ = inParallel(len(all), func(i int) error {
		if all[i] != nil {
			all[i].Close()
		}
		return nil
	})
}

// await reads events until one of a type comes.
func await[E client.Event](ctx context.Context, c *client.Client) (E, error) {
	for {
		select {
		case e, ok := <-c.Events():
			if !ok {
				return *new(E), fmt.Errorf("%s is closed while waiting for %T", c.Me(), *new(E))
			}
			if wanted, ok := e.(E); ok {
				return wanted, nil
			}
		case <-ctx.Done():
			return *new(E), fmt.Errorf("%s waits for %T: %w", c.Me(), *new(E), ctx.Err())
		}
	}
}

// chatting begins a chat; all members know of it when it returns.
func (b *bench) chatting(host *client.Client, guests ...*client.Client) error {
	var names []string
	for _, g := range guests {
		names = append(names, string(g.Me()))
	}
	s, err := host.Invite(b.ctx, names...)
	if err != nil {
		return fmt.Errorf("%s invites: %w", host.Me(), err)
	}
	for _, g := range guests {
		if _, err := await[session.Invited](b.ctx, g); err != nil {
			return err
		}
		if err := g.Answer(b.ctx, s.ID, true); err != nil {
			return fmt.Errorf("%s accepts: %w", g.Me(), err)
		}
	}
	for _, c := range append(guests, host) {
		if _, err := await[session.Opened](b.ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// warmUp sends a first message from everybody to everybody, so that all have joined.
func (b *bench) warmUp(all ...*client.Client) error {
	for _, c := range all {
		if err := say(c, "first"); err != nil {
			return err
		}
		for _, other := range all {
			if other == c {
				continue
			}
			if _, err := await[client.Texts](b.ctx, other); err != nil {
				return err
			}
		}
	}
	return nil
}

// inChat does something in the session that a client is in.
func inChat(c *client.Client, do func(*client.Session) error) error {
	s, in := c.Open()
	if !in {
		return fmt.Errorf("%s is in no chat", c.Me())
	}
	return do(s)
}

func say(c *client.Client, text string) error {
	return inChat(c, func(s *client.Session) error { return s.Say(text) })
}

func quit(ctx context.Context, c *client.Client) error {
	return inChat(c, func(s *client.Session) error { return s.Quit(ctx) })
}

// couples are n chats of two.
func (b *bench) couples(s *server, n int) ([]*client.Client, error) {
	all, err := b.people(s, 2*n)
	if err != nil {
		return all, err
	}
	return all, inParallel(n, func(i int) error {
		if err := b.chatting(all[2*i], all[2*i+1]); err != nil {
			return err
		}
		return b.warmUp(all[2*i], all[2*i+1])
	})
}

// ticket makes the ticket of a plain connection.
type ticket struct {
	chat.Ticket
	key nkeys.KeyPair
}

func (s *server) ticket(g chat.Grant) (t ticket, err error) {
	if t.key, err = nkeys.CreateUser(); err != nil {
		return t, err
	}
	public, err := t.key.PublicKey()
	if err != nil {
		return t, err
	}
	t.Ticket, err = s.mint(public, g)
	return t, err
}

// dial connects plainly.
func (s *server) dial(t ticket, inbox string, opts ...nats.Option) (*nats.Conn, error) {
	all := []nats.Option{nats.CustomInboxPrefix(inbox), nats.UserJWT(func() (string, error) { return t.JWT, nil }, t.key.Sign)}
	return broker.Connect(context.Background(), s.url(), "bench", append(all, opts...)...)
}

// plainMember connects with a member's rights.
func (s *server) plainMember(u chat.User, channel string) (*nats.Conn, error) {
	t, err := s.ticket(chat.MemberGrant(u, channel))
	if err != nil {
		return nil, err
	}
	return s.dial(t, chat.MemberInbox(u, channel), nats.NoEcho())
}

// said returns the subjects on which a plain member publishes and receives.
func said(u chat.User, channel string) string {
	return chat.Said.Subject(chat.Address{User: u, Session: channel})
}

func heard(channel string) string { return "chat.session." + channel + ".msg.*" }

// hearing reads the messages that a client receives.
type hearing struct {
	c    *client.Client
	from chat.Name
	rest []chat.Message
}

func (h *hearing) next(ctx context.Context) (chat.Name, chat.Message, error) {
	if len(h.rest) == 0 {
		e, err := await[client.Texts](ctx, h.c)
		if err != nil {
			return "", chat.Message{}, err
		}
		h.from, h.rest = e.From, e.Messages
	}
	m := h.rest[0]
	h.rest = h.rest[1:]
	return h.from, m, nil
}
