package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// firstHello says hello on a new connection. Another terminal that comes meanwhile has it cut,
// and it comes back at another place.
func (c *Client) firstHello(ctx context.Context, nc *nats.Conn, q chat.HelloRequest) (chat.HelloReply, error) {
	for until := time.Now().Add(callFor); ; c.pause() {
		hello, err := c.hello(ctx, q)
		again := errors.Is(err, &chat.Error{Code: chat.NotConnected}) || errors.Is(err, &chat.Error{Code: chat.Timeout})
		if !again || nc.IsClosed() || time.Now().After(until) || ctx.Err() != nil {
			return hello, err
		}
	}
}

// hello says who is here, and asks what has become of everything.
func (c *Client) hello(ctx context.Context, q chat.HelloRequest) (chat.HelloReply, error) {
	q.Proto, q.Name, q.Terminal, q.Identity = chat.Proto, c.me, c.terminal, c.key.kept.PublicIdentity()
	if nc := c.conn(); nc != nil {
		q.Place = place(nc)
	}
	c.mu.Lock()
	c.at = q.Place
	q.Presence = c.presence
	for id, k := range c.known {
		if k.session.State != chat.Closed {
			q.Sessions = append(q.Sessions, id)
		}
	}
	c.mu.Unlock()
	reply, err := call(ctx, c, chat.Hello, q)
	if err == nil {
		c.welcomed(reply)
	}
	return reply, err
}

// welcomed notes what the answer to a hello says of the user.
func (c *Client) welcomed(reply chat.HelloReply) {
	c.seen(reply.Revision)
	c.setBlocks(reply.Blocks)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came = reply.Came
}

// missed are the chats that an earlier run of the program did not see the end of, as far as
// the coordinator remembers them. Who is still here on another terminal has been told there.
func (c *Client) missed(hello chat.HelloReply) []chat.Session {
	if hello.Back {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(hello.Sessions), func(s chat.Session) bool {
		return s.State != chat.Closed || s.Reason != chat.ByLoss || !slices.Contains(s.By, c.me.User())
	})
}

// place is where a connection is; nil while it is down.
func place(nc *nats.Conn) *chat.Place {
	id, err := nc.GetClientID()
	server := nc.ConnectedServerId()
	if err != nil || server == "" { // it went down between the two
		return nil
	}
	return &chat.Place{Server: server, Connection: id}
}
