package chattest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/client"
	"natter/internal/coord"
	"natter/internal/keyfile"
	"natter/session"
)

// TestNobodyStandsInForAnother has a user connect under somebody else's public key in
// those fields of the connection that the server takes from the client unchecked. Whoever
// is lost is lost all the same.
func TestNobodyStandsInForAnother(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Rules.Grace = 100 * time.Millisecond })
	keys := t.TempDir()
	alice, bob := chattest.Dial(t, client.Config{URL: in.Server.URL(), KeyDir: keys}, "alice"), in.User("bob")
	in.User("mallory")
	chattest.Chat(alice, bob)

	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := in.Server.Minter().Mint(public, chat.UserGrant("mallory"), time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	options := append(broker.Options("mallory"), nats.UserInfo(publicKey(t, filepath.Join(keys, "alice.key")), "x"),
		nats.CustomInboxPrefix(chat.Inbox("mallory")),
		nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, pair.Sign))
	nc, err := nats.Connect(in.Server.URL(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByLoss {
		t.Fatalf("bob is told %+v", e)
	}
}

// publicKey is the public half of a key file.
func publicKey(t *testing.T, file string) string {
	t.Helper()
	f, err := keyfile.Read(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return f.PublicLogin()
}
