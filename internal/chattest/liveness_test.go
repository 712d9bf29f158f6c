package chattest_test

import (
	"bytes"
	"os"
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
	seed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestWhoIsLostAndDoesNotNotice has the coordinator hear that a connection is gone which is
// up, as it seems to be while the connection's server is cut off from the others: the user
// is back before the grace time is over, and the chat goes on.
func TestWhoIsLostAndDoesNotNotice(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Shared = true })
	account := "$SYS.ACCOUNT." + in.Server.ChatAccount()
	system, err := in.Server.DialSystem("test", chat.Grant{Publish: []string{account + ".>"}, Subscribe: []string{account + ".>"}}, chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	connects, err := system.SubscribeSync(account + ".CONNECT")
	if err != nil {
		t.Fatal(err)
	}
	if err := system.Flush(); err != nil {
		t.Fatal(err)
	}
	bob := in.User("bob")
	alice := in.User("alice")
	chattest.Chat(alice, bob)
	event := &nats.Msg{}
	for !bytes.Contains(event.Data, []byte("chatcli alice")) {
		if event, err = connects.NextMsg(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := system.Publish(account+".DISCONNECT", event.Data); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.MemberLost](bob)
	chattest.Wait[session.MemberBack](bob)
	if err := alice.Say("was I away?"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Text](bob)
}
