package client

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// firstHello says hello on a new connection. If another terminal comes meanwhile, the connection is
// closed and comes back at another place.
func (g *login) firstHello(ctx context.Context, nc *nats.Conn, q chat.HelloRequest) (chat.HelloReply, error) {
	for until := time.Now().Add(callFor); ; g.pause() {
		hello, err := g.hello(ctx, q)
		again := errors.Is(err, &chat.Error{Code: chat.NotConnected}) || errors.Is(err, &chat.Error{Code: chat.Timeout})
		if !again || nc.IsClosed() || time.Now().After(until) || ctx.Err() != nil {
			return hello, err
		}
	}
}

// hello says hello and asks for everything.
func (g *login) hello(ctx context.Context, q chat.HelloRequest) (chat.HelloReply, error) {
	q.Proto, q.Name, q.Terminal, q.Identity = chat.Proto, g.me, g.terminal, g.key.kept.PublicIdentity()
	if nc := g.link.conn(); nc != nil {
		q.Place = place(nc)
	}
	q.Sessions = g.chats.going()
	g.mu.Lock()
	g.at = q.Place
	q.Presence = g.presence
	g.mu.Unlock()
	reply, err := call(ctx, g.link, chat.Hello, q)
	if err == nil {
		g.welcomed(reply)
		g.mu.Lock()
		reply.Back = reply.Back && !g.anew
		g.anew = false
		g.mu.Unlock()
	}
	return reply, err
}

// again says hello after a lost connection, until the coordinator answers.
func (g *login) again() {
	for strange := 0; g.ctx.Err() == nil; {
		hello, err := g.hello(g.ctx, chat.HelloRequest{})
		var told *chat.Error
		switch {
		case err == nil && g.chats.owes():
			g.chats.sayUnsaid() // and ask again for the rest
		case err == nil:
			g.backAgain(hello)
			return
		case errors.Is(err, &chat.Error{Code: chat.NotConnected}) && !g.link.online():
			return // the next reconnect says hello
		case errors.Is(err, &chat.Error{Code: chat.NotConnected}): // renew has closed the connection and made another one
		case errors.Is(err, &chat.Error{Code: chat.SignedIn}):
			g.signOut(SignedOut{Elsewhere: true})
			return
		case errors.As(err, &told) && told.Wait > 0: // nothing can be stored now
			g.rest(told.Wait)
		case errors.As(err, &told) && passing[told.Code]:
			g.pause()
		case errors.Is(err, &chat.Error{Code: chat.NotRegistered}) && g.leaves():
			return
		case errors.Is(err, &chat.Error{Code: chat.NotRegistered}) && strange < tries:
			strange++
			if !g.registerAgain() {
				return
			}
		case errors.As(err, &told):
			g.signOut(SignedOut{Reason: told.Text})
			return
		}
	}
}

// forgotten says hello again on a connection that is up: the user's server was cut off
// from the others for longer than the coordinator waits.
func (g *login) forgotten() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unknown {
		return
	}
	hello := func() {
		g.mu.Lock()
		g.unknown, g.wasForgotten = false, true
		g.mu.Unlock()
		g.again()
	}
	g.unknown = g.offer(hello) // else the worker is busy, and may be who asks; the next request says it
}

// backAgain adds events for everything that has changed.
func (g *login) backAgain(hello chat.HelloReply) {
	lost, after := g.link.cameBack()
	g.mu.Lock()
	forgotten, moved := g.wasForgotten, g.moved
	g.wasForgotten, g.moved = false, false
	wanted, watching := g.presence, g.watching
	g.mu.Unlock()
	connected := Connected{Server: g.server(), After: after}
	if !lost {
		connected = Connected{Server: g.server(), Forgotten: true}
	}
	connected.Moved = moved
	if open := g.chats.current(); open != nil {
		now, waited := g.chats.sessionIn(hello, open.id), open.takeWaited()
		if now.State == chat.Open || len(now.Present()) == len(now.Members) { // else the mailbox is fetched before the end is told
			connected.Chat = &now
		}
		if now.State == chat.Open {
			connected.Sent = waited
		}
	}
	if lost || forgotten || moved {
		g.events.push(connected)
	}
	g.chats.applyAll(hello)
	if hello.Presence != wanted && wanted != chat.Undecided {
		if err := g.setPresence(g.ctx, wanted == chat.Visible); err != nil {
			g.fault("choose presence again", err)
		}
	}
	if watching && !hello.Back {
		if _, err := g.list(g.ctx, true); err != nil {
			g.fault("watch again", err)
		}
	}
}

// passing reports whether a hello that was refused may be tried again: unanswered requests of the
// user count against the rate, too.
var passing = map[chat.Code]bool{chat.Timeout: true, chat.Internal: true, chat.Rate: true}

// leaves reports whether the user has asked to be signed out.
func (g *login) leaves() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.exiting
}

// welcomed takes the answer to a hello.
func (g *login) welcomed(reply chat.HelloReply) {
	g.settleIn(reply)
	g.seen(reply.Revision)
	g.blocks.set(reply.Blocks)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.came = reply.Came
}

// place returns the place of a connection; nil while it is down.
func place(nc *nats.Conn) *chat.Place {
	id, err := nc.GetClientID()
	server := nc.ConnectedServerId()
	if err != nil || server == "" { // it went down between the two
		return nil
	}
	return &chat.Place{Server: server, Connection: id}
}
