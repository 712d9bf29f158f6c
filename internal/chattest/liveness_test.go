package chattest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
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
	nc, err := broker.Connect(t.Context(), in.Server.URL(), "mallory", nats.UserInfo(publicKey(t, filepath.Join(keys, "alice.key")), "x"),
		nats.CustomInboxPrefix(chat.Inbox("mallory")),
		nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, pair.Sign))
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

// systemOf is a connection that hears and tells of connections, below a subject.
func systemOf(t *testing.T, in *chattest.Installation) (system *nats.Conn, account string) {
	t.Helper()
	account = "$SYS.ACCOUNT." + in.Server.ChatAccount()
	system = must(in.Server.DialSystem("test", chat.Grant{Publish: []string{account + ".>"}, Subscribe: []string{account + ".>"}}, chat.StoreInbox))(t)
	t.Cleanup(system.Close)
	return system, account
}

// of reports whether an event is of a connection whose ticket lets it publish on a subject.
func of(event []byte, subject string) bool {
	var e struct {
		Client struct {
			JWT string `json:"jwt"`
		} `json:"client"`
	}
	parts := []string{}
	if json.Unmarshal(event, &e) == nil {
		parts = strings.Split(e.Client.JWT, ".")
	}
	if len(parts) != 3 {
		return false
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && bytes.Contains(claims, []byte(`"`+subject+`"`))
}

// apart has the coordinator hear that alice's connection is gone which is up, as it seems
// to be while the connection's server is cut off from the others. back connects it again.
func apart(t *testing.T, in *chattest.Installation, meanwhile func(alice *chattest.User)) (alice *chattest.User, back func()) {
	t.Helper()
	system, account := systemOf(t, in)
	connects, err := system.SubscribeSync(account + ".CONNECT")
	if err != nil {
		t.Fatal(err)
	}
	if err := system.Flush(); err != nil {
		t.Fatal(err)
	}
	alice = in.User("alice")
	meanwhile(alice)
	event := &nats.Msg{}
	for !of(event.Data, chat.UserGrant("alice").Publish[1]) {
		if event, err = connects.NextMsg(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(what string) {
		if err := errors.Join(system.Publish(account+what, event.Data), system.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	tell(".DISCONNECT")
	return alice, func() { tell(".CONNECT") }
}

// TestWhoIsLostAndDoesNotNotice: a user whose connection is up is back before the grace
// time is over, and the chat goes on.
func TestWhoIsLostAndDoesNotNotice(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Shared = true })
	bob := in.User("bob")
	alice, _ := apart(t, in, func(alice *chattest.User) { chattest.Chat(alice, bob) })
	chattest.Wait[session.MemberLost](bob)
	chattest.Wait[session.MemberBack](bob)
	if err := alice.Say("was I away?"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[chattest.Text](bob)
}

// TestWhoIsForgottenAndDoesNotNotice: the grace time is over before the user's server is back.
// The coordinator takes the ticket back and closes the connection, and the user is here again.
func TestWhoIsForgottenAndDoesNotNotice(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Rules.Grace = 100 * time.Millisecond })
	bob := in.User("bob")
	alice, back := apart(t, in, func(alice *chattest.User) { chattest.Chat(alice, bob) })
	chattest.Wait[session.Ended](bob)
	back()
	chattest.Wait[client.Lost](alice)
	chattest.Wait[client.Connected](alice)
	chattest.Chat(bob, alice)
}

// TestFalsePlaces: who says a place where they are not is not let in on another connection of
// theirs, and keeps nobody waiting: one false place after the other is refused at once.
func TestFalsePlaces(t *testing.T) {
	in := chattest.Run(t)
	mallory, bob := intrude(t, in, "mallory"), intrude(t, in, "bob")
	id := must(mallory.GetClientID())(t)
	hello := chat.HelloRequest{Proto: chat.Proto, Name: "mallory", Terminal: theirs}
	began := time.Now()
	for _, p := range []chat.Place{
		{Server: mallory.ConnectedServerId(), Connection: id + 1000},
		{Server: bob.ConnectedServerId(), Connection: must(bob.GetClientID())(t)},
		{Server: strings.Replace(mallory.ConnectedServerId(), "N", "n", 1), Connection: id},
		{Server: must(must(nkeys.CreateServer())(t).PublicKey())(t), Connection: id},
		{Server: "PING", Connection: id}, {Server: "*", Connection: id}, {Server: "a b", Connection: id}, {Server: ">", Connection: id},
	} {
		hello.Place = &p
		_, err := ask(mallory, chat.Hello, hello)
		code(t, p.Server, err, chat.Timeout)
	}
	if took := time.Since(began); took > 8*time.Second { // each would have had two
		t.Errorf("refused after %s", took)
	}
	hello.Place = &chat.Place{Server: mallory.ConnectedServerId(), Connection: id}
	must(ask(mallory, chat.Hello, hello))(t)
}

// TestHelloOfADeadProgram: a try of a hello that waited until its program had ended, and of
// which the coordinator has not heard that it has, takes nothing over.
func TestHelloOfADeadProgram(t *testing.T) {
	in := chattest.Run(t)
	system, account := systemOf(t, in)
	connects, ends := must(system.SubscribeSync(account+".CONNECT"))(t), must(system.SubscribeSync(account+".DISCONNECT"))(t)
	if err := system.Flush(); err != nil {
		t.Fatal(err)
	}
	mallory := intrude(t, in, "mallory")
	dead := holder(t, in, mallory.ticket, mallory.key, chat.Inbox("mallory"))
	place := chat.Place{Server: dead.ConnectedServerId(), Connection: must(dead.GetClientID())(t)}
	of := func(sub *nats.Subscription) *nats.Msg {
		for {
			e := must(sub.NextMsg(timeout))(t)
			if bytes.Contains(e.Data, fmt.Appendf(nil, `"id":%d,"acc"`, place.Connection)) {
				return e
			}
		}
	}
	connected := of(connects)
	says := chat.HelloRequest{Proto: chat.Proto, Name: "mallory", Terminal: "dead", Place: &place}
	dead.Close()
	of(ends)
	says.Terminal, says.Place = theirs, &chat.Place{Server: mallory.ConnectedServerId(), Connection: must(mallory.GetClientID())(t)}
	must(ask(mallory, chat.Hello, says))(t)
	if err := errors.Join(system.Publish(connected.Subject, connected.Data), system.Flush()); err != nil {
		t.Fatal(err)
	}
	late := says
	late.Terminal, late.Place, late.Takeover = "dead", &place, true
	_, err := ask(mallory, chat.Hello, late)
	chattest.Code(t, err, chat.Timeout)
	says.Takeover = true // and the new one is here still: it takes nothing over
	if reply := must(ask(mallory, chat.Hello, says))(t); !reply.Back {
		t.Errorf("mallory is no longer here: %+v", reply)
	}
}

// TestComingBackIsCheap: to find one connection a server goes through all that it has, which is
// too much when thousands come back. It is asked about nobody who does; where they are the
// operator sees all the same, though not from which port.
func TestComingBackIsCheap(t *testing.T) {
	in := chattest.Run(t)
	const questions = "$SYS.REQ.SERVER.*.CONNZ"
	system, err := in.Server.DialSystem("test", chat.Grant{Publish: []string{"$SYS.REQ.SERVER.*.KICK"}, Subscribe: []string{questions, chat.StoreInbox + ".>"}}, chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(system.Close)
	asked, err := system.SubscribeSync(questions)
	if err != nil {
		t.Fatal(err)
	}
	searches := func() (n int) {
		if err := system.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			switch m, err := asked.NextMsg(0); {
			case err != nil:
				return n
			case bytes.Contains(m.Data, []byte(`"cid"`)):
				n++
			}
		}
	}
	alice := in.User("alice")
	if searches() == 0 {
		t.Error("where a newcomer is was not asked")
	}
	first := here(t, in)
	if _, err := netip.ParseAddrPort(first.Address); err != nil {
		t.Error(err)
	}
	searches() // that the operator has asked for
	if _, err := system.Request("$SYS.REQ.SERVER."+first.Server+".KICK", fmt.Appendf(nil, `{"cid":%d}`, first.Connection), timeout); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Connected](alice)
	if n := searches(); n > 0 {
		t.Errorf("the server had to search %d times", n)
	}
	if u := here(t, in); u.Connection == first.Connection || u.Address != "127.0.0.1" {
		t.Errorf("%+v is where %+v was", u, first)
	}
}

// here is the only user, as the operator sees them.
func here(t *testing.T, in *chattest.Installation) chat.AdminUser {
	t.Helper()
	all := must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t)
	if len(all.Users) != 1 {
		t.Fatalf("%+v", all)
	}
	return all.Users[0]
}
