package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/keyfile"
	"natter/session/delivery"
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
	cfg    Config
	log    *slog.Logger
	events *queue

	ctx    context.Context // the client's life
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ends   sync.WaitGroup // sessions that everybody has said bye to
	work   chan func()    // what changes sessions, in order; only the worker runs it

	me       chat.Name
	key      *key
	unlocked *keyfile.File // the one that was decrypted last
	rotating bool          // this client changes the login key, and nothing else
	once     sync.Once

	side    nkeys.KeyPair // of a connection beside the user's terminals; nil: this is one of them
	listens bool          // beside them, to what they hear

	spare nkeys.KeyPair // of a name that has no key yet: see shareKey

	mu        sync.Mutex
	lobby     *nats.Conn // until a name is taken
	early     *nats.Conn // the user's connection, made by Dial with a kept ticket, until Enter
	nc        *nats.Conn // the user's connection
	ticket    chat.Ticket
	goodUntil time.Time // is the ticket
	presented string    // the ticket that a server was shown last
	rules     chat.Rules
	presence  chat.Presence
	watching  bool
	revision  uint64 // the newest that the user has seen

	installation string // of revision, and of all that is known
	moved        bool   // it is another one than before, which has not been told yet

	lostAt  time.Time // by awake
	warned  bool      // that the connection would not be safe
	unknown bool      // the coordinator has forgotten the user, who is about to say hello again

	wasForgotten bool // that hello has not been answered yet
	waited       int  // messages said since then
	away         bool // the coordinator does not answer
	known        map[string]known
	open         string         // id of the open session
	talk         *delivery.Conn // of the open session
	directs      directs
	unsaid       map[string]chat.Reason // sessions ended without a connection

	pulse     pulse
	reblocked chan struct{} // whom the user blocks may have changed
	voided    chan struct{} // the server does not accept the ticket
	dead      chan struct{} // the connection was closed for good
	terminal  string        // of this run, or of its last takeover
	over      bool          // the next name is taken over from another terminal

	// guarded by mu
	blocks    []chat.Block
	at        *chat.Place // where the last hello came from
	came      uint64      // and the revision of that
	signedOut bool        // nothing is to be heard any more
	exiting   bool        // the user has asked to be out
	spent     bool        // the pass: see PassSpent
	anew      bool        // the lobby has let the user in again, who was not present any more
}

// known is a session as the user last heard of it.
type known struct {
	session  chat.Session
	revision uint64
}

// Dial reaches the server. Its error is a *chat.Error with code NotConnected.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		cfg: cfg, log: cfg.Log, events: newQueue(cfg.keep), work: make(chan func(), 256),
		presence: cfg.Presence, known: map[string]known{}, directs: newDirects(), unsaid: map[string]chat.Reason{},
		reblocked: make(chan struct{}, 1), voided: make(chan struct{}, 1), dead: make(chan struct{}, 1), terminal: rand.Text(), over: cfg.Takeover,
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if c.early = c.dialKept(ctx); c.early != nil {
		return c, nil
	}
	lobby, err := c.dialLobby(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.lobby = lobby
	return c, nil
}

// takeConn takes a connection out of its field.
func (c *Client) takeConn(field **nats.Conn) *nats.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	nc := *field
	*field = nil
	return nc
}

// handshakeFor is how long a server may take to let a user in that it knows. When thousands
// come back at once all of them are served at the same time, and none for long: who gives up
// early makes the server do the work again, and more of it each time.
const handshakeFor = 10 * time.Second

// Server is the URL that the client was given, without a password.
func (c *Client) Server() string { return broker.Redact(c.cfg.URL) }

// Me is the name that Enter took.
func (c *Client) Me() chat.Name { return c.me }

// Events is where everything that the user should hear comes out. It is closed
// when the client is. A reader that is slow slows nobody.
func (c *Client) Events() <-chan Event { return c.events.out }

