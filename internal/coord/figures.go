package coord

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/store"
	"natter/chat"
	"natter/presence"
)

// probeFor is how long the store may take to answer before it counts as unreachable.
const probeFor = 2 * time.Second

// Health returns why the coordinator cannot serve now; nil if it can. It asks the store,
// and waits until this replica has caught up with it.
func (c *Coordinator) Health() error {
	if c.halted.Load() {
		return chat.Errorf(chat.NotConnected, "The coordinator is stopping.")
	}
	for _, link := range c.links.named() {
		if !link.nc.IsConnected() {
			return chat.Errorf(chat.NotConnected, "The broker cannot be reached: the connection %q is down.", link.name)
		}
	}
	c.space.Look() // for the next call
	if s := c.storing().Storing(); s.Err() != nil {
		return chat.Errorf(chat.Full, "%v", context.Cause(s))
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeFor)
	defer cancel()
	if err := c.log.Sync(ctx); err != nil {
		return chat.Errorf(chat.Timeout, "The coordinator has not read everything that is stored yet, or the store does not answer.")
	}
	return nil
}

// Online counts the present users, and how many of them have lost their connection.
func (c *Coordinator) Online() (online, lost int) {
	rows := c.users.Snapshot()
	for _, row := range rows {
		if row.Record.State == presence.Lost {
			lost++
		}
	}
	return len(rows), lost
}

// Talking counts the open sessions and the open invitations.
func (c *Coordinator) Talking() (open, invitations int) {
	for _, row := range c.sessions.Snapshot() {
		switch row.Record.State {
		case chat.Open:
			open++
		case chat.Proposed:
			invitations++
		}
	}
	return open, invitations
}

// Steps returns the counters of the log.
func (c *Coordinator) Steps() store.LogMetrics { return c.log.Metrics() }

// Minted counts the tickets that this replica has made.
func (c *Coordinator) Minted() uint64 { return c.minted.Load() }

// Told counts the notices that this replica has sent to users.
func (c *Coordinator) Told() uint64 { return c.presence.Told.Load() + c.session.Told.Load() }

// Streams returns the sizes of the streams; empty while the broker cannot be reached.
func (c *Coordinator) Streams() map[string]broker.Usage {
	js, err := jetstream.New(c.links.Store)
	if err != nil || !c.links.Store.IsConnected() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeFor)
	defer cancel()
	return broker.Streams(ctx, js)
}

// link is a connection with its name in metrics.
type link struct {
	name string
	nc   *nats.Conn
}

func (l *Links) named() []link {
	return []link{{"answer", l.Answer}, {"store", l.Store}, {"system", l.System}}
}

// Connected returns which connections to the broker are up, by name.
func (c *Connections) Connected() map[string]bool {
	up := map[string]bool{}
	for _, l := range append(c.named(), link{"tap", c.Tap}, link{"direct", c.Direct}) {
		up[l.name] = l.nc != nil && l.nc.IsConnected()
	}
	return up
}

// counting is a minter that counts.
type counting struct {
	presence.Minter
	n *atomic.Uint64
}

// Mint implements presence.Minter.
func (c counting) Mint(publicKey string, g chat.Grant, ttl time.Duration, now time.Time) (chat.Ticket, error) {
	t, err := c.Minter.Mint(publicKey, g, ttl, now)
	if err == nil {
		c.n.Add(1)
	}
	return t, err
}
