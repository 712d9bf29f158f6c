package chattest_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// hurried is a coordinator that waits a moment only for who is to connect.
func hurried(c *coord.Config) { quiet(c); c.ConnLimits.HelloIn = time.Second }

func isHere(t *testing.T, in *chattest.Installation) []string {
	t.Helper()
	var names []string
	for _, u := range must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users {
		names = append(names, string(u.Name))
	}
	return names
}

// A cold login is two requests: name, hello and presence in the lobby, and a hello whose answer
// says that the new name is stored.
func TestRequestsOfANewUser(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	heard := listenTo(t, in)
	cfg := client.Config{URL: in.Server.URL(), Log: in.Config.Log, Presence: chat.Visible, KeyDir: t.TempDir()}
	c := must(client.Dial(t.Context(), cfg))(t)
	t.Cleanup(c.Close)
	w := must(c.Enter(t.Context(), "Alice"))(t)
	if w.Returning || w.Presence != chat.Visible || w.Rules.MaxText != chat.MaxText {
		t.Errorf("%+v", w)
	}
	asked := 0
	for _, m := range heard.heard(t) {
		if strings.HasPrefix(m.Subject, "chat.lobby.") || strings.HasPrefix(m.Subject, "chat.coord.") {
			asked++
		}
	}
	if asked != 2 { // the second one is answered when the name is stored
		t.Errorf("alice asked %d times", asked)
	}
	if users := must(in.User("bob").List(t.Context()))(t); len(users) != 1 || users[0].Name != "Alice" {
		t.Errorf("bob sees %+v", users)
	}
	eventually(t, "the name is hers for good", func() bool {
		acc, _, err := store(t, in).Get(t.Context(), "alice")
		return err == nil && acc.Taken() && acc.Presence == chat.Visible
	})
	for _, u := range must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users {
		if _, err := netip.ParseAddrPort(u.Address); u.Connection == 0 || u.Server == "" || err != nil {
			t.Errorf("%+v", u)
		}
	}
}

// Who has said no hello can say nothing to anybody.
func TestNobodySpeaksBeforeTheyAreLetIn(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	in.User("bob")
	key := newLogin(t)
	reply := entering(t, in, key, chat.EnterRequest{Name: "mallory"})
	if reply.Error != nil || reply.Hello != nil {
		t.Fatalf("%+v", reply)
	}
	conn := holder(t, in, reply.Ticket, key, chat.Inbox("mallory"))
	for _, subject := range []string{"chat.dm.bob.mallory", "chat.session.x.msg.mallory", "chat.user.bob.session"} {
		if conn.MayPublish(t, subject) {
			t.Errorf("mallory may publish on %s", subject)
		}
	}
	if conn.MaySubscribe(t, "chat.dm.mallory.*", "") {
		t.Error("mallory may hear direct messages")
	}
	if names := isHere(t, in); slices.Contains(names, "mallory") {
		t.Errorf("present are %v", names)
	}
	m := &intruder{t: t, in: in, user: "mallory", key: key, Conn: conn}
	_, err := ask(m, chat.List, chat.ListRequest{})
	code(t, "a list", err, chat.NotRegistered)
}

