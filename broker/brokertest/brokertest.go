// Package brokertest gives each test a real NATS server of its own, set up as in
// production, and connections to it with exactly the rights of those who would
// hold them.
//
// A connection asks the server itself what it may do (MayPublish, MaySubscribe):
// no test waits for a violation that may or may not come.
package brokertest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"natter/broker/embedded"
	"natter/broker/ticket"
	"natter/chat"

	"github.com/nats-io/nats.go"
)

// Run starts a server that keeps nothing, on a free port, and stops it with the
// test.
func Run(t testing.TB) *embedded.Server {
	t.Helper()
	return RunIn(t, "")
}

// RunIn is Run with a data directory.
func RunIn(t testing.TB, dir string) *embedded.Server {
	t.Helper()
	return RunConfig(t, embedded.Config{DataDir: dir})
}

// RunConfig is Run with everything chosen; without a Listen the port is free. A
// test that restarts a server where it was gives its Addr.
func RunConfig(t testing.TB, cfg embedded.Config) *embedded.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	srv, err := embedded.Start(cfg)
	if err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	t.Cleanup(srv.Stop)
	return srv
}

// Conn is a connection that collects what the server refuses it.
type Conn struct {
	*nats.Conn
	Key string // public key of the connection: client.user in the server's events

	mu      sync.Mutex
	refused []string
}

// User connects as a user.
func User(t testing.TB, srv *embedded.Server, u chat.User) *Conn {
	t.Helper()
	return Dial(t, srv, chat.UserGrant(u), chat.Inbox(u))
}

// Member connects as a member of one channel of a session.
func Member(t testing.TB, srv *embedded.Server, u chat.User, channel string) *Conn {
	t.Helper()
	return Dial(t, srv, chat.MemberGrant(u, channel), chat.MemberInbox(u, channel))
}

// Observer connects as the nats CLI does with the observer's credentials.
func Observer(t testing.TB, srv *embedded.Server) *Conn {
	t.Helper()
	creds, err := srv.Minter().NewCredsFor(func(key string) chat.Grant { return chat.ObserverGrant(chat.ObserverInbox(key)) }, time.Hour, time.Now())
	if err != nil {
		t.Fatalf("minting a ticket: %v", err)
	}
	return dial(t, srv, creds, chat.ObserverInbox(creds.User))
}

// Operator connects as chatcoord's own verbs do.
func Operator(t testing.TB, srv *embedded.Server) *Conn {
	t.Helper()
	return Dial(t, srv, chat.OperatorGrant(), chat.AdminInbox)
}

// Lobby connects with no credentials at all.
func Lobby(t testing.TB, srv *embedded.Server) *Conn {
	t.Helper()
	return connect(t, srv, &Conn{}, nats.CustomInboxPrefix(chat.LobbyInbox))
}

// Dial connects over TCP with a ticket for g, bound to a new key.
func Dial(t testing.TB, srv *embedded.Server, g chat.Grant, inbox string, opts ...nats.Option) *Conn {
	t.Helper()
	creds, err := srv.Minter().NewCreds(g, time.Hour, time.Now())
	if err != nil {
		t.Fatalf("minting a ticket: %v", err)
	}
	return dial(t, srv, creds, inbox, opts...)
}

func dial(t testing.TB, srv *embedded.Server, creds *ticket.Creds, inbox string, opts ...nats.Option) *Conn {
	t.Helper()
	all := []nats.Option{
		nats.UserJWT(func() (string, error) { return creds.JWT, nil }, creds.Key.Sign),
		nats.CustomInboxPrefix(inbox),
	}
	return connect(t, srv, &Conn{Key: creds.User}, append(all, opts...)...)
}

func connect(t testing.TB, srv *embedded.Server, c *Conn, opts ...nats.Option) *Conn {
	t.Helper()
	all := []nats.Option{
		nats.Name(t.Name()),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.MaxReconnects(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.collect(err) }),
	}
	nc, err := nats.Connect(srv.URL(), append(all, opts...)...)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(nc.Close)
	c.Conn = nc
	return c
}

func (c *Conn) collect(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, err.Error())
}

// Refused returns what the server has refused so far and nats.go has reported.
func (c *Conn) Refused() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.refused...)
}

// MayPublish publishes an empty message on a subject and reports whether the server
// let it through.
func (c *Conn) MayPublish(t testing.TB, subject string) bool {
	t.Helper()
	if err := c.Publish(subject, nil); err != nil {
		t.Fatalf("publishing on %s: %v", subject, err)
	}
	return !c.violates(t, `for publish to "`+subject+`"`)
}

// MaySubscribe subscribes to a subject, in a queue group if there is one, and
// reports whether the server let it. The subscription is taken back.
func (c *Conn) MaySubscribe(t testing.TB, subject, queue string) bool {
	t.Helper()
	sub, err := c.QueueSubscribeSync(subject, queue)
	if err != nil {
		t.Fatalf("subscribing to %s: %v", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	what := `for subscription to "` + subject + `"`
	if queue != "" {
		what += ` using queue "` + queue + `"`
	}
	return !c.violates(t, what)
}

// violates waits until the server has dealt with everything sent, and tells
// whether what it last complained about ends with what. The server answers in
// order, and nats.go notes a complaint before it goes on reading.
func (c *Conn) violates(t testing.TB, what string) bool {
	t.Helper()
	if err := c.Flush(); err != nil {
		t.Fatalf("waiting for the server: %v", err)
	}
	err := c.LastError()
	return err != nil && strings.HasSuffix(strings.ToLower(err.Error()), strings.ToLower(what))
}
