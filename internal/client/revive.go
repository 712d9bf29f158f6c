package client

import (
	"errors"

	"github.com/nats-io/nats.go"

	"natter/broker"
)

// ended is told that the library has closed the user's connection for good, as it does after
// an error that it does not know.
func (c *Client) ended(nc *nats.Conn) {
	if c.ctx.Err() != nil || nc != c.conn() || c.side != nil {
		return
	}
	c.mu.Lock()
	if c.lostAt.IsZero() {
		c.lostAt = c.pulse.lostSince(awake())
	}
	c.mu.Unlock()
	select {
	case c.dead <- struct{}{}:
	default: // it is on its way
	}
}

// revive makes a new connection in the place of one that was closed for good. It tries until
// there is one, or until the lobby says that the user is not wanted.
func (c *Client) revive() {
	for tries := 1; c.ctx.Err() == nil; tries++ {
		if nc := c.conn(); nc == nil || !nc.IsClosed() {
			return
		}
		err := c.redial()
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
			err = c.replaceTicket()
		}
		if unwanted(err) {
			c.later(func() { c.signOut(SignedOut{Reason: err.Error()}) })
			return
		}
		c.log.Debug("a new connection", "user", c.me, "err", err)
		c.rest(broker.ReconnectAfter(tries))
	}
}

// redial connects with the present ticket.
func (c *Client) redial() error {
	nc, err := c.dialUser(c.ctx)
	if err != nil {
		return err
	}
	if old, _ := c.replaceConn(nc); old == nil {
		nc.Close()
		return nil
	}
	c.adopt(nc)
	c.later(c.again)
	return nil
}

// adopt looks whether a connection was closed for good before it became the user's, when
// nobody was told.
func (c *Client) adopt(nc *nats.Conn) {
	if nc.IsClosed() {
		c.ended(nc)
	}
}

// replaceConn puts a connection in the place of the user's, and tells whether that one is
// lost. Whoever has been signed out or closed meanwhile gets none: it would stay for ever.
func (c *Client) replaceConn(nc *nats.Conn) (old *nats.Conn, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nc == nil || c.ctx.Err() != nil {
		return nil, false
	}
	old, c.nc = c.nc, nc
	return old, !c.lostAt.IsZero()
}
