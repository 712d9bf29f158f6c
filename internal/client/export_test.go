package client

// Renew is what happens three quarters of a ticket's life after it was made.
func (c *Client) Renew() error { return c.renew() }
