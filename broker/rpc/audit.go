package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
)

// Trail writes the audit records: one for each request, action and refusal, unless somebody
// causes very many. Observers, the console and the AUDIT stream read the same ones.
type Trail struct {
	nc      *nats.Conn
	log     *slog.Logger
	refused counter
	caused  counter // requests, and actions that follow from them
}

// NewTrail writes on nc, which needs chat.StoringGrant.
func NewTrail(nc *nats.Conn, log *slog.Logger) *Trail {
	return &Trail{nc: nc, log: log, refused: counter{free: freeRefusals}, caused: counter{free: freeRequests}}
}

// Write writes a record of the route's kind.
func (t *Trail) Write(r chat.Notice[chat.Audit], a chat.Audit) {
	a = filled(r, a)
	if err := Tell(t.nc, r, chat.Address{}, a); err != nil {
		t.log.Warn("write an audit record", "event", a.Event, "err", err)
	}
}

func filled(r chat.Notice[chat.Audit], a chat.Audit) chat.Audit {
	a.Kind = r.Kind
	if a.Time.IsZero() {
		a.Time = time.Now()
	}
	return a
}

// lastFor is how long the last record may take to be stored.
const lastFor = 2 * time.Second

// Last writes what was counted, and a record, and waits until it is stored, and so everything that was written
// before it.
func (t *Trail) Last(r chat.Notice[chat.Audit], a chat.Audit) {
	for _, counted := range append(t.caused.end(), t.refused.end()...) {
		t.write(counted)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastFor)
	defer cancel()
	data, err := json.Marshal(filled(r, a))
	var js jetstream.JetStream
	if err == nil {
		js, err = jetstream.New(t.nc)
	}
	if err == nil {
		_, err = js.Publish(ctx, r.Subject(chat.Address{}), data)
	}
	if err != nil {
		t.log.Warn("the last audit records may not be stored", "event", a.Event, "err", err)
	}
}

// Request, Action and Refused write the three kinds that users cause. One user cannot have so many
// of them written that the records of others leave the stream early: 60 of an event and user, or
// address, are written one by one, then one more in each ten seconds; what is more is counted, and written as one
// record every ten seconds. Of refusals of an event, a code and a user it is all but the first.
func (t *Trail) Request(a chat.Audit) { t.count(&t.caused, chat.AuditRequest, a) }

// Action writes what was done. Who is in a session is never counted: observers follow it.
func (t *Trail) Action(a chat.Audit) {
	if a.Channel != "" || strings.HasPrefix(a.Event, "session.") {
		t.Write(chat.AuditAction, a)
		return
	}
	t.count(&t.caused, chat.AuditAction, a)
}

// Refused writes what was not done, and why.
func (t *Trail) Refused(a chat.Audit) { t.count(&t.refused, chat.AuditRefused, a) }

func (t *Trail) count(c *counter, r chat.Notice[chat.Audit], a chat.Audit) {
	for _, a := range c.take(filled(r, a), t.repeatedly) {
		t.write(a)
	}
}

// write writes a record of a kind that is counted.
func (t *Trail) write(a chat.Audit) {
	for _, r := range []chat.Notice[chat.Audit]{chat.AuditRequest, chat.AuditAction, chat.AuditRefused} {
		if r.Kind == a.Kind {
			t.Write(r, a)
		}
	}
}

// repeatedly writes what was counted, unless the connection has been closed.
func (t *Trail) repeatedly(a chat.Audit) {
	if !t.nc.IsClosed() {
		t.write(a)
	}
}

const (
	// trailBatch and trailBytes bound a part of the trail: its records, and their bytes.
	trailBatch = 5000
	trailBytes = 256 << 10
	// trailApart is how far the clocks of a coordinator and a NATS server may be apart.
	trailApart = time.Hour
)

// ReadTrail reads a part of the AUDIT stream. nc needs chat.StoringGrant.
func ReadTrail(ctx context.Context, nc *nats.Conn, q chat.LogRequest) (chat.LogReply, error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return chat.LogReply{}, fmt.Errorf("read %s: %w", broker.AuditStream, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	which := map[string]any{"seq": q.After + 1, "batch": trailBatch, "max_bytes": min(trailBytes, nc.MaxPayload()/4)}
	if q.After == 0 && !q.Since.IsZero() {
		delete(which, "seq")
		which["start_time"] = q.Since.Add(-trailApart)
	}
	ask, err := json.Marshal(which)
	if err == nil {
		err = nc.PublishRequest("$JS.API.DIRECT.GET."+broker.AuditStream, inbox, ask)
	}
	part := trailPart{q: q, reply: chat.LogReply{Records: []chat.Audit{}, After: q.After}}
	var more bool
	if err == nil {
		_, more, err = broker.ReadBatch(ctx, sub, q.After+1, part.take)
	}
	if err != nil {
		return chat.LogReply{}, fmt.Errorf("read %s: %w", broker.AuditStream, err)
	}
	part.reply.More = more && !part.over
	return part.reply, nil
}

// trailPart is a part of the trail that is being read.
type trailPart struct {
	q     chat.LogRequest
	reply chat.LogReply
	over  bool // what follows is later than was asked for
}

func (p *trailPart) take(r broker.Stored) {
	if p.reply.After > 0 && r.Revision > p.reply.After+1 {
		p.reply.Missing += r.Revision - p.reply.After - 1
	}
	p.reply.After = r.Revision
	var a chat.Audit
	if err := json.Unmarshal(r.Data, &a); err != nil {
		p.reply.Missing++
		return
	}
	p.over = !p.q.Until.IsZero() && a.Time.After(p.q.Until.Add(trailApart))
	if asked(p.q, a) {
		p.reply.Records = append(p.reply.Records, a)
	}
}

// asked reports whether a record is one of those that are asked for.
func asked(q chat.LogRequest, a chat.Audit) bool {
	u := chat.Name(q.User).User()
	is := func(n chat.Name) bool { return n.User() == u }
	return !a.Time.Before(q.Since) && (q.Until.IsZero() || !a.Time.After(q.Until)) &&
		(q.User == "" || is(a.User) || is(a.Asked) || slices.ContainsFunc(a.Users, is)) &&
		strings.HasPrefix(a.Session, q.Session)
}
