package client

import (
	"context"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
)

// Renew is what happens three quarters of a ticket's life after it was made.
func (c *Client) Renew() error { return c.link.renew() }

// EndLater is the end of a chat that could not be told when it was asked for.
func (c *Client) EndLater() {
	s, _ := c.Open()
	c.chats.endHere(s.ID(), chat.ByQuit)
}

// AtOnce reports whether Dial did without the lobby.
func (c *Client) AtOnce() bool { return c.lobby.nc == nil && c.link.early != nil }

// AskRotate asks for a change of keys as it stands, before Enter.
func (c *Client) AskRotate(ctx context.Context, q chat.RotateRequest) error {
	_, err := rpc.Call(ctx, c.link.early, chat.Rotate, chat.Address{User: c.me.User()}, q)
	return err
}

// Present has the client show another ticket to the server, on a new connection.
func (c *Client) Present(mint func(key string) (chat.Ticket, error)) error {
	t, err := mint(c.key.public)
	if err != nil {
		return err
	}
	c.link.setTicket(t, life(t))
	return c.link.conn().ForceReconnect()
}

// Hear is what a hello's answer tells of sessions.
func (c *Client) Hear(hello chat.HelloReply) { c.inOrder(func() { c.chats.applyAll(hello) }) }

// SignOut is what becomes of a terminal when another one has taken its place.
func (c *Client) SignOut() { c.inOrder(func() { c.login.signOut(SignedOut{Elsewhere: true}) }) }

// FetchMailbox fetches the mailbox of a session.
func (c *Client) FetchMailbox(ctx context.Context, id string) error {
	return (&Session{chats: c.chats, id: id}).fetch(ctx, id, nil)
}

// Cut has the user's connection come back as another one.
func (c *Client) Cut() error { return c.link.conn().ForceReconnect() }

// Welcomed is the answer to a hello.
func (c *Client) Welcomed(hello chat.HelloReply) { c.login.welcomed(hello) }

// Served is what the server says, and returns when its events are told.
func (c *Client) Served(n chat.ServerNotice) {
	c.login.served(n)
	c.inOrder(func() {})
}

// Disconnected is what the library says when the connection is lost.
func (c *Client) Disconnected() { c.link.disconnected(c.link.conn(), nil) }

// Left is how long a ticket is good, in the client's eyes, that it was just given.
func (c *Client) Left(t chat.Ticket) time.Duration {
	c.link.setTicket(t, life(t))
	return time.Until(c.link.goodUntil)
}

// HearLate has a session be heard of as if nothing had been heard of it before.
func (c *Client) HearLate(s chat.Session, revision uint64) {
	c.inOrder(func() {
		c.chats.mu.Lock()
		delete(c.chats.known, s.ID)
		c.chats.mu.Unlock()
		c.chats.apply(s, revision)
	})
}

// SayExit asks to be out, of which nothing more is heard.
func (c *Client) SayExit(ctx context.Context) error { return c.login.sayExit(ctx) }

// SayHello is a try of the first hello that is carried out late.
func (c *Client) SayHello(ctx context.Context) error {
	_, err := c.login.hello(ctx, chat.HelloRequest{})
	return err
}

// Settle returns when all that was left to do later is done.
func (c *Client) Settle() { c.inOrder(func() {}) }

// KnowLess has the client forget what it has heard of its own record.
func (c *Client) KnowLess() {
	c.login.mu.Lock()
	defer c.login.mu.Unlock()
	c.login.revision = 1
}

// Dialled has something done when the next connection of the user is dialled.
func (c *Client) Dialled(do func()) {
	c.cfg.Options = append(c.cfg.Options, nats.SetCustomDialer(dialer(do)))
}

type dialer func()

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	d()
	return net.Dial(network, address)
}

// BlockedInTicket are the users whose direct messages the present ticket keeps away.
func (c *Client) BlockedInTicket() []chat.User { return c.link.held().Blocked }
