package client

import (
	"errors"

	"natter/chat"
)

// home is the installation that the user's revision is of.
func (c *Client) home() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.installation
}

// settleIn takes the installation that has answered a hello. If it is another one than
// before, its revisions begin anew, and what it does not know is over: again tells so.
func (c *Client) settleIn(reply chat.HelloReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, now := c.installation, reply.Installation
	if now == "" || now == before {
		return
	}
	c.installation = now
	if before == "" {
		return
	}
	c.moved = true
	c.revision = 0
	for id, k := range c.known {
		if k.session.State == chat.Closed {
			delete(c.known, id)
			continue
		}
		k.revision = 0
		c.known[id] = k
	}
	select { // who has said this hello need not be again
	case c.work <- c.tellMoved:
	default: // the next hello tells it
	}
}

// tellMoved asks the other installation how things stand, unless that was told already.
func (c *Client) tellMoved() {
	c.mu.Lock()
	moved := c.moved
	c.mu.Unlock()
	if moved {
		c.again()
	}
}

// noticed takes what a coordinator tells of a session. One of another installation is asked
// how things stand.
func (c *Client) noticed(n chat.SessionNotice) {
	if n.Installation != c.home() {
		c.again()
		return
	}
	c.apply(n.Session, n.Revision)
}

// registerAgain asks the lobby for the name, which the server does not know: its state is
// another one. It is false if the user cannot have it, which is told.
func (c *Client) registerAgain() bool {
	err := c.replaceTicket()
	c.log.Debug("register again", "user", c.me, "err", err)
	var told *chat.Error
	switch {
	case err == nil:
		c.pause()
		return true
	case errors.As(err, &told) && (told.Code == chat.NotConnected || passing[told.Code]):
		c.pause()
		return true
	case errors.As(err, &told):
		c.signOut(SignedOut{Reason: told.Text})
	default:
		c.fault("register again", err)
		c.pause()
		return true
	}
	return false
}
