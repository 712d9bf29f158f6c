package brokertest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"

	"github.com/nats-io/nats.go"
)

const timeout = 5 * time.Second // for what comes for certain

func next(t *testing.T, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := sub.NextMsg(timeout)
	if err != nil {
		t.Fatalf("nothing on %s: %v", sub.Subject, err)
	}
	return m
}

// listen subscribes and waits until the server knows.
func listen(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatalf("subscribing to %s: %v", subject, err)
	}
	return sub
}

func answering(t *testing.T, srv *embedded.Server) *nats.Conn {
	t.Helper()
	nc, err := srv.Dial("answering", chat.AnsweringGrant(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestWhoBringsNothingIsVouchedForInTheLobby(t *testing.T) {
	srv := brokertest.Run(t)
	service := answering(t, srv)
	enter := listen(t, service, chat.Enter.Wildcard())
	visitor := brokertest.Lobby(t, srv)
	inbox := visitor.NewRespInbox()
	replies := listen(t, visitor.Conn, inbox)
	q := nats.NewMsg(chat.Enter.Subject(chat.Address{}))
	q.Reply, q.Data = inbox, []byte("{}")
	q.Header.Set("Nats-Request-Info", `{"acc":"CHAT","host":"6.6.6.6"}`)
	if err := visitor.PublishMsg(q); err != nil {
		t.Fatal(err)
	}

	m := next(t, enter)
	var info struct{ Host string }
	values := m.Header.Values("Nats-Request-Info")
	if len(values) != 1 || json.Unmarshal([]byte(values[0]), &info) != nil || info.Host != "127.0.0.1" {
		t.Errorf("who asks: %q, want one made by the server", values)
	}
	if !strings.HasPrefix(m.Reply, chat.ImportInbox+".") {
		t.Errorf("reply %s", m.Reply)
	}
	if err := m.Respond([]byte("welcome")); err != nil {
		t.Fatal(err)
	}
	if got := next(t, replies); string(got.Data) != "welcome" {
		t.Errorf("answer %q", got.Data)
	}
	if refused := visitor.Refused(); len(refused) != 0 {
		t.Errorf("refused: %v", refused)
	}
}

// TestTheLobbyIsAnotherWorld: even where the lobby's subjects are the same as the
// users', its messages do not get there.
func TestTheLobbyIsAnotherWorld(t *testing.T) {
	srv := brokertest.Run(t)
	observer := brokertest.Dial(t, srv, chat.Grant{Subscribe: []string{">"}}, "_INBOX")
	all := listen(t, observer.Conn, ">")
	visitor := brokertest.Lobby(t, srv)
	if visitor.MayPublish(t, chat.Hello.Subject(chat.Address{User: "alice"})) {
		t.Error("the lobby may say hello")
	}
	user := brokertest.User(t, srv, "alice")
	mine := chat.Exit.Subject(chat.Address{User: "alice"})
	if !user.MayPublish(t, mine) {
		t.Error("a user may not exit")
	}
	if m := next(t, all); m.Subject != mine {
		t.Errorf("heard %s first", m.Subject)
	}
}

func TestObserverHearsAndSwallowsNothing(t *testing.T) {
	srv := brokertest.Run(t)
	observer := brokertest.Observer(t, srv)
	heard := listen(t, observer.Conn, "chat.>")
	if observer.MaySubscribe(t, "chat.>", "chatcoord") {
		t.Error("an observer may join a queue group")
	}
	served := listen(t, answering(t, srv), chat.List.Wildcard())
	subject := chat.List.Subject(chat.Address{User: "alice"})
	if !brokertest.User(t, srv, "alice").MayPublish(t, subject) {
		t.Fatal("alice may not ask for the list")
	}
	if a, b := next(t, heard), next(t, served); a.Subject != subject || b.Subject != subject {
		t.Errorf("heard %s, served %s", a.Subject, b.Subject)
	}
}

// Observers do not hear what others of them ask: it says where the answer is awaited.
func TestObserversDoNotHearEachOther(t *testing.T) {
	srv := brokertest.Run(t)
	heard := listen(t, brokertest.Observer(t, srv).Conn, "chat.>")
	served := listen(t, answering(t, srv), "chat.watch.>")
	other := brokertest.Observer(t, srv)
	asked := chat.WatchSession.Subject(chat.Address{})
	if !other.MayPublish(t, asked) {
		t.Fatalf("an observer may not publish to %s", asked)
	}
	if m := next(t, served); m.Subject != asked {
		t.Errorf("served %s", m.Subject)
	}
	last := chat.List.Subject(chat.Address{User: "alice"})
	if !brokertest.User(t, srv, "alice").MayPublish(t, last) {
		t.Fatal("alice may not ask for the list")
	}
	if m := next(t, heard); m.Subject != last {
		t.Errorf("heard %s", m.Subject)
	}
}

// TestFilesOfOthersAreNotHeard is the hole that a wildcard in the middle of a
// member's list would leave: see chat.TestGrantsAreNotWidened.
func TestFilesOfOthersAreNotHeard(t *testing.T) {
	srv := brokertest.Run(t)
	carol := brokertest.Member(t, srv, "carol", sid)
	for _, tail := range []string{".>", ".*.>", ".file.>", ".file.*.*", ".file.*.alice", ".*.bob.alice"} {
		if carol.MaySubscribe(t, "chat.session."+sid+tail, "") {
			t.Errorf("carol may subscribe to %s", tail)
		}
	}
	bob := brokertest.Member(t, srv, "bob", sid)
	mine := listen(t, bob.Conn, "chat.session."+sid+".file.bob.*")
	chunk := chat.Chunk.Subject(chat.Address{User: "alice", To: "bob", Session: sid})
	if !brokertest.Member(t, srv, "alice", sid).MayPublish(t, chunk) {
		t.Error("alice may not send bob a file")
	}
	next(t, mine)
}