// A request in the lobby counts only with the signature of its key over all of it.
func TestLobbyRequestsAreSigned(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	in.User("bob")
	x := examine(t, in)
	before := x.streams()
	key, other := newLogin(t), newLogin(t)
	seal := must(must(nkeys.CreateCurveKeys())(t).PublicKey())(t)
	good := chat.EnterRequest{Proto: chat.Proto, Name: "alice", Key: key.public, Seal: seal, Hello: &chat.EnterHello{Terminal: "t", Presence: chat.HiddenAway}}
	lobby := brokertest.Lobby(t, in.Server)
	for what, change := range map[string]func(*chat.EnterRequest){
		"unsigned":         func(q *chat.EnterRequest) { q.Proof = nil },
		"by another key":   func(q *chat.EnterRequest) { q.Proof = other.prove(t, *q) },
		"another name":     func(q *chat.EnterRequest) { q.Name = "alice2" },
		"another key":      func(q *chat.EnterRequest) { q.Key = other.public },
		"another seal":     func(q *chat.EnterRequest) { q.Seal = must(must(nkeys.CreateCurveKeys())(t).PublicKey())(t) },
		"a takeover":       func(q *chat.EnterRequest) { q.Takeover = true },
		"no hello":         func(q *chat.EnterRequest) { q.Hello = nil },
		"another presence": func(q *chat.EnterRequest) { q.Hello = &chat.EnterHello{Terminal: "t", Presence: chat.Visible} },
		"another terminal": func(q *chat.EnterRequest) { q.Hello = &chat.EnterHello{Terminal: "u", Presence: chat.HiddenAway} },
		"an identity": func(q *chat.EnterRequest) {
			q.Hello = &chat.EnterHello{Terminal: "t", Presence: chat.HiddenAway, Identity: "i"}
		},
	} {
		q := good
		q.Proof = key.prove(t, good)
		change(&q)
		m := must(lobby.Request(chat.Enter.Subject(chat.Address{}), must(json.Marshal(q))(t), timeout))(t)
		var box chat.Sealed
		if told := refusal(t, m); told != nil || json.Unmarshal(m.Data, &box) != nil || len(box.Box) == 0 {
			t.Errorf("%s: %v", what, told)
		}
	}
	if names := isHere(t, in); !slices.Equal(names, []string{"bob"}) {
		t.Errorf("present are %v", names)
	}
	if after := x.stream(broker.AccountsStream); !strings.Contains(before, after) {
		t.Errorf("something was stored:\n%.300s", after)
	}
}

// Who takes a name and does not connect is gone soon, and keeps nobody from it.
func TestWhoDoesNotConnect(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, hurried)
	heard := listenTo(t, in)
	key := newLogin(t)
	reply := entering(t, in, key, chat.EnterRequest{Name: "alice", Hello: &chat.EnterHello{Terminal: "t"}})
	if reply.Error != nil || reply.Hello == nil || reply.Hello.Came == 0 {
		t.Fatalf("%+v", reply)
	}
	if names := isHere(t, in); !slices.Equal(names, []string{"alice"}) {
		t.Errorf("present are %v", names)
	}
	eventually(t, "alice is removed", func() bool { return len(isHere(t, in)) == 0 })
	told := slices.ContainsFunc(heard.heard(t), func(m *nats.Msg) bool { return strings.Contains(string(m.Data), "alice removed: did not connect") })
	if acc, _, err := store(t, in).Get(t.Context(), "alice"); err != nil || acc.Taken() || !told {
		t.Errorf("%+v, %v, told %t", acc, err, told)
	}
}

// A request in the lobby that is sent again signs nobody out, and brings nobody back.
func TestACopyOfALobbyRequest(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	heard := listenTo(t, in)
	alice := in.User("alice")
	var sent []byte
	for _, m := range heard.heard(t) {
		if m.Subject == chat.Enter.Subject(chat.Address{}) {
			sent = m.Data
		}
	}
	lobby := brokertest.Lobby(t, in.Server)
	again := func() {
		t.Helper()
		if told := refusal(t, must(lobby.Request(chat.Enter.Subject(chat.Address{}), sent, timeout))(t)); told != nil {
			t.Fatal(told)
		}
	}
	again()
	must(alice.List(t.Context()))(t)
	if err := alice.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	again()
	if names := isHere(t, in); len(names) != 0 {
		t.Errorf("present are %v", names)
	}
}

