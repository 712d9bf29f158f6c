package client

import (
	"context"

	"github.com/nats-io/nkeys"

	"natter/chat"
)

// EnterBeside comes in beside the user's terminals: direct messages can be sent and users
// listed, and nobody sees that the user is there. Nothing that comes is answered; texts are
// heard only if listen is true. Code NotRegistered if the name is not the user's yet.
func (c *Client) EnterBeside(ctx context.Context, name string, listen bool) (Welcome, error) {
	n, err := chat.ParseName(name)
	if err != nil {
		return Welcome{}, err
	}
	if early := c.takeConn(&c.early); early != nil {
		early.Close()
	}
	c.me = n
	if c.key, err = c.readKey(n); err != nil {
		return Welcome{}, c.unknownKey(n, err)
	}
	if c.side, err = nkeys.CreateUser(); err != nil {
		return Welcome{}, err
	}
	c.listens = listen
	nc, hello, err := c.dialFresh(ctx)
	if err != nil {
		return Welcome{}, err
	}
	c.leaveLobby()
	c.mu.Lock()
	c.nc, c.rules, c.presence = nc, hello.Rules, chat.Undecided
	c.directs.limit(hello.Rules.DirectRate)
	c.mu.Unlock()
	c.setBlocks(hello.Blocks)
	c.start()
	return Welcome{Name: n, Returning: true, LastSeen: hello.LastSeen, Now: hello.Now, KeyFile: c.key.file, Presence: hello.Presence, Rules: hello.Rules}, nil
}

// heardBeside shows a text that a terminal of the user answers.
func (c *Client) heardBeside(from chat.User, d chat.DirectMessage) {
	c.mu.Lock()
	k := directKey{from, d.Incarnation, d.N}
	show := c.listens && !c.blocked(from) && d.Text != "" && len(d.Text) <= c.rules.MaxText && c.directs.heard.Add(k)
	c.mu.Unlock()
	if show && c.inTime(from) {
		c.events.push(DirectText{From: nameOf(from, d.Name), Text: d.Text})
	}
}
