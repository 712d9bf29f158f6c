package backup_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/backup"
)

func restorable(t *testing.T) *backup.Contents {
	t.Helper()
	text, _ := saved(t)
	c, err := backup.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Who is left with half of a backup is told how much is there, and what to do.
func TestHalfIsTold(t *testing.T) {
	c := restorable(t)
	nc := store(t, brokertest.RunIn(t, t.TempDir()))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := broker.StreamConfigs(jetstream.FileStorage, 1)[0]
	cfg.MaxMsgs = 1
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var told *chat.Error
	if err := c.Into(t.Context(), nc, false); !errors.As(err, &told) {
		t.Fatal(err)
	}
	for _, words := range []string{"has stored 1 of 3 records", "account.bob: ", "maximum messages", "restore --again"} {
		if !strings.Contains(told.Text, words) {
			t.Errorf("%q does not say %q", told.Text, words)
		}
	}
}

// A record does not wait until the disk has the one before.
func TestManyOnTheWay(t *testing.T) {
	c := restorable(t)
	srv := brokertest.RunIn(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	nc := deaf(t, srv, 3)
	if n, err := c.IntoWithin(ctx, nc, time.Minute); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got := records(t, nc, broker.AccountsStream); len(got) != 2 {
		t.Error(got)
	}
}

// A server that acknowledges nothing is given up, and only that.
func TestStandstill(t *testing.T) {
	c := restorable(t)
	n, err := c.IntoWithin(t.Context(), deaf(t, brokertest.RunIn(t, t.TempDir()), 4), 100*time.Millisecond)
	if n != 0 || err == nil || !strings.Contains(err.Error(), "acknowledges nothing") {
		t.Errorf("%d, %v", n, err)
	}
}

// deaf is a connection that hears nothing from its first record until so many were sent.
func deaf(t *testing.T, srv *embedded.Server, until int) *nats.Conn {
	t.Helper()
	jwt, key, err := srv.Minter().Creds(chat.StoringGrant(), 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(srv.URL(), nats.SetCustomDialer(dialer(until)), nats.NoReconnect(), nats.CustomInboxPrefix(chat.StoreInbox),
		nats.UserJWT(func() (string, error) { return jwt, nil }, key.Sign))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

type dialer int

func (until dialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return &deafConn{Conn: c, until: int(until), hears: make(chan struct{})}, err
}

type deafConn struct {
	net.Conn
	until int
	once  sync.Once
	hears chan struct{} // closed when it hears again, or for ever nothing

	mu   sync.Mutex
	sent int // records
}

func (c *deafConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.sent += bytes.Count(b, []byte("HPUB "+chat.StateRoot+"."))
	if c.sent >= c.until {
		c.hear()
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	waits := c.sent > 0
	c.mu.Unlock()
	if waits {
		<-c.hears
	}
	return n, err
}

func (c *deafConn) Close() error {
	c.hear()
	return c.Conn.Close()
}

func (c *deafConn) hear() { c.once.Do(func() { close(c.hears) }) }
