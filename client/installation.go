package client

import (
	"errors"

	"natter/chat"
)

// home returns the installation of the client's revision.
func (g *login) home() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.installation
}

// settleIn takes the installation of an answer to a hello. If it has changed, revisions begin anew,
// and sessions that it does not know are over; again adds the events.
func (g *login) settleIn(reply chat.HelloReply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, now := g.installation, reply.Installation
	if now == "" || now == before {
		return
	}
	g.installation = now
	if before == "" {
		return
	}
	g.moved = true
	g.revision = 0
	g.chats.beginAnew()
	g.offer(g.tellMoved) // otherwise the next hello does it
}

// tellMoved asks the other installation for everything, unless that was done.
func (g *login) tellMoved() {
	g.mu.Lock()
	moved := g.moved
	g.mu.Unlock()
	if moved {
		g.again()
	}
}

// registerAgain asks the lobby for the name, which the server does not know because its state is
// another one. It is false, after an event, if the user does not get it.
func (g *login) registerAgain() bool {
	err := g.link.replaceTicket()
	g.log.Debug("register again", "user", g.me, "err", err)
	var told *chat.Error
	switch {
	case err == nil:
		g.pause()
		return true
	case errors.As(err, &told) && (told.Code == chat.NotConnected || passing[told.Code]):
		g.pause()
		return true
	case errors.As(err, &told):
		g.signOut(SignedOut{Reason: told.Text})
	default:
		g.fault("register again", err)
		g.pause()
		return true
	}
	return false
}
