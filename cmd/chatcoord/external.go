package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"natter/broker"
	"natter/chat"
	"natter/internal/coord"
	"natter/internal/flags"
)

// mostReplicas is how many servers keep each stream, where they are a cluster.
const mostReplicas = 3

// external reports whether the coordinator is to use a NATS server that is not its own.
func (c *config) external() bool { return c.given("server") || c.given("keys") }

// checkExternal is check for a coordinator on a NATS server that is not its own.
func (c *config) checkExternal() error {
	if c.keys == "" {
		return flags.Usagef("--server names a NATS server for which chatcoord needs credentials: --keys DIR, as written by chatcoord init")
	}
	for _, own := range []string{"listen", "data-dir", "ephemeral", "tls", "accept-loss"} {
		if c.given(own) {
			return flags.Usagef("--%s is for the embedded server, and --server uses another one", own)
		}
	}
	if strings.TrimSpace(c.server) == "" {
		return flags.Usagef("--server names no server, for example nats://127.0.0.1:4222")
	}
	return nil
}

// serveExternal runs a coordinator on a NATS server that is not its own. Others may
// run beside it.
func (p *program) serveExternal(log *slog.Logger, told <-chan os.Signal) error {
	if _, err := p.fromFiles(); err != nil {
		return err
	}
	links, err := p.reach(log, told)
	if links == nil {
		return err
	}
	defer links.Close()
	urls := broker.Redact(p.server)
	return p.coordinate("NATS at "+urls, p.watchWith(urls, p.keys), links, func() error { return nil }, log, told, nil)
}

// tryAgain is the pause between tries to connect with --wait-server.
const tryAgain = 500 * time.Millisecond

// reach connects to the server, and tries again for the time of --wait-server. It returns nothing if a
// signal comes first.
func (p *program) reach(log *slog.Logger, told <-chan os.Signal) (*coord.Connections, error) {
	secured, err := p.secured()
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(p.waitServer.D)
	for tried := false; ; tried = true {
		links, err := coord.Dial(p.server, p.keys, log, secured...)
		var why *chat.Error
		if err == nil || !errors.As(err, &why) || why.Code != chat.NotConnected || !time.Now().Before(until) {
			return links, err
		}
		if !tried {
			log.Warn("waiting for the NATS server", "err", why)
		}
		select {
		case <-time.After(tryAgain):
		case <-told:
			return nil, nil
		}
	}
}

// credsOf is the file with the credentials of a verb.
func (c *config) credsOf(who string) string {
	switch {
	case c.creds != "":
		return c.creds
	case c.keys != "":
		return filepath.Join(c.keys, who+".creds")
	}
	return filepath.Join(c.dataDir, who+".creds")
}
