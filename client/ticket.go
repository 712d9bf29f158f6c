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

// goodFor is how long a ticket must at least be valid to be kept or used again.
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

// setTicket sets a ticket that is valid for a time from now. The time is measured by the monotonic
// clock: the wall clock may be wrong, and may be set while the program runs.
func (l *link) setTicket(t chat.Ticket, good time.Duration) {
	l.mu.Lock()
	l.ticket, l.goodUntil = t, time.Now().Add(good)
	l.mu.Unlock()
}

// held returns the present ticket.
func (l *link) held() chat.Ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ticket
}

// enter gets a ticket in the lobby; the reply is that to a hello, if the lobby has let the
// user in.
func (l *link) enter(ctx context.Context, over bool) (*chat.HelloReply, error) {
	reply, err := l.lobby.enter(ctx, over, l.login.chosen())
	if err != nil {
		return nil, err
	}
	l.setTicket(reply.Ticket, life(reply.Ticket))
	return reply.Hello, nil
}

// life returns how long a new ticket is valid.
func life(t chat.Ticket) time.Duration {
	if t.TTL > 0 {
		return t.TTL
	}
	return time.Until(t.Expires)
}

// ticketFile returns the file of the ticket of a key; "" if there is none.
func (k *key) ticketFile() string {
	if k.file == "" {
		return ""
	}
	return strings.TrimSuffix(k.file, ".key") + ".ticket"
}

// keepTicket writes the present ticket to its file, whole or not at all. A ticket that
// cannot be written does no harm: the next run asks in the lobby.
func (l *link) keepTicket() {
	l.mu.Lock()
	t, left := l.ticket, time.Until(l.goodUntil)
	l.mu.Unlock()
	file := l.key.ticketFile()
	if file == "" || left <= goodFor || l.login.leaves() {
		return
	}
	data, err := json.Marshal(kept{Name: l.me.User(), Key: l.key.public, Server: l.server(), Ticket: t, Until: time.Now().Add(left).UTC()})
	if err == nil {
		err = private.Write(file, data)
	}
	if err != nil {
		l.log.Debug("keep the ticket", "user", l.me, "err", err)
	}
}

// keptTicket finds a ticket that is still valid for a name at this server, as far as the clock of
// this computer is right: otherwise the server refuses it.
func (l *link) keptTicket(n chat.Name, k *key) (ticket chat.Ticket, left time.Duration) {
	if k.fresh || k.file == "" {
		return ticket, 0
	}
	data, err := private.Read("ticket", k.ticketFile(), private.Small)
	if err != nil {
		return ticket, 0
	}
	var t kept
	if json.Unmarshal(data, &t) != nil || t.Name != n.User() || t.Key != k.public || t.Server != l.server() {
		return ticket, 0
	}
	return t.Ticket, min(time.Until(t.Until), life(t.Ticket))
}

// forgetTicket removes a ticket that is no longer valid.
func (l *link) forgetTicket() {
	l.setTicket(chat.Ticket{}, 0)
	_ = os.Remove(l.key.ticketFile()) // if this fails, the ticket is refused again
}

// dialKept connects with the ticket of an earlier run, if the name is known and it has
// one; nil if not, or if the server cannot be reached or refuses it: then the lobby tells
// why.
func (l *link) dialKept(ctx context.Context) *nats.Conn {
	n, err := chat.ParseName(l.cfg.Name)
	if err != nil {
		return nil
	}
	k, err := l.readKey(n)
	if err != nil {
		return nil
	}
	t, left := l.keptTicket(n, k)
	if left <= goodFor {
		return nil
	}
	l.me, l.key = n, k
	l.setTicket(t, left)
	nc, err := l.dialUser(ctx)
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
		l.forgetTicket()
	}
	if err != nil {
		return nil
	}
	return nc
}
