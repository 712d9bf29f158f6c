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
		c.mu.Lock()
		reply.Back = reply.Back && !c.anew
		c.anew = false
		c.mu.Unlock()
	}
	return reply, err
}

// again says hello after a lost connection, until the coordinator answers.
func (c *Client) again() {
	for strange := 0; c.ctx.Err() == nil; {
		hello, err := c.hello(c.ctx, chat.HelloRequest{})
		var told *chat.Error
		switch {
		case err == nil && c.owes():
			c.sayUnsaid() // and ask again what is left
		case err == nil:
			c.backAgain(hello)
			return
		case errors.Is(err, &chat.Error{Code: chat.NotConnected}) && !c.Online():
			return // the next reconnect says it
		case errors.Is(err, &chat.Error{Code: chat.NotConnected}): // renew has closed the connection and made another one
		case errors.Is(err, &chat.Error{Code: chat.SignedIn}):
			c.signOut(SignedOut{Elsewhere: true})
			return
		case errors.As(err, &told) && told.Wait > 0: // nothing can be stored now
			c.rest(told.Wait)
		case errors.As(err, &told) && passing[told.Code]:
			c.pause()
		case errors.Is(err, &chat.Error{Code: chat.NotRegistered}) && c.leaves():
			return
		case errors.Is(err, &chat.Error{Code: chat.NotRegistered}) && strange < tries:
			strange++
			if !c.registerAgain() {
				return
			}
		case errors.As(err, &told):
			c.signOut(SignedOut{Reason: told.Text})
			return
		}
	}
}

// passing are refusals of a hello that are no last word: what the user has asked for and
// was not answered counts as well against how much they may ask at once.
var passing = map[chat.Code]bool{chat.Timeout: true, chat.Internal: true, chat.Rate: true}

// pause lets the coordinator get on.
func (c *Client) pause() { c.rest(200 * time.Millisecond) }

func (c *Client) rest(wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-c.ctx.Done():
	}
}

// leaves tells whether the user has asked to be out.
func (c *Client) leaves() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exiting
}

// owes tells whether something was ended while nobody could hear it.
func (c *Client) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unsaid) > 0
}

// welcomed notes what the answer to a hello says of the user.
func (c *Client) welcomed(reply chat.HelloReply) {
	c.settleIn(reply)
	c.seen(reply.Revision)
	c.setBlocks(reply.Blocks)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came = reply.Came
}

// missed are the chats that an earlier run of the program did not see the end of, as far as
// the coordinator remembers them. Who is back was not away for too long.
func (c *Client) missed(hello chat.HelloReply) []chat.Session {
	return slices.DeleteFunc(slices.Clone(hello.Sessions), func(s chat.Session) bool {
		return s.State != chat.Closed || s.AwayTooLong(c.me.User()) == hello.Back
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