// Who is invited before the connection has subscribed hears of it a moment later.
func TestInvitedWhileConnecting(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	bob, key := in.User("bob"), newLogin(t)
	reply := entering(t, in, key, chat.EnterRequest{Name: "alice", Hello: &chat.EnterHello{Terminal: "t", Presence: chat.Visible}})
	if reply.Error != nil {
		t.Fatal(reply.Error)
	}
	s := must(bob.Invite(t.Context(), "alice"))(t)
	conn := holder(t, in, reply.Ticket, key, chat.Inbox("alice"))
	notices := must(conn.SubscribeSync("chat.user.alice.>"))(t)
	var n chat.SessionNotice
	if m := must(notices.NextMsg(timeout))(t); json.Unmarshal(m.Data, &n) != nil || n.Session.ID != s.ID || n.Session.State != chat.Proposed {
		t.Errorf("alice hears %s", m.Data)
	}
	m := &intruder{t: t, in: in, user: "alice", key: key, Conn: conn}
	m.accepts(s.ID)
	chattest.Wait[session.Opened](bob)
}

// A ticket has the subscriptions that the product needs, and the library's one for answers.
func TestTicketsAreLimited(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	in.User("bob")
	mallory := intrude(t, in, "mallory")
	const most = 8
	for range 1000 {
		must(mallory.Subscribe("chat.user.mallory.>", func(*nats.Msg) {}))(t)
	}
	if err := mallory.Flush(); err != nil {
		t.Fatal(err)
	}
	must(ask(mallory, chat.List, chat.ListRequest{}))(t)
	eventually(t, "the others are refused", func() bool { return len(mallory.Refused()) == 1000-(most-1) })
	lobby := brokertest.Lobby(t, in.Server)
	for range 10 {
		must(lobby.Subscribe(chat.LobbyInbox+".x", func(*nats.Msg) {}))(t)
	}
	eventually(t, "those of the lobby are refused", func() bool { return len(lobby.Refused()) == 8 })
}

// A text that the ticket does not carry is refused with a sentence, and the connection stays.
func TestAnOlderTicketCarriesLess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := chattest.RunIn(t, dir, quiet)
	cfg := client.Config{URL: in.Server.URL(), Log: in.Config.Log, KeyDir: t.TempDir(), Name: "alice", Presence: chat.Visible}
	if err := chattest.Dial(t, cfg, "alice").Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Dial(t, cfg, "alice").Close() // the second ticket is good for hours, and kept
	in.StopCoordinator()
	in.Config.Rules.MaxText = 256 << 10
	in.Start()
	alice, bob := chattest.Dial(t, cfg, "alice"), in.User("bob")
	err := alice.Direct(t.Context(), "bob", strings.Repeat("<", 20<<10))
	code(t, "a long text", err, chat.TooLong)
	if err := alice.Direct(t.Context(), "bob", strings.Repeat("<", 10<<10)); err != nil {
		t.Errorf("a shorter one: %v", err)
	}
	if err := bob.Direct(t.Context(), "alice", strings.Repeat("x", 100<<10)); err != nil {
		t.Errorf("with a new ticket: %v", err)
	}
}

// A ticket has a few connections, and one whose user is not let in does not stay.
func TestConnectionsOfOneTicket(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, hurried, func(c *coord.Config) { c.ConnLimits.Ticket = 3 })
	mallory := intrude(t, in, "mallory")
	for range 2 { // beside that of the intruder
		holder(t, in, mallory.ticket, mallory.key, chat.Inbox("mallory"))
	}
	isCut := func(what string, c chan nats.Status) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(timeout):
			t.Errorf("in vain waited for: %s", what)
		}
	}
	over, err := nats.Connect(in.Server.URL(), nats.UserJWT(func() (string, error) { return mallory.ticket.JWT, nil }, mallory.key.Sign), nats.NoReconnect())
	if err == nil { // else it was cut at once
		defer over.Close()
		eventually(t, "one too many is cut", over.IsClosed)
	}
	must(ask(mallory, chat.List, chat.ListRequest{}))(t)

	key := newLogin(t)
	reply := entering(t, in, key, chat.EnterRequest{Name: "eve"})
	silent := holder(t, in, reply.Ticket, key, chat.Inbox("eve")).StatusChanged(nats.RECONNECTING)
	isCut("who says no hello is cut", silent)
}
