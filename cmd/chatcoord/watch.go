package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/console"
)

// watch prints the console of the coordinators of a broker until a signal. Its own messages go to
// standard error, so that the console can be piped.
func (p *program) watch(ctx context.Context) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	p.out.OnFailure(stop) // ends when the output fails
	nc, err := p.dial("observer", p.connectionNotices(ctx)...)
	if err != nil {
		return err
	}
	defer nc.Close()
	view := console.New(console.Config{
		Out: p.out, JSON: p.logFormat.Value == "json", Show: p.show.Value, Color: p.colored(),
	})
	view.Ask(asker(ctx, nc))
	err = view.Subscribe(nc, "") // observers may be in no queue group, and see everything
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		return chat.Errorf(chat.Denied, "these credentials may not watch that. With observer.creds, which a coordinator writes into its data directory, one may watch everything; with audit.creds what is done: --show actions")
	case err != nil:
		return chat.Errorf(chat.NotConnected, "lost %s before it could be watched", broker.Redact(p.server))
	}
	p.note(slog.LevelInfo, fmt.Sprintf("Watching %s. Ctrl+C ends it.", nc.ConnectedUrlRedacted()))
	if view.Serve(ctx) != nil {
		return chat.Errorf(chat.Denied, "%s does not let us in again; are the credentials still good?", broker.Redact(p.server))
	}
	return nil
}

// untilSignal returns a context that a signal ends. Ignored signals stay ignored.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	heeded := slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGHUP}, signal.Ignored)
	return signal.NotifyContext(ctx, append(heeded, syscall.SIGTERM)...)
}

const (
	// watchWait is how long a coordinator may take to say who is in a session.
	watchWait = time.Second
	// watchPause is the pause after a question without an answer.
	watchPause = 5 * time.Second
)

// asker asks the coordinators who is in a session.
func asker(ctx context.Context, nc *nats.Conn) func(id string) (chat.WatchReply, bool) {
	var silent time.Time
	return func(id string) (chat.WatchReply, bool) {
		if time.Since(silent) < watchPause {
			return chat.WatchReply{}, false
		}
		ctx, cancel := context.WithTimeout(ctx, watchWait)
		defer cancel()
		w, err := rpc.Call(ctx, nc, chat.WatchSession, chat.Address{}, chat.WatchRequest{Session: id})
		if err != nil {
			silent = time.Now()
		}
		return w, err == nil
	}
}

// connectionNotices reports when the connection is lost and back, until ctx is done.
func (p *program) connectionNotices(ctx context.Context) []nats.Option {
	notice := func(level slog.Level, text string) nats.ConnHandler {
		return func(*nats.Conn) {
			if ctx.Err() == nil {
				p.note(level, text)
			}
		}
	}
	lost := notice(slog.LevelWarn, "Connection lost. Trying again; what happens until then is not shown.")
	back := notice(slog.LevelInfo, "Connection is back.")
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, _ error) { lost(nc) }),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			_ = nc.FlushTimeout(2 * time.Second) // events from now on are shown
			back(nc)
		}),
	}
}