// Online tells whether the connection to the server is up.
func (c *Client) Online() bool {
	nc := c.conn()
	return nc != nil && nc.IsConnected()
}

// Presence is what was chosen last.
func (c *Client) Presence() chat.Presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.presence
}

func (c *Client) conn() *nats.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc
}

func (c *Client) keyFile(name chat.Name) string {
	switch {
	case c.cfg.KeyFile != "":
		return c.cfg.KeyFile
	case c.cfg.KeyDir != "":
		return filepath.Join(c.cfg.KeyDir, string(name.User())+".key")
	}
	return ""
}

// Close closes the client without a goodbye: the name is kept for the grace time.
func (c *Client) Close() {
	c.once.Do(func() {
		c.cancel()
		for _, nc := range []*nats.Conn{c.takeConn(&c.lobby), c.takeConn(&c.early), c.conn()} {
			if nc != nil {
				nc.Close()
			}
		}
		c.wg.Wait() // nobody begins a session any more
		c.mu.Lock()
		talk := c.talk
		c.talk = nil
		c.mu.Unlock()
		if talk != nil {
			talk.Close(true)
		}
		c.ends.Wait()
		c.cfg.Transcript.Close()
		c.events.close()
	})
}

// Exit ends what is open, gives the name free and closes the client.
func (c *Client) Exit(ctx context.Context) error {
	defer c.Close()
	if c.conn() == nil || c.side != nil {
		return nil
	}
	if s, ok := c.Session(); ok {
		end := c.Quit
		if s.Group() {
			end = c.Leave
		}
		if err := end(ctx); err != nil {
			c.log.Debug("end the session at exit", "err", err)
		}
	}
	for _, s := range c.proposals() {
		if err := c.Withdraw(ctx, s.ID); err != nil {
			c.log.Debug("withdraw at exit", "err", err)
		}
	}
	err := c.sayExit(ctx)
	c.forgetTicket() // it is void
	return err
}

// sayExit asks to be out. Who is unknown is: an earlier try may have been carried out by a
// coordinator that could not answer any more, or on a connection that was lost meanwhile, which
// is waited for then.
func (c *Client) sayExit(ctx context.Context) error {
	c.mu.Lock()
	c.exiting = true
	c.mu.Unlock()
	ask := func() error {
		err := c.current(ctx, func(revision uint64, home string) error {
			_, err := call(ctx, c, chat.Exit, chat.ExitRequest{Revision: revision, Installation: home})
			return err
		})
		if errors.Is(err, &chat.Error{Code: chat.NotRegistered}) {
			return nil
		}
		return err
	}
	online := c.Online()
	err := ask()
	if online && errors.Is(err, &chat.Error{Code: chat.NotConnected}) {
		err = ask()
	}
	return err
}

// current asks for what is refused when it was asked for before the last change of the user's
// record (see presence.Stale). Of a change that the user has not heard of, for example that
// they were taken for lost, or that an earlier try of their hello was carried out later than
// another one, a hello tells.
func (c *Client) current(ctx context.Context, ask func(revision uint64, home string) error) (err error) {
	for range tries {
		if err = ask(c.knows(), c.home()); !errors.Is(err, &chat.Error{Code: chat.Outdated}) {
			break
		}
		if _, err := c.hello(ctx, chat.HelloRequest{}); err != nil {
			return err
		}
	}
	return err
}

// proposals are the user's own invitations that wait.
func (c *Client) proposals() []chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var mine []chat.Session
	for _, k := range c.known {
		if k.session.State == chat.Proposed && k.session.Host == c.me.User() {
			mine = append(mine, k.session)
		}
	}
	return mine
}

