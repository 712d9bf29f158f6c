package client

// Renew is what happens three quarters of a ticket's life after it was made.
func (c *Client) Renew() error { return c.renew() }

// AtOnce tells whether Dial did without the lobby.
func (c *Client) AtOnce() bool { return c.lobby == nil && c.early != nil }
