package client

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"natter/chat"
)

// EnterOver is Enter, and signs out another terminal of the same user.
func (c *Client) EnterOver(ctx context.Context, name string) (Welcome, error) {
	c.over, c.terminal = true, rand.Text() // that of an earlier try may be one that was signed out
	defer func() { c.over = c.cfg.Takeover }()
	return c.Enter(ctx, name)
}

// served takes what the server says of itself, or of this terminal.
func (c *Client) served(n chat.ServerNotice) {
	out := n.SignedOut
	switch {
	case n.Unknown:
		c.forgotten()
	case out == nil:
		c.events.push(Stopping{})
	case out.By == nil:
		c.later(func() { c.signOut(SignedOut{Reason: out.Reason, Operator: true}) })
	default:
		c.later(func() {
			switch {
			case out.Installation != "" && out.Installation != c.home():
				c.again() // whose hello is refused if it is so
			case c.concerns(*out):
				c.signOut(SignedOut{Elsewhere: true})
			}
		})
	}
}

// concerns tells whether it is another terminal that has come, and after this one. What is
// told too early is told again by the next hello.
func (c *Client) concerns(out chat.SignedOut) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.at != nil && *c.at == *out.By
	return !mine && out.Revision > c.came
}

// signOut ends everything that this terminal has at the server: it says nothing more, and
// what it has acknowledged is told before the end. It runs on the worker.
func (c *Client) signOut(e SignedOut) {
	nc := c.takeConn(&c.nc)
	if nc == nil {
		return
	}
	c.mu.Lock()
	talk := c.talk
	c.signedOut = true
	c.mu.Unlock()
	nc.Close()
	c.finish(talk, true)
	c.events.push(e)
}

// Blocks is whom the user blocks, by name.
func (c *Client) Blocks() []chat.Block {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.blocks), func(b chat.Block) bool { return !b.Holds(now) })
}

// Block keeps the user from hearing of somebody: for a time or, with 0, until Unblock.
func (c *Client) Block(ctx context.Context, name string, d time.Duration) error {
	return blocks(ctx, c, chat.BlockUser, chat.BlockRequest{Name: name, For: d})
}

// Unblock takes a block back.
func (c *Client) Unblock(ctx context.Context, name string) error {
	return blocks(ctx, c, chat.UnblockUser, chat.UnblockRequest{Name: name})
}

// blocks asks for a change of whom the user blocks, and takes what they are then.
func blocks[Q any](ctx context.Context, c *Client, r chat.Request[Q, chat.BlocksReply], q Q) error {
	reply, err := call(ctx, c, r, q)
	if err != nil {
		return err
	}
	c.seen(reply.Revision)
	c.setBlocks(reply.Blocks)
	return nil
}

func (c *Client) setBlocks(blocks []chat.Block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks = blocks[:min(len(blocks), chat.MaxBlocks)]
	select {
	case c.reblocked <- struct{}{}:
	default: // the ticket is about to be looked at
	}
}

// deaf reports whether the ticket keeps from the user just the direct messages of those
// whom they block, and when a block ends next; zero: none does.
func (c *Client) deaf(now time.Time) (same bool, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	blocked := map[chat.User]bool{}
	for _, b := range c.blocks {
		if !b.Holds(now) {
			continue
		}
		blocked[b.Name.User()] = true
		if !b.Until.IsZero() && (next.IsZero() || b.Until.Before(next)) {
			next = b.Until
		}
	}
	for _, u := range c.ticket.Blocked {
		if !blocked[u] {
			return false, next
		}
	}
	return len(blocked) == len(c.ticket.Blocked), next
}

// blocked tells whether the user wants to hear nothing of somebody. c.mu is held.
func (c *Client) blocked(u chat.User) bool {
	now := time.Now()
	return slices.ContainsFunc(c.blocks, func(b chat.Block) bool { return b.Name.User() == u && b.Holds(now) })
}
