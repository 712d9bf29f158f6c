package client

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/internal/private"
)

// goodFor is how long a ticket must be good at least to be kept or used again.
const goodFor = time.Minute

// kept is a ticket in a file beside the key, NAME.ticket: a run that knows its name
// presents it and needs no lobby. Without the key it is of no use to anybody.
type kept struct {
	Name   chat.User   `json:"name"`
	Key    string      `json:"key"`    // public: whose ticket it is
	Server string      `json:"server"` // where it was given
	Ticket chat.Ticket `json:"ticket"`
	Until  time.Time   `json:"until"` // when it expires, by the clock of this computer
}

// setTicket takes a ticket that is good for so long from now on. That is told by the
// monotonic clock: what the wall clock says may be wrong, and may be set while we run.
func (c *Client) setTicket(t chat.Ticket, good time.Duration) {
	c.mu.Lock()
	c.ticket, c.goodUntil = t, time.Now().Add(good)
	c.mu.Unlock()
}

// life is how long a ticket is good that was made a moment ago.
func life(t chat.Ticket) time.Duration {
	if t.TTL > 0 {
		return t.TTL
	}
	return time.Until(t.Expires)
}

// ticketFile is where the ticket of a key is kept; "" nowhere.
func (k *key) ticketFile() string {
	if k.file == "" {
		return ""
	}
	return strings.TrimSuffix(k.file, ".key") + ".ticket"
}

// keepTicket writes the present ticket to its file, whole or not at all. A ticket that
// cannot be kept is no loss: the next run asks in the lobby.
func (c *Client) keepTicket() {
	c.mu.Lock()
	t, left, exiting := c.ticket, time.Until(c.goodUntil), c.exiting
	c.mu.Unlock()
	file := c.key.ticketFile()
	if file == "" || left <= goodFor || exiting {
		return
	}
	data, err := json.Marshal(kept{Name: c.me.User(), Key: c.key.public, Server: c.Server(), Ticket: t, Until: time.Now().Add(left).UTC()})
	if err == nil {
		err = private.Write(file, data)
	}
	if err != nil {
		c.log.Debug("keep the ticket", "user", c.me, "err", err)
	}
}

// keptTicket finds a ticket that is still good for a name at this server, as far as can be
// told: if the clock of this computer was set meanwhile, the server or the lobby knows better.
func (c *Client) keptTicket(n chat.Name, k *key) (ticket chat.Ticket, left time.Duration) {
	if k.fresh || k.file == "" {
		return ticket, 0
	}
	data, err := private.Read("ticket", k.ticketFile(), private.Small)
	if err != nil {
		return ticket, 0
	}
	var t kept
	if json.Unmarshal(data, &t) != nil || t.Name != n.User() || t.Key != k.public || t.Server != c.Server() {
		return ticket, 0
	}
	return t.Ticket, min(time.Until(t.Until), life(t.Ticket))
}

// forgetTicket removes a ticket that is of no use.
func (c *Client) forgetTicket() {
	c.setTicket(chat.Ticket{}, 0)
	_ = os.Remove(c.key.ticketFile()) // if it stays, it is refused again
}

// dialKept connects with the ticket of an earlier run, if the name is known and it has
// one; nil if not, or if the server cannot be reached or refuses it: then the lobby tells
// why.
func (c *Client) dialKept(ctx context.Context) *nats.Conn {
	n, err := chat.ParseName(c.cfg.Name)
	if err != nil {
		return nil
	}
	k, err := c.readKey(n)
	if err != nil {
		return nil
	}
	t, left := c.keptTicket(n, k)
	if left <= goodFor {
		return nil
	}
	c.me, c.key = n, k
	c.setTicket(t, left)
	nc, err := c.dialUser(ctx)
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
		c.forgetTicket()
	}
	if err != nil {
		return nil
	}
	return nc
}

// enterKept takes the name on the connection that a kept ticket has made. It is false if
// the lobby is to be asked: there is no such connection, or the coordinator does not want
// it, because somebody else has the name by now.
func (c *Client) enterKept(ctx context.Context, n chat.Name) (chat.HelloReply, bool, error) {
	nc := c.takeConn(&c.early)
	if nc == nil || nc.IsClosed() {
		return chat.HelloReply{}, false, nil
	}
	if n.User() != c.me.User() {
		nc.Close()
		return chat.HelloReply{}, false, nil
	}
	c.me = n
	if err := c.key.save(ctx, n); err != nil {
		return chat.HelloReply{}, true, err
	}
	hello, err := c.arrive(ctx, nc, &chat.Kept{Key: c.key.public})
	var told *chat.Error
	if errors.As(err, &told) && told.Code != chat.SignedIn && told.Code != chat.NotConnected && told.Code != chat.Timeout {
		c.forgetTicket()
		return hello, false, nil
	}
	return hello, true, err
}
