package embedded

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"natter/chat"

	"github.com/nats-io/nats.go"
)

func logTo(b *bytes.Buffer, level slog.Level) *logger {
	return newLogger(slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level})))
}

// What others do wrong is not shown where only warnings and errors are.
func TestErrorsOfOthers(t *testing.T) {
	var shown bytes.Buffer
	l := logTo(&shown, slog.LevelWarn)
	l.Errorf("127.0.0.1:1 - cid:1 - TLS handshake error: %v", "EOF")
	l.Errorf("127.0.0.1:1 - cid:1 - authentication error")
	l.Errorf("127.0.0.1:1 - cid:1 - \"v1:go:x\" - Publish Violation - Subject %q", "a")
	l.Errorf("127.0.0.1:1 - cid:1 - something else")
	l.Warnf("Account fetch failed: %v", "account missing")
	if shown.Len() > 0 {
		t.Errorf("shown:\n%s", &shown)
	}
	l.Errorf("write failed")
	l.Warnf("slow")
	l.Errorf("pipe - cid:1 - \"store\" - Publish Violation - Subject %q", "ours")
	l.Errorf("127.0.0.1:1 - cid:1 - maximum connections exceeded")
	if strings.Count(shown.String(), "\n") != 4 {
		t.Errorf("shown:\n%s", &shown)
	}
}

// What a client says of itself is neither logged nor part of a format.
func TestClientsOwnWords(t *testing.T) {
	for format, want := range map[string]string{
		`10.0.0.1:5 - cid:7 - "v1:go:write failed - \" %s" - "ACC/U" - Publish Violation - Subject %q`: `Publish Violation - Subject "sub"`,
		`[fe80::1%%eth0]:5 - cid:7 - Publish Violation - Subject %q`:                                   `Publish Violation - Subject "sub"`,
		"Publish Violation - Subject %q":                                                               `Publish Violation - Subject "sub"`,
	} {
		if _, text := parseLine(format, []any{"sub"}); text != want {
			t.Errorf("%s: %s", format, text)
		}
	}
	host, text := parseLine("%s - %s%s", []any{named(`10.0.0.1:5 - cid:7 - "%s"`), "slow", ""})
	if host != "10.0.0.1" || text != "slow" {
		t.Errorf("%s: %s", host, text)
	}
	if _, text := parseLine(strings.Repeat("x", 10_000), nil); len(text) > 2*longest {
		t.Errorf("%d bytes", len(text))
	}
}

type named string

func (n named) String() string { return string(n) }

// However many lines a client causes, one a minute is logged for each address.
func TestLinesPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown bytes.Buffer
		l := logTo(&shown, slog.LevelInfo)
		refuse := func(from string) { l.Errorf(from+" - cid:1 - Publish Violation - Subject %q", subject()) }
		for range 20_000 {
			refuse("10.0.0.1:1")
			refuse("10.0.0.1:2")
			refuse("10.0.0.2:1")
		}
		if n := strings.Count(shown.String(), "\n"); n != 2 {
			t.Errorf("%d lines in the first minute:\n%.400s", n, &shown)
		}
		<-time.After(logEvery)
		shown.Reset()
		refuse("10.0.0.1:1")
		if n := strings.Count(shown.String(), "\n"); n != 2 || !strings.Contains(shown.String(), "lines=59998") {
			t.Errorf("in the next minute:\n%.400s", &shown)
		}
		shown.Reset()
		for i := range 5000 {
			refuse(fmt.Sprintf("10.1.%d.%d:1", i/250, i%250))
		}
		if n := strings.Count(shown.String(), "\n"); n > mostSeen {
			t.Errorf("%d lines of 5000 addresses", n)
		}
	})
}

var count int

func subject() string { count++; return fmt.Sprint("subject", count) }

// A connection that is named like a failing disk, and is refused something, changes nothing.
func TestNamedLikeAFailure(t *testing.T) {
	var shown bytes.Buffer
	srv, err := Start(Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&shown, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	for _, name := range []string{"critical write error", "disabling JetStream", "JetStream will be DISABLED", "authentication error %s"} {
		nc, err := nats.Connect(srv.URL(), nats.Name(name), nats.CustomInboxPrefix(chat.LobbyInbox), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := nc.Publish("not.permitted", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	if err := srv.disk.look(true); err != nil {
		t.Error(err)
	}
	if err := srv.disk.ask(); err != nil || srv.Storing().Err() != nil {
		t.Errorf("%v, %v", err, srv.Storing().Err())
	}
	srv.Stop()
	if shown.Len() > 0 {
		t.Errorf("shown:\n%s", &shown)
	}
}
