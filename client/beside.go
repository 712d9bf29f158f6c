package client

import (
	"context"

	"github.com/nats-io/nkeys"
)

// EnterBeside signs in beside the user's terminals: the client can send direct messages and list
// users, and does not make the user present. It answers no message; it receives texts only if listen
// is true. Codes as of Enter, but SignedIn; NotRegistered if the name is not the user's yet: Enter
// can follow. Full if too many programs of theirs are there already.
func (c *Client) EnterBeside(ctx context.Context, name string, listen bool) (Welcome, error) {
	n, err := c.candidate(name)
	if err != nil {
		return Welcome{}, err
	}
	if early := c.link.takeEarly(); early != nil {
		early.Close()
	}
	c.me = n
	if c.key, err = c.readKey(n); err != nil {
		return Welcome{}, c.unknownKey(n, err)
	}
	if c.side, err = nkeys.CreateUser(); err != nil {
		return Welcome{}, err
	}
	nc, hello, err := c.link.dialFresh(ctx)
	if err == nil && hello == nil {
		nc.Close()
		err = errUnreadable
	}
	if err != nil {
		c.side = nil // Enter may be next
		return Welcome{}, err
	}
	c.entered.Store(true)
	c.lobby.leave()
	c.directs.listen(listen)
	c.directs.limit(hello.Rules.DirectRate)
	c.login.settleBeside(hello.Rules)
	c.link.use(nc)
	c.blocks.set(hello.Blocks)
	c.start()
	return Welcome{Name: n, Returning: true, LastSeen: hello.LastSeen, Now: hello.Now, KeyFile: c.key.file, Presence: hello.Presence, Rules: hello.Rules}, nil
}
