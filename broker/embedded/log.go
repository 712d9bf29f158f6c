package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"natter/internal/private"

	"github.com/nats-io/nats-server/v2/server"
)

// logger hands the server's log to slog. A server logs "fatal" and goes on, or
// exits the program: here it is kept, so that Start can return it.
type logger struct {
	log    *slog.Logger
	failed func(line string) // told of what cannot be written

	mu    sync.Mutex
	first string // the first fatal line
}

func newLogger(log *slog.Logger, failed func(string)) *logger {
	return &logger{log: log.With("component", "nats"), failed: failed}
}

// Noticef logs what is normal: of interest only to who looks for a fault.
func (l *logger) Noticef(format string, v ...any) { l.log.Debug(line(format, v)) }

// Warnf logs a warning.
func (l *logger) Warnf(format string, v ...any) { l.problem(slog.LevelWarn, line(format, v)) }

// Errorf logs an error.
func (l *logger) Errorf(format string, v ...any) { l.problem(slog.LevelError, line(format, v)) }

// problem logs a line, and tells of a write that failed: NATS stores nothing from then on
// until it is started again, and says so nowhere else.
func (l *logger) problem(level slog.Level, text string) {
	for what, of := range theirs {
		if strings.Contains(text, what) {
			level = of
		}
	}
	l.log.Log(context.Background(), level, text)
	if l.failed == nil {
		return
	}
	for _, sign := range []string{"critical write error", "disabling JetStream", "will be DISABLED"} {
		if strings.Contains(text, sign) {
			l.failed(text)
		}
	}
}

// theirs are the errors of others, and the level that they have here. That a stranger does
// not speak TLS is none of ours; void tickets, and those of another installation, are how
// people are kept out.
var theirs = map[string]slog.Level{
	"TLS handshake error":  slog.LevelDebug,
	"authentication error": slog.LevelInfo,
	"Account fetch failed": slog.LevelInfo,

	"maximum connections exceeded": slog.LevelWarn,
}

// Debugf is never called: the server is not asked to debug.
func (l *logger) Debugf(format string, v ...any) { l.log.Debug(line(format, v)) }

// Tracef would show bodies of messages, which no log may have.
func (l *logger) Tracef(string, ...any) {}

// Fatalf keeps the line for Start.
func (l *logger) Fatalf(format string, v ...any) {
	text := line(format, v)
	l.log.Error(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = text
	}
}

// fatal is why a server with opts does not run, or nil.
func (l *logger) fatal(opts *server.Options) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.first == "":
		return nil
	case strings.HasPrefix(l.first, "Can't start JetStream"):
		return private.Errorf(ErrDataDir, "The state in %s cannot be used (%s).", opts.StoreDir, l.first)
	case strings.HasPrefix(l.first, "Error listening"): // taken since we looked
		return private.Errorf(ErrInUse, "Cannot listen on %s, port %d (%s).", opts.Host, opts.Port, l.first)
	}
	return errors.New("starting the embedded server: " + l.first)
}

func line(format string, v []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, v...))
}
