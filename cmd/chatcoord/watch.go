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

	"natter/chat"
	"natter/internal/console"
)

// watch prints the console of the coordinators of a broker until a signal comes. What
// it has to say itself goes to standard error, so that the console can be piped.
func (p *program) watch(ctx context.Context) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	go func() { // nobody watches what cannot be written
		select {
		case <-p.out.Failed():
			stop()
		case <-ctx.Done():
		}
	}()
	nc, err := p.dial("observer", p.connectionNotices(ctx)...)
	if err != nil {
		return err
	}
	defer nc.Close()
	view := console.New(console.Config{
		Out: p.out, JSON: p.logFormat.Value == "json", Show: p.show.Value, Color: p.colored(),
	})
	err = view.Subscribe(nc, "") // observers may be in no queue group, and see everything
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		return chat.Errorf(chat.Denied, "these credentials may not watch; a coordinator writes observer.creds into its data directory")
	case err != nil:
		return chat.Errorf(chat.NotConnected, "lost %s before it could be watched", p.server)
	}
	p.note(slog.LevelInfo, fmt.Sprintf("Watching %s. Ctrl+C ends it.", nc.ConnectedUrlRedacted()))
	if view.Serve(ctx) != nil {
		return chat.Errorf(chat.Denied, "%s does not let us in again; are the credentials still good?", p.server)
	}
	return nil
}

// untilSignal is ctx until a signal ends the program. Signals that are ignored stay ignored.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	heeded := slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGHUP}, signal.Ignored)
	return signal.NotifyContext(ctx, append(heeded, syscall.SIGTERM)...)
}

// connectionNotices say when the connection goes and comes, until ctx is done.
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
			_ = nc.FlushTimeout(2 * time.Second) // what happens from now on is shown
			back(nc)
		}),
	}
}
