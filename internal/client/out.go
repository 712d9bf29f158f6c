package client

import (
	"errors"

	"natter/chat"
)

// served takes what the server says of itself, or of the user.
func (c *Client) served(n chat.ServerNotice) {
	switch {
	case n.Stopping:
		c.events.push(Stopping{})
	case n.SignedOut != nil && n.SignedOut.By == nil:
		c.signedOut(n.SignedOut.Reason)
	}
}

// signedOut is the end: nothing is tried again, and what is left is for Close to do.
func (c *Client) signedOut(reason string) {
	c.over.Do(func() {
		c.events.push(SignedOut{Reason: reason})
		c.cancel()
		if nc := c.conn(); nc != nil {
			nc.Close()
		}
	})
}

// unwanted tells whether a refusal in the lobby is one that no new try changes.
func unwanted(err error) bool {
	for _, code := range []chat.Code{chat.Banned, chat.Reserved, chat.ForeignKey} {
		if errors.Is(err, &chat.Error{Code: code}) {
			return true
		}
	}
	return false
}
