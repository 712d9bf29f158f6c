// Package doctor examines a NATS server from where a coordinator stands: whether it
// is all that natter asks of one, and gives nobody more than it should.
//
//	reach ─▶ credentials ─▶ system account ─▶ JetStream, streams ─▶ grants ─▶ lobby
//	         (each file)    (version, sync,                         (tried, one by one)
//	                         clocks, events)
//
// Each check ends in a Finding: fine, a warning, or a fault with how to fix it. What
// is tried leaves nothing behind: the subjects are such that nobody listens to, and one
// entry in the audit log says that somebody has looked. Nothing is tried that should be
// refused: what is refused is in the log of the server. What must not be possible is read
// from what the server itself says of its tickets.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/secure"
	"natter/internal/setup"
)

// Level is how bad something is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // works, with less than what is promised
	Fail Level = "FAIL" // does not work, or is not safe
)

// Finding is the outcome of one check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do; several lines perhaps
}

// Config says what is examined.
type Config struct {
	URLs    string
	Keys    *setup.Keys
	Options []nats.Option    // TLS
	Now     func() time.Time // nil is time.Now
}

// exam is one examination.
type exam struct {
	Config
	conns    map[string]*nats.Conn // by role
	findings []Finding
	servers  []server // that answer in the system account
}

// Examine runs all checks that make sense. It takes a few seconds.
func Examine(ctx context.Context, cfg Config) []Finding {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &exam{Config: cfg, conns: map[string]*nats.Conn{}}
	defer e.close()
	if lacks, err := setup.Fit(cfg.URLs); err != nil {
		e.fail(lacks, fixFit, "%s", strings.TrimSuffix(err.Error(), "."))
		return e.findings
	}
	e.files()
	if !e.connect() {
		return e.findings
	}
	e.say(rpc.NewAudit(e.conns[setup.Store.Name], slog.New(slog.DiscardHandler)))
	e.system(ctx)
	e.jetStream(ctx)
	e.grants()
	e.tickets(ctx)
	e.lobby(ctx)
	e.revocation()
	return e.findings
}

func (e *exam) ok(check, format string, args ...any) {
	e.findings = append(e.findings, Finding{Check: check, Level: OK, Text: fmt.Sprintf(format, args...)})
}

func (e *exam) warn(check, fix, format string, args ...any) {
	e.findings = append(e.findings, Finding{check, Warn, fmt.Sprintf(format, args...), fix})
}

func (e *exam) fail(check, fix, format string, args ...any) {
	e.findings = append(e.findings, Finding{check, Fail, fmt.Sprintf(format, args...), fix})
}

func (e *exam) close() {
	for _, nc := range e.conns {
		nc.Close()
	}
}

// connect tries every credentials. It is false if the coordinator's own do not all
// work: then there is nothing more to be seen.
func (e *exam) connect() bool {
	all := true
	var accepted []string
	for _, r := range setup.Roles {
		if e.Keys.Creds(r) == nil {
			continue
		}
		nc, err := e.Keys.Dial(e.URLs, r, append(e.Options, nats.MaxReconnects(0), silent())...)
		switch {
		case errors.Is(err, secure.ErrUnsafe):
			e.fail("TLS", "", "%s", strings.TrimSuffix(err.Error(), "."))
			return false
		case errors.Is(err, &chat.Error{Code: chat.Denied}):
			e.fail("credentials", fixServer, "%s is refused by the server", r.File())
			all = all && !r.Coordinators()
			continue
		case err != nil:
			e.fail("reach", "Start the NATS server, or name another one: --server nats://HOST:4222", "%s", strings.TrimSuffix(err.Error(), "."))
			return false
		}
		e.conns[r.Name] = nc
		accepted = append(accepted, r.File())
	}
	if len(e.conns) == 0 { // whatever the files say
		e.findings = nil
		e.fail("credentials", fixServer, "%s accepts none of the credentials: it is another NATS than they were made for, or is not in operator mode", broker.Redact(e.URLs))
		return false
	}
	if nc := e.conns[setup.Store.Name]; nc != nil {
		e.ok("reach", "%s, server %s", broker.Redact(e.URLs), nc.ConnectedServerName())
	}
	if len(accepted) > 0 {
		e.ok("credentials", "accepted: %s", strings.Join(accepted, ", "))
	}
	return all
}

const fixFit = "nats-server -c DIR/nats.conf starts one that has both, with the files of chatcoord init."

const fixServer = "The server knows neither the operator nor the account of these credentials. It must include the\naccounts.conf that chatcoord init has written beside them, and run in operator mode."

// say leaves a word of the examination in the audit log.
func (e *exam) say(audit *rpc.Audit) {
	audit.Write(chat.AuditServer, chat.Audit{Event: "server.doctor", Text: "chatcoord doctor examines the NATS server"})
}

// revocation says how soon a ban can hold.
func (e *exam) revocation() {
	if e.Keys.Deputy != nil {
		e.ok("revocation", "there is an operator signing key: a ban can hold at once")
		return
	}
	e.warn("revocation", "To ban at once, copy operator-signing.nk to the coordinators.",
		"no operator signing key: a banned user's ticket stays good until it expires")
}

// Failed counts the faults.
func Failed(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Level == Fail {
			n++
		}
	}
	return n
}

// Print writes one line for each finding, and under it how to fix it.
func Print(w io.Writer, findings []Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "%-5s %s: %s\n", f.Level, f.Check, chat.CleanLine(f.Text))
		if f.Fix == "" {
			continue
		}
		for line := range strings.SplitSeq(f.Fix, "\n") {
			fmt.Fprintf(w, "          %s\n", line)
		}
	}
}
