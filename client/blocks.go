package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"natter/chat"
)

// blocks are the users whom the user blocks.
type blocks struct {
	changed chan struct{} // signalled when the blocks may have changed

	mu   sync.Mutex
	list []chat.Block
}

func newBlocks() *blocks { return &blocks{changed: make(chan struct{}, 1)} }

// set replaces the blocks by those of the coordinator.
func (b *blocks) set(list []chat.Block) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = list[:min(len(list), chat.MaxBlocks)]
	select {
	case b.changed <- struct{}{}:
	default: // the ticket is about to be looked at
	}
}

// holding returns the blocks that have not ended at a time.
func (b *blocks) holding(now time.Time) []chat.Block {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.list), func(k chat.Block) bool { return !k.Holds(now) })
}

// has reports whether the user blocks another one.
func (b *blocks) has(u chat.User) bool {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.list, func(k chat.Block) bool { return k.Name.User() == u && k.Holds(now) })
}

// inTicket reports whether a ticket blocks the direct messages of exactly the users whom the user
// blocks, and when the next block ends; zero: none does.
func (b *blocks) inTicket(ticket chat.Ticket, now time.Time) (same bool, next time.Time) {
	blocked := map[chat.User]bool{}
	for _, k := range b.holding(now) {
		blocked[k.Name.User()] = true
		if !k.Until.IsZero() && (next.IsZero() || k.Until.Before(next)) {
			next = k.Until
		}
	}
	for _, u := range ticket.Blocked {
		if !blocked[u] {
			return false, next
		}
	}
	return len(blocked) == len(ticket.Blocked), next
}

// Blocks is whom the user blocks now, by name.
func (c *Client) Blocks() []chat.Block { return c.blocks.holding(time.Now()) }

// Block keeps the user from hearing of somebody: for a second or longer or, with 0, until
// Unblock. Code Arguments if it is shorter, Self.
func (c *Client) Block(ctx context.Context, name string, d time.Duration) error {
	return changeBlocks(ctx, c, chat.BlockUser, chat.BlockRequest{Name: name, For: d})
}

// Unblock ends a block.
func (c *Client) Unblock(ctx context.Context, name string) error {
	return changeBlocks(ctx, c, chat.UnblockUser, chat.UnblockRequest{Name: name})
}

// changeBlocks asks for a change of the blocks, and takes the new ones from the answer.
func changeBlocks[Q any](ctx context.Context, c *Client, r chat.Request[Q, chat.BlocksReply], q Q) error {
	reply, err := call(ctx, c.link, r, q)
	if err != nil {
		return err
	}
	c.login.seen(reply.Revision)
	c.blocks.set(reply.Blocks)
	return nil
}
