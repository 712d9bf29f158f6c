package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"natter/broker"
	"natter/broker/embedded"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/console"
	"natter/internal/flags"
)

// logFlags say which records of the audit log are wanted.
type logFlags struct{ since, until, user, session string }

func (p *program) logVerb() *cobra.Command {
	var f logFlags
	return p.command(verb{
		use: "log", short: "print the audit log: requests, actions, refusals",
		long: "Print the audit log: requests, actions and refusals, as the console shows\n" +
			"them, without messages. If no coordinator runs, that of the data\n" +
			"directory. A time is 2026-01-31, \"2026-01-31 15:04\", 15:04 today, or how\nlong ago: 2h.",
		flags: asking(),
		own: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.since, "since", "", "from this `time` on")
			fs.StringVar(&f.until, "until", "", "up to this `time`")
			fs.StringVar(&f.user, "user", "", "only what names this user, a `name`")
			fs.StringVar(&f.session, "session", "", "only of the session or invitation with this `id`; its beginning will do")
		},
		run: func(ctx context.Context, _ []string) error { return p.log(ctx, f) },
	})
}

// request returns the request for the flags.
func (f logFlags) request(now time.Time) (q chat.LogRequest, err error) {
	if q.Since, err = parseTime("since", f.since, now); err != nil {
		return q, err
	}
	if q.Until, err = parseTime("until", f.until, now); err != nil {
		return q, err
	}
	if f.user != "" {
		if _, err := chat.ParseName(f.user); err != nil {
			return q, flags.Usagef("--user: %v", err)
		}
	}
	if f.session != "" && !regexp.MustCompile(`^[0-9a-f]{1,32}$`).MatchString(f.session) {
		return q, flags.Usagef("--session: %q is not the beginning of an id, such as 7f3a9c", chat.CleanLine(f.session))
	}
	q.User, q.Session = f.user, f.session
	return q, nil
}

// timeLayouts are the formats of --since and --until, in local time unless they have a zone.
var timeLayouts = []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// parseTime parses a time, or a duration before now.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, flags.Usagef("--%s: %q is not a time; write 2026-01-31, \"2026-01-31 15:04\", 15:04 for today, or 2h for two hours ago", flag, chat.CleanLine(text))
}

// log prints the audit log of a running coordinator or, if none runs, of the data directory.
func (p *program) log(ctx context.Context, f logFlags) error {
	q, err := f.request(time.Now())
	if err != nil {
		return err
	}
	_, err = order(ctx, p, chat.AdminLog, q, func(ctx context.Context, nc *nats.Conn, r chat.Request[chat.LogRequest, chat.LogReply], a chat.Address, q chat.LogRequest) (chat.LogReply, error) {
		return chat.LogReply{}, p.printLog(q, func(q chat.LogRequest) (chat.LogReply, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
			defer cancel()
			return rpc.Call(ctx, nc, r, a, q)
		})
	})
	if errors.Is(err, &chat.Error{Code: chat.NotConnected}) && p.stopped() {
		return p.logOfStopped(q)
	}
	return err
}

// stopped reports whether there is a data directory, and no server was named.
func (p *program) stopped() bool {
	_, err := os.Stat(filepath.Join(p.dataDir, "jetstream"))
	return err == nil && !p.given("server") && !p.given("keys") && !p.given("creds")
}

// logOfStopped starts the embedded server without a listener to read the audit log.
func (p *program) logOfStopped(q chat.LogRequest) error {
	p.note(slog.LevelInfo, fmt.Sprintf("No coordinator answers at %s; reading the audit log in %s.", broker.Redact(p.server), p.dataDir))
	srv, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: p.dataDir, Shut: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer srv.Shutdown()
	nc, err := srv.Dial("log", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		return err
	}
	defer nc.Close()
	return p.printLog(q, func(q chat.LogRequest) (chat.LogReply, error) {
		ctx, cancel := context.WithTimeout(context.Background(), askFor)
		defer cancel()
		return rpc.ReadAudit(ctx, nc, q)
	})
}

// printLog prints the audit log, part by part.
func (p *program) printLog(q chat.LogRequest, read func(chat.LogRequest) (chat.LogReply, error)) error {
	missing := uint64(0)
	for {
		part, err := read(q)
		if err != nil {
			return err
		}
		var text []byte
		for _, a := range part.Records {
			if p.json {
				text = console.AppendJSON(text, a)
			} else {
				text = console.AppendText(text, a, time.Local, p.colored())
			}
		}
		if _, err := p.out.Write(text); err != nil {
			return err
		}
		missing, q.After = missing+part.Missing, part.After
		if !part.More {
			break
		}
	}
	if missing > 0 {
		p.note(slog.LevelWarn, fmt.Sprintf("%d records between the first and the last one that were read are missing or damaged.", missing))
	}
	return nil
}
