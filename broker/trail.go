package broker

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// Trail writes the audit records: one for each request, action and refusal.
// Observers, the console and the AUDIT stream read the same ones.
type Trail struct {
	nc  *nats.Conn
	log *slog.Logger
}

// NewTrail writes on nc, which needs chat.StoringGrant.
func NewTrail(nc *nats.Conn, log *slog.Logger) *Trail { return &Trail{nc, log} }

// Write writes a record of the route's kind.
func (t *Trail) Write(r chat.Notice[chat.Audit], a chat.Audit) {
	a.Kind = r.Kind
	if a.Time.IsZero() {
		a.Time = time.Now()
	}
	if err := Tell(t.nc, r, chat.Address{}, a); err != nil {
		t.log.Warn("write an audit record", "event", a.Event, "err", err)
	}
}

// Request, Action and Refused write the three kinds that users cause.
func (t *Trail) Request(a chat.Audit) { t.Write(chat.AuditRequest, a) }

// Action writes what was done.
func (t *Trail) Action(a chat.Audit) { t.Write(chat.AuditAction, a) }

// Refused writes what was not done, and why.
func (t *Trail) Refused(a chat.Audit) { t.Write(chat.AuditRefused, a) }