// call asks the coordinator on the user's connection.
func call[Q, R any](ctx context.Context, c *Client, r chat.Request[Q, R], q Q) (R, error) {
	var none R
	nc := c.conn()
	if nc == nil {
		return none, chat.Errorf(chat.NotRegistered, "You are not registered.")
	}
	asker := ctx
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	awaitConnection(ctx, nc)
	reply, err := rpc.Call(ctx, nc, r, chat.Address{User: c.me.User()}, q)
	silent := errors.Is(err, &chat.Error{Code: chat.Timeout})
	c.mu.Lock()
	changed := silent != c.away
	if errors.Is(err, &chat.Error{Code: chat.NotConnected}) || silent && asker.Err() != nil {
		changed = false // nothing was heard of the coordinator, or it was not given its time
	}
	if changed {
		c.away = silent
	}
	c.mu.Unlock()
	switch {
	case changed && silent:
		c.events.push(CoordinatorAway{})
	case changed:
		c.events.push(CoordinatorBack{})
	}
	if errors.Is(err, &chat.Error{Code: chat.NotRegistered}) && staying(q) && c.side == nil {
		c.forgotten()
	}
	return reply, err
}

// staying tells whether who asks for something wants to be known afterwards, and has yet to
// say hello.
func staying(q any) bool {
	switch q.(type) {
	case chat.HelloRequest, chat.ExitRequest:
		return false
	}
	return true
}

const (
	tries        = 3                // of what was refused as outdated
	callFor      = 10 * time.Second // an answer is waited for so long
	connectedFor = 2 * time.Second  // and a connection that is on its way back
)

// awaitConnection gives a lost connection a moment to come back.
func awaitConnection(ctx context.Context, nc *nats.Conn) {
	if nc.IsConnected() {
		return
	}
	up := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(up)
	ctx, cancel := context.WithTimeout(ctx, connectedFor)
	defer cancel()
	for !nc.IsConnected() && ctx.Err() == nil {
		select {
		case <-up:
		case <-ctx.Done():
		}
	}
}

// inOrder has the worker run something and waits for it.
func (c *Client) inOrder(f func()) {
	done := make(chan struct{})
	select {
	case c.work <- func() { f(); close(done) }:
	case <-c.ctx.Done():
		return
	}
	select {
	case <-done:
	case <-c.ctx.Done():
	}
}

// start begins the client's own goroutine.
func (c *Client) start() {
	c.wg.Go(func() {
		for {
			select {
			case f := <-c.work:
				f()
			case <-c.ctx.Done():
				return
			}
		}
	})
}

// knows is the newest revision that the user has seen.
func (c *Client) knows() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revision
}

// seen notes a revision, so that lists are never older than what the user knows.
func (c *Client) seen(revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision = max(c.revision, revision)
}

// SetPresence chooses whether others see the user.
func (c *Client) SetPresence(ctx context.Context, visible bool) error {
	p := chat.HiddenAway
	if visible {
		p = chat.Visible
	}
	if c.Presence() == p {
		return nil
	}
	err := c.current(ctx, func(revision uint64, home string) error {
		done, err := call(ctx, c, chat.SetPresence, chat.PresenceRequest{Presence: p, Revision: revision, Installation: home})
		c.seen(done.Revision)
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.presence = p
	c.mu.Unlock()
	return nil
}

// List asks for the roster. Code Hidden if the user is hidden.
func (c *Client) List(ctx context.Context) ([]chat.Entry, error) { return c.list(ctx, false) }

// Watch is List, and from then on PresenceChanged events come.
func (c *Client) Watch(ctx context.Context) ([]chat.Entry, error) { return c.list(ctx, true) }

func (c *Client) list(ctx context.Context, watch bool) ([]chat.Entry, error) {
	c.mu.Lock()
	q := chat.ListRequest{Revision: c.revision, Installation: c.installation, Watch: watch}
	c.mu.Unlock()
	reply, err := call(ctx, c, chat.List, q)
	if err != nil {
		return nil, err
	}
	c.seen(reply.Revision)
	c.mu.Lock()
	c.watching = c.watching || watch
	c.mu.Unlock()
	return reply.Users, nil
}

func (c *Client) fault(what string, err error) {
	c.log.Error(what, "user", c.me, "err", fmt.Sprint(err))
}
