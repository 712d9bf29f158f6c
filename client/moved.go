package client

import (
	"errors"

	"natter/chat"
)

// home is the installation that the user's revision is of.
func (g *login) home() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.installation
}

// settleIn takes the installation that has answered a hello. If it is another one than
// before, its revisions begin anew, and what it does not know is over: again tells so.
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
	g.offer(g.tellMoved) // who has said this hello need not be again; else the next hello tells it
}

// tellMoved asks the other installation how things stand, unless that was told already.
func (g *login) tellMoved() {
	g.mu.Lock()
	moved := g.moved
	g.mu.Unlock()
	if moved {
		g.again()
	}
}

// registerAgain asks the lobby for the name, which the server does not know: its state is
// another one. It is false if the user cannot have it, which is told.
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
