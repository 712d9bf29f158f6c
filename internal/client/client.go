package client

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/internal/keyfile"
	"natter/session/transcript"
)

// Config says where the server is and where keys are kept.
type Config struct {
	URL        string        // of a NATS server, or several with commas
	KeyDir     string        // a key file per name, NAME.key; "" keeps keys in memory only
	KeyFile    string        // this file instead (--key)
	Passphrase string        // of the key, if it is known: what has another one is then refused, and not asked for
	Name       string        // who will enter, if that is known: a ticket that is still good then saves the lobby
	Presence   chat.Presence // what will be chosen, if that is known: hello then says it as well
	Known      bool          // only a name that is the user's already: none is taken for the first time
	MustKeep   bool          // no name is taken whose key cannot be kept in KeyDir
	Takeover   bool          // another terminal of the user is signed out without a question
	Wait       time.Duration // keep trying so long at the start (--wait-server)
	Sent       bool          // tell what becomes of each message, by Sent events
	Creds      string        // file with the lobby's JWT, for a server that lets nobody in without one; "" needs none
	Sentinel   string        // the JWT itself instead, as links have it
	Pass       string        // from a link: lets a new user in
	Seed       string        // of the login key of a name that has none yet; "" makes one
	Options    []nats.Option // TLS and the like
	Log        *slog.Logger  // nil: nothing is logged

	Transcript *transcript.Keeper // of the user's own chats; nil: none. Close closes it
}

// Client is one user at one server.
type Client struct {
	*owner
	link    *link
	lobby   *lobby
	login   *login
	chats   *chats
	directs *directs
	blocks  *blocks

	once  sync.Once   // Close
	spent atomic.Bool // the pass: see PassSpent
}

// Dial reaches the server. Its error is a *chat.Error with code NotConnected.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c := newClient(cfg)
	if c.link.early = c.link.dialKept(ctx); c.link.early != nil {
		return c, nil
	}
	lobby, err := c.lobby.dial(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.lobby.nc = lobby
	return c, nil
}

func newClient(cfg Config) *Client {
	o := &owner{shared: newShared(cfg), terminal: rand.Text(), over: cfg.Takeover}
	c := &Client{owner: o, lobby: &lobby{owner: o}, blocks: newBlocks()}
	c.link = &link{owner: o, lobby: c.lobby, blocks: c.blocks, receive: c.receive, voided: make(chan struct{}, 1), dead: make(chan struct{}, 1)}
	c.login = &login{owner: o, link: c.link, blocks: c.blocks, presence: cfg.Presence}
	c.chats = &chats{owner: o, link: c.link, login: c.login, known: map[string]known{}, unsaid: map[string]chat.Reason{}}
	c.link.login, c.login.chats = c.login, c.chats
	c.directs = newDirects(o, c.link, c.login, c.blocks)
	return c
}

// Server is the URL that the client was given, without a password.
func (c *Client) Server() string { return c.server() }

// Me is the name that Enter took.
func (c *Client) Me() chat.Name { return c.me }

// Events is where everything that the user should hear comes out. It is closed
// when the client is. A reader that is slow slows nobody.
func (c *Client) Events() <-chan Event { return c.events.out }

// Online tells whether the connection to the server is up.
func (c *Client) Online() bool { return c.link.online() }

// Presence is what was chosen last.
func (c *Client) Presence() chat.Presence { return c.login.chosen() }

// SetPresence chooses whether others see the user.
func (c *Client) SetPresence(ctx context.Context, visible bool) error {
	return c.login.setPresence(ctx, visible)
}

// List asks for the roster. Code Hidden if the user is hidden.
func (c *Client) List(ctx context.Context) ([]chat.Entry, error) { return c.login.list(ctx, false) }

// Watch is List, and from then on PresenceChanged events come.
func (c *Client) Watch(ctx context.Context) ([]chat.Entry, error) { return c.login.list(ctx, true) }

// Unlock tries a passphrase for the key of a name that Enter has refused with code Auth.
// The same code says that it is not the one.
func (c *Client) Unlock(name, passphrase string) error {
	n, err := chat.ParseName(name)
	if err != nil {
		return err
	}
	file := c.keyFile(n)
	if passphrase == "" {
		return keyfile.WrongPassphrase(file)
	}
	kept, err := keyfile.Read(file, passphrase)
	if err == nil {
		c.unlocked = kept
	}
	return err
}

// Close closes the client without a goodbye: the name is kept for the grace time.
func (c *Client) Close() {
	c.once.Do(func() {
		c.cancel()
		c.lobby.leave()
		c.link.close()
		c.wg.Wait() // nobody begins a session any more
		c.chats.close()
		c.cfg.Transcript.Close()
		c.events.close()
	})
}

// Exit ends what is open, gives the name free and closes the client.
func (c *Client) Exit(ctx context.Context) error {
	defer c.Close()
	if c.link.conn() == nil || c.side != nil {
		return nil
	}
	if s, ok := c.Open(); ok {
		end := s.Quit
		if s.Record().Group() {
			end = s.Leave
		}
		if err := end(ctx); err != nil {
			c.log.Debug("end the session at exit", "err", err)
		}
	}
	for _, s := range c.chats.proposals() {
		if err := c.Withdraw(ctx, s.ID); err != nil {
			c.log.Debug("withdraw at exit", "err", err)
		}
	}
	err := c.login.sayExit(ctx)
	c.link.forgetTicket() // it is void
	return err
}

// receive takes what comes in on the user's connection.
func (c *Client) receive(m *nats.Msg) {
	r, a, ok := chat.Parse(m.Subject)
	if !ok {
		return
	}
	switch r {
	case chat.UserSession.Route:
		notify(c, m, func(n chat.SessionNotice) {
			c.later(func() { c.chats.noticed(n) })
		})
	case chat.UserPresence.Route:
		notify(c, m, c.presenceChanged)
	case chat.UserHeld.Route:
		notify(c, m, func(n chat.HeldNotice) {
			if n.Invitations > 0 {
				c.events.push(InvitationsHeld{n.Invitations})
			}
		})
	case chat.UserServer.Route:
		notify(c, m, c.login.served)
	case chat.Direct.Route:
		notify(c, m, func(d chat.DirectMessage) { c.directs.step(a.User, d) })
	}
}
