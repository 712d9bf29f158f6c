package client

import "natter/chat"

// served handles a notice about the server, or about this terminal.
func (g *login) served(n chat.ServerNotice) {
	out := n.SignedOut
	switch {
	case n.Unknown:
		g.forgotten()
	case out == nil:
		g.events.push(Stopping{})
	case out.By == nil:
		g.later(func() { g.signOut(SignedOut{Reason: out.Reason, Operator: true}) })
	default:
		g.later(func() {
			switch {
			case out.Installation != "" && out.Installation != g.home():
				g.again() // the hello is refused if the terminal was signed out
			case g.concerns(*out):
				g.signOut(SignedOut{Elsewhere: true})
			}
		})
	}
}

// concerns reports whether another terminal has come, and later than this one. If a notice comes too
// early, the next hello tells.
func (g *login) concerns(out chat.SignedOut) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.at != nil && *g.at == *out.By
	return !mine && out.Revision > g.came
}

// signOut closes everything that this terminal has at the server. Messages that it has acknowledged
// are shown first. It runs on the worker.
func (g *login) signOut(e SignedOut) {
	nc := g.link.takeConn()
	if nc == nil {
		return
	}
	g.mu.Lock()
	g.signedOut = true
	g.mu.Unlock()
	nc.Close()
	g.chats.finish(true)
	g.events.push(e)
}
