package client

import "natter/chat"

// Renew is what happens three quarters of a ticket's life after it was made.
func (c *Client) Renew() error { return c.renew() }

// AtOnce tells whether Dial did without the lobby.
func (c *Client) AtOnce() bool { return c.lobby == nil && c.early != nil }

// Present has the client show another ticket to the server, on a new connection.
func (c *Client) Present(mint func(key string) (chat.Ticket, error)) error {
	t, err := mint(c.key.public)
	if err != nil {
		return err
	}
	c.setTicket(t)
	return c.conn().ForceReconnect()
}

// Hear is what a hello's answer tells of sessions.
func (c *Client) Hear(hello chat.HelloReply) { c.inOrder(func() { c.applyAll(hello) }) }
