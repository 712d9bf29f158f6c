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

// Audit writes the audit records: one for each request, action and refusal, unless somebody
// causes very many. Observers, the console and the AUDIT stream read the same ones.
type Audit struct {
	nc      *nats.Conn
	log     *slog.Logger
	refused counter
	caused  counter // requests, and actions that follow from them
}

// NewAudit writes on nc, which needs chat.StoringGrant.
func NewAudit(nc *nats.Conn, log *slog.Logger) *Audit {
	return &Audit{nc: nc, log: log, refused: counter{free: freeRefusals}, caused: counter{free: freeRequests}}
}

// Write writes a record of the route's kind.
func (w *Audit) Write(r chat.Notice[chat.Audit], a chat.Audit) {
	a = filled(r, a)
	if err := Tell(w.nc, r, chat.Address{}, a); err != nil {
		w.log.Warn("write an audit record", "event", a.Event, "err", err)
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
func (w *Audit) Last(r chat.Notice[chat.Audit], a chat.Audit) {
	for _, counted := range append(w.caused.end(), w.refused.end()...) {
		w.write(counted)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastFor)
	defer cancel()
	data, err := json.Marshal(filled(r, a))
	var js jetstream.JetStream
	if err == nil {
		js, err = jetstream.New(w.nc)
	}
	if err == nil {
		_, err = js.Publish(ctx, r.Subject(chat.Address{}), data)
	}
	if err != nil {
		w.log.Warn("the last audit records may not be stored", "event", a.Event, "err", err)
	}
}

// Request, Action and Refused write the three kinds that users cause. One user cannot have so many
// of them written that the records of others leave the stream early: 60 of an event and user, or
// address, are written one by one, then one more in each ten seconds; what is more is counted, and written as one
// record every ten seconds. Of refusals of an event, a code and a user it is all but the first.
func (w *Audit) Request(a chat.Audit) { w.count(&w.caused, chat.AuditRequest, a) }

// Action writes what was done. Who is in a session is never counted: observers follow it.
func (w *Audit) Action(a chat.Audit) {
	if a.Channel != "" || strings.HasPrefix(a.Event, "session.") {
		w.Write(chat.AuditAction, a)
		return
	}
	w.count(&w.caused, chat.AuditAction, a)
}

// Refused writes what was not done, and why.
func (w *Audit) Refused(a chat.Audit) { w.count(&w.refused, chat.AuditRefused, a) }

func (w *Audit) count(c *counter, r chat.Notice[chat.Audit], a chat.Audit) {
	for _, a := range c.take(filled(r, a), w.repeatedly) {
		w.write(a)
	}
}

// write writes a record of a kind that is counted.
func (w *Audit) write(a chat.Audit) {
	for _, r := range []chat.Notice[chat.Audit]{chat.AuditRequest, chat.AuditAction, chat.AuditRefused} {
		if r.Kind == a.Kind {
			w.Write(r, a)
		}
	}
}

// repeatedly writes what was counted, unless the connection has been closed.
func (w *Audit) repeatedly(a chat.Audit) {
	if !w.nc.IsClosed() {
		w.write(a)
	}
}

const (
	// auditBatch and auditBytes bound a part of the audit log: its records, and their bytes.
	auditBatch = 5000
	auditBytes = 256 << 10
	// auditApart is how far the clocks of a coordinator and a NATS server may be apart.
	auditApart = time.Hour
)

// ReadAudit reads a part of the AUDIT stream. nc needs chat.StoringGrant.
func ReadAudit(ctx context.Context, nc *nats.Conn, q chat.LogRequest) (chat.LogReply, error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return chat.LogReply{}, fmt.Errorf("read %s: %w", broker.AuditStream, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	which := map[string]any{"seq": q.After + 1, "batch": auditBatch, "max_bytes": min(auditBytes, nc.MaxPayload()/4)}
	if q.After == 0 && !q.Since.IsZero() {
		delete(which, "seq")
		which["start_time"] = q.Since.Add(-auditApart)
	}
	ask, err := json.Marshal(which)
	if err == nil {
		err = nc.PublishRequest("$JS.API.DIRECT.GET."+broker.AuditStream, inbox, ask)
	}
	part := auditPart{q: q, reply: chat.LogReply{Records: []chat.Audit{}, After: q.After}}
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

// auditPart is a part of the audit log that is being read.
type auditPart struct {
	q     chat.LogRequest
	reply chat.LogReply
	over  bool // what follows is later than was asked for
}

func (p *auditPart) take(r broker.Stored) {
	if p.reply.After > 0 && r.Revision > p.reply.After+1 {
		p.reply.Missing += r.Revision - p.reply.After - 1
	}
	p.reply.After = r.Revision
	var a chat.Audit
	if err := json.Unmarshal(r.Data, &a); err != nil {
		p.reply.Missing++
		return
	}
	p.over = !p.q.Until.IsZero() && a.Time.After(p.q.Until.Add(auditApart))
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
