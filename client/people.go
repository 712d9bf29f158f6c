package client

import "natter/chat"

// served takes what the server says of itself, or of this terminal.
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
				g.again() // whose hello is refused if it is so
			case g.concerns(*out):
				g.signOut(SignedOut{Elsewhere: true})
			}
		})
	}
}

// concerns reports whether it is another terminal that has come, and after this one. What is
// told too early is told again by the next hello.
func (g *login) concerns(out chat.SignedOut) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.at != nil && *g.at == *out.By
	return !mine && out.Revision > g.came
}

// signOut ends everything that this terminal has at the server: it says nothing more, and
// what it has acknowledged is told before the end. It runs on the worker.
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
