package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"natter/internal/private"

	"github.com/nats-io/nats-server/v2/server"
)

// logger hands the server's log to slog. Nothing is concluded from what the lines say: they
// contain what clients say of themselves. A server logs "fatal" and goes on, or exits the
// program: here it is kept, so that Start can return it.
type logger struct {
	log *slog.Logger

	mu    sync.Mutex
	first string // the first fatal line

	since time.Time      // when the minute began
	seen  map[fault]bool // what was logged in it
	more  int            // lines that were not
}

// fault is a kind of line about a client: of each, one a minute is logged.
type fault struct {
	host string
	kind int // in faults
}

const (
	logEvery  = time.Minute
	mostSeen  = 1000 // lines about clients a minute at most
	longest   = 400  // bytes of a line, which may contain a subject
	otherKind = -1
)

// faults are what clients do wrong, by the words with which the server begins, and the level
// that they have here. That a stranger does not speak TLS is none of ours; void tickets, and
// those of another installation, are how people are kept out.
var faults = []struct {
	words string
	level slog.Level
}{
	{"TLS handshake error", slog.LevelDebug},
	{"authentication error", slog.LevelInfo},
	{"Account fetch failed", slog.LevelInfo},
	{"Publish Violation", slog.LevelInfo},
	{"Subscription Violation", slog.LevelInfo},
	{"maximum connections exceeded", slog.LevelWarn},
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log.With("component", "nats"), seen: map[fault]bool{}}
}

// Noticef logs what is normal: of interest only to who looks for a fault.
func (l *logger) Noticef(format string, v ...any) { l.problem(slog.LevelDebug, format, v) }

// Warnf logs a warning.
func (l *logger) Warnf(format string, v ...any) { l.problem(slog.LevelWarn, format, v) }

// Errorf logs an error.
func (l *logger) Errorf(format string, v ...any) { l.problem(slog.LevelError, format, v) }

// problem logs a line. One about a client is logged once a minute for each kind and address,
// and never as an error of ours.
func (l *logger) problem(level slog.Level, format string, v []any) {
	ctx := context.Background()
	host, text := parseLine(format, v)
	kind := kindOf(text)
	switch {
	case host == "" && kind == otherKind, host == inProcess:
		l.log.Log(ctx, level, text)
		return
	case kind == otherKind:
		level = min(level, slog.LevelInfo)
	default:
		level = min(level, faults[kind].level)
	}
	if !l.log.Enabled(ctx, level) {
		return
	}
	due, more := l.due(fault{host, kind}, time.Now())
	if more > 0 {
		l.log.Info("lines about clients were left out", "lines", more)
	}
	if due {
		l.log.Log(ctx, level, text, "client", host)
	}
}

// kindOf finds a line among the faults.
func kindOf(text string) int {
	for i, f := range faults {
		if strings.HasPrefix(text, f.words) {
			return i
		}
	}
	return otherKind
}

// due reports whether a line is to be logged, and how many were left out in the minute before.
func (l *logger) due(f fault, now time.Time) (due bool, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= logEvery {
		more, l.more = l.more, 0
		l.since = now
		clear(l.seen)
	}
	if l.seen[f] || len(l.seen) >= mostSeen {
		l.more++
		return false, more
	}
	l.seen[f] = true
	return true, more
}

// inProcess is the address of a connection within this process.
const inProcess = "pipe"

// aboutClient is how a line begins that is about a client: its address and number, and then,
// quoted, what it says of itself.
var aboutClient = regexp.MustCompile(`^([^ ]+) - [a-z_]+:[0-9]+(?: - "(?:[^"\\]|\\.)*")* - `)

// parseLine returns the address of the client that a line is about, "" if it is about none, and
// the rest of the line in the server's words. What the client says of itself is left out: it
// would be part of the format otherwise, and could make a line of any length.
func parseLine(format string, v []any) (host, text string) {
	if len(v) > 0 && strings.HasPrefix(format, "%s - ") {
		if c, ok := v[0].(fmt.Stringer); ok {
			format, v = c.String()+format[len("%s"):], v[1:]
		}
	}
	if m := aboutClient.FindStringSubmatch(format); m != nil {
		host, format = hostOf(m[1]), format[len(m[0]):]
	}
	if len(v) > 0 {
		format = fmt.Sprintf(format, v...)
	}
	if text = strings.TrimSpace(format); len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return host, text
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// Debugf is never called: the server is not asked to debug.
func (l *logger) Debugf(format string, v ...any) { l.problem(slog.LevelDebug, format, v) }

// Tracef would show bodies of messages, which no log may have.
func (l *logger) Tracef(string, ...any) {}

// Fatalf keeps the line for Start.
func (l *logger) Fatalf(format string, v ...any) {
	_, text := parseLine(format, v)
	l.log.Error(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = text
	}
}

// fatal is why a server with opts does not run, or nil. Without a state, or with a state that
// can be used, it is why it does not listen.
func (l *logger) fatal(opts *server.Options, state string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		return nil
	}
	if _, err := checkFree(opts.Host, opts.Port); err != nil { // taken since we looked
		return err
	}
	if state != "" {
		return private.Errorf(ErrDataDir, "The state in %s cannot be used (%s).", state, l.first)
	}
	return errors.New("starting the embedded server: " + l.first)
}
