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

// Config says where the server is, who enters, and how. Only URL must be set.
type Config struct {
	URL     string        // of a NATS server, or several with commas
	Wait    time.Duration // how long Dial tries to reach it; 0: once
	Options []nats.Option // TLS and the like
	Log     *slog.Logger  // neither secrets nor texts; nil: nothing is logged

	// The key.

	KeyDir     string // a key file per name, NAME.key; "" keeps keys in memory only
	KeyFile    string // this file instead, for whatever name
	Passphrase string // of the key, if it is known: a key with another one is then refused with code Denied, not Auth
	MustKeep   bool   // no name is taken whose key cannot be kept in KeyDir
	Seed       string // of the login key of a name that has none yet, see NewSeed; "" makes one

	// Who enters.

	Name     string        // who will enter, if that is known: a ticket that is still good then saves a request
	Presence chat.Presence // what will be chosen, if that is known: it is told with the first hello
	Known    bool          // only a name that is the user's already: none is taken for the first time
	Takeover bool          // another terminal of the user is signed out without a question

	// What a server may want of strangers.

	Creds    string // a file with the JWT that it lets people in with; "" needs none
	Sentinel string // the JWT itself instead
	Pass     string // of an invitation link: lets a new user in

	// What is told and kept.

	Sent       bool               // tell what becomes of each message, by Sent events
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

	once    sync.Once   // Close
	entered atomic.Bool // a name
	spent   atomic.Bool // the pass: see PassSpent
}

// Dial reaches the server; it takes no name. Code NotConnected if there is none, Denied if it
// wants other credentials, Arguments if the credentials in cfg are not valid. The caller must
// call Close or Exit.
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

// Server is Config.URL without a password.
func (c *Client) Server() string { return c.server() }

// Me is the name that was entered; "" before.
func (c *Client) Me() chat.Name { return c.me }

// Events is where everything that the user should hear comes out. It is closed
// when the client is. A reader that is slow slows nobody: up to 32 MB of texts wait for it, and
// nothing more is taken from others while 16 MB do.
func (c *Client) Events() <-chan Event { return c.events.out }

// Online reports whether the connection to the server is up.
func (c *Client) Online() bool { return c.link.online() }

// Presence is what was chosen last, by SetPresence or in an earlier run.
func (c *Client) Presence() chat.Presence { return c.login.chosen() }

// SetPresence chooses whether others see the user. The coordinator remembers it.
func (c *Client) SetPresence(ctx context.Context, visible bool) error {
	return c.login.setPresence(ctx, visible)
}

// List asks for the users whom the user may see, by name. Code Hidden if the user is hidden.
func (c *Client) List(ctx context.Context) ([]chat.Entry, error) { return c.login.list(ctx, false) }

// Watch is List, and from then on PresenceChanged events come, also after a lost connection.
func (c *Client) Watch(ctx context.Context) ([]chat.Entry, error) { return c.login.list(ctx, true) }

// Unlock tries a passphrase for the key of a name that Enter has refused with code Auth. It returns
// the same code for a wrong passphrase.
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

// Close closes the client without a goodbye, and returns when all its goroutines have ended. The
// user is present for the grace time (chat.Rules): a client that enters the name before that is
// over takes part in the open chat again.
func (c *Client) Close() {
	c.once.Do(func() {
		c.cancel()
		c.lobby.leave()
		c.link.close()
		c.wg.Wait() // no session begins from now on
		c.chats.close()
		c.cfg.Transcript.Close()
		c.events.close()
	})
}

// Exit quits the open session, or leaves it if it is a group, takes the user's invitations back,
// says goodbye and closes the client, also with an error. The name stays the user's.
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

// receive handles messages on the user's connection.
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
