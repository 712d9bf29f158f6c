package chattest_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// meddle tries every step on a session that is none of the intruder's business.
func (m *intruder) meddle(id string) {
	m.t.Helper()
	named := chat.SessionRequest{Session: id}
	_, err := ask(m, chat.Answer, chat.AnswerRequest{Session: id, Accept: true})
	code(m.t, "accept", err, chat.NothingToDo)
	_, err = ask(m, chat.Answer, chat.AnswerRequest{Session: id})
	code(m.t, "deny", err, chat.NothingToDo)
	_, err = ask(m, chat.Withdraw, named)
	code(m.t, "withdraw", err, chat.NothingToDo)
	_, err = ask(m, chat.Leave, named)
	code(m.t, "leave", err, chat.NotInChat)
	_, err = ask(m, chat.Join, chat.JoinRequest{Session: id, Key: m.key.public})
	code(m.t, "join", err, chat.NotInChat)
	for _, reason := range []chat.Reason{chat.ByQuit, chat.ByBye} {
		_, err = ask(m, chat.End, chat.EndRequest{Session: id, Reason: reason})
		code(m.t, "end", err, chat.NotInChat)
	}
	for _, reason := range []chat.Reason{chat.ByLoss, chat.ByLeave, chat.ByExpiry, "", "x"} {
		_, err = ask(m, chat.End, chat.EndRequest{Session: id, Reason: reason})
		code(m.t, "end "+string(reason), err, chat.Arguments)
	}
}

// TestForeignSessionsAreLeftAlone: A06. Knowing the id of a session gives no right to
// it, neither while it is an invitation nor while it is open nor when it is over.
func TestForeignSessionsAreLeftAlone(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	x := examine(t, in)

	s, err := alice.Invite(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	before := x.stream("LIVE")
	mallory.meddle(s.ID)
	if after := x.stream("LIVE"); after != before {
		t.Errorf("an invitation has changed:\n%s\nwas\n%s", after, before)
	}
	chattest.Wait[session.Invited](bob)
	for range 2 { // the second accept is the first one again
		if err := bob.Answer(t.Context(), s.ID, true); err != nil {
			t.Errorf("bob accepts: %v", err)
		}
	}
	chattest.Wait[session.Opened](alice)
	converse(t, alice, bob, "before")
	before = x.stream("LIVE")
	mallory.meddle(s.ID)
	mallory.meddle(s.ID + "-1")
	if after := x.stream("LIVE"); after != before {
		t.Errorf("a session has changed:\n%s\nwas\n%s", after, before)
	}
	converse(t, alice, bob, "after")
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	mallory.meddle(s.ID)
	code(t, "bob accepts what is over", bob.Answer(t.Context(), s.ID, true), chat.NothingToDo)
}

// TestGuestsDoNotActForTheHost: who is invited may only answer, and only in time.
func TestGuestsDoNotActForTheHost(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Rules.InviteTimeout = 300 * time.Millisecond })
	alice := in.User("alice")
	mallory := intrude(t, in, "mallory")
	s, err := alice.Invite(t.Context(), "mallory")
	if err != nil {
		t.Fatal(err)
	}
	_, err = ask(mallory, chat.Withdraw, chat.SessionRequest{Session: s.ID})
	code(t, "withdraw", err, chat.NothingToDo)
	_, err = ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: mallory.key.public})
	code(t, "join", err, chat.NotInChat)
	_, err = ask(mallory, chat.End, chat.EndRequest{Session: s.ID, Reason: chat.ByQuit})
	code(t, "end", err, chat.NotInChat)
	code(t, "alice accepts her own", alice.Answer(t.Context(), s.ID, true), chat.NothingToDo)
	if e := chattest.Wait[session.InvitationEnded](alice); e.Session.Reason != chat.ByExpiry {
		t.Errorf("alice is told %+v", e)
	}
	mallory.meddle(s.ID)
	if _, open := alice.Chat(); open {
		t.Error("alice is in a chat")
	}
}

// TestIDsAreNotGuessed: A06, ten thousand times.
func TestIDsAreNotGuessed(t *testing.T) {
	in := chattest.Run(t, quiet)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	s := chattest.Chat(alice, bob)
	const guesses, atATime = 10000, 8
	requests := []func(id string) (*chat.Route, any){
		func(id string) (*chat.Route, any) {
			return chat.Answer.Route, chat.AnswerRequest{Session: id, Accept: true}
		},
		func(id string) (*chat.Route, any) {
			return chat.End.Route, chat.EndRequest{Session: id, Reason: chat.ByQuit}
		},
		func(id string) (*chat.Route, any) { return chat.Leave.Route, chat.SessionRequest{Session: id} },
		func(id string) (*chat.Route, any) { return chat.Withdraw.Route, chat.SessionRequest{Session: id} },
		func(id string) (*chat.Route, any) {
			return chat.Join.Route, chat.JoinRequest{Session: id, Key: mallory.key.public}
		},
	}
	answers := make(chan *nats.Msg, guesses)
	must(mallory.ChanSubscribe("_IN.mallory.guess", answers))(t)
	for i := range guesses {
		r, q := requests[i%len(requests)](guess(s.ID, i))
		data, _ := json.Marshal(q)
		if err := mallory.PublishRequest(r.Subject(chat.Address{User: "mallory"}), "_IN.mallory.guess", data); err != nil {
			t.Fatal(err)
		}
		if i >= atATime {
			unlucky(t, answers)
		}
	}
	for range atATime {
		unlucky(t, answers)
	}
	converse(t, alice, bob, "after")
}

// guess is close to an id, or drawn.
func guess(id string, i int) string {
	var b [16]byte
	if _, err := hex.Decode(b[:], []byte(id)); err != nil || i%2 == 0 {
		_, _ = rand.Read(b[:])
		return hex.EncodeToString(b[:])
	}
	b[i%16] ^= byte(1 + i%255)
	return hex.EncodeToString(b[:])
}

func unlucky(t *testing.T, answers chan *nats.Msg) {
	t.Helper()
	select {
	case m := <-answers:
		if c := chat.Code(m.Header.Get(micro.ErrorCodeHeader)); c != chat.NothingToDo && c != chat.NotInChat {
			t.Fatalf("a guess was answered %q %s", c, m.Data)
		}
	case <-time.After(timeout):
		t.Fatal("a guess was not answered")
	}
}

// TestTicketsForOthersKeysAreHarmless: a ticket is bound to a key; whoever asks for
// one for somebody else's key can do nothing with it, and nor can they do more.
func TestTicketsForOthersKeysAreHarmless(t *testing.T) {
	in := chattest.Run(t)
	alice := in.User("alice")
	mallory, victim := intrude(t, in, "mallory"), intrude(t, in, "victim")
	s, err := alice.Invite(t.Context(), "mallory")
	if err != nil {
		t.Fatal(err)
	}
	mallory.accepts(s.ID)
	reply := must(ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: victim.key.public}))(t)
	if _, err := connect(in, reply.Ticket, mallory.key); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("mallory connects with a ticket for another's key: %v", err)
	}
	theirs := holder(t, in, reply.Ticket, victim.key, chat.MemberInbox("mallory", s.ID))
	for _, u := range []chat.User{"victim", "alice"} {
		if theirs.MayPublish(t, chat.Said.Subject(chat.Address{User: u, Session: s.ID})) {
			t.Errorf("with mallory's ticket the victim speaks as %s", u)
		}
	}
	must(ask(victim, chat.List, chat.ListRequest{}))(t)

	public := victim.key.public
	seed, _ := victim.key.Seed()
	for _, key := range []string{"", "x", public[:55], public + "A", "A" + public[1:], string(seed), "\x00", "../../" + public} {
		_, err := ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: key})
		code(t, fmt.Sprintf("join with a key that is none: %q", key), err, chat.Arguments)
	}
}

func connect(in *chattest.Installation, ticket chat.Ticket, key loginKey) (*nats.Conn, error) {
	nc, err := nats.Connect(in.Server.URL(), nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, key.Sign))
	if err == nil {
		nc.Close()
	}
	return nc, err
}

// TestLeaverHearsNoMore: who has left a group keeps a good ticket and an open
// connection to the channel that was, and reads nothing of what is said from then on.
func TestLeaverHearsNoMore(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	s, member, heard := group(t, alice, bob, mallory)
	says(t, alice, "with mallory", bob)
	if m := must(heard.NextMsg(timeout))(t); !bytes.Contains(m.Data, []byte("with mallory")) {
		t.Fatalf("mallory hears %s", m.Data)
	}
	must(ask(mallory, chat.Leave, chat.SessionRequest{Session: s.ID}))(t)
	chattest.Wait[session.MemberLeft](alice)
	chattest.Wait[session.MemberLeft](bob)

	for range 20 { // whoever is asked again must not say more
		speak(t, member, s.ID, "mallory", "msg", "1 1 0 0:6\nforged\n")
		speak(t, member, s.ID, "mallory", "sig", `{"sync":{"have":{},"first":1,"ask":true}}`)
	}
	converse(t, alice, bob, "secret")
	now := chat.Session{ID: s.ID, Epoch: 1}.Channel()
	for _, kind := range []string{".msg.*", ".sig.*", ".>", ".msg.alice"} {
		if member.MaySubscribe(t, "chat.session."+now+kind, "") {
			t.Errorf("mallory subscribes to %s%s", now, kind)
		}
	}
	if member.MayPublish(t, "chat.session."+now+".msg.mallory") {
		t.Error("mallory speaks in the new epoch")
	}
	_, err := ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: mallory.key.public})
	code(t, "join", err, chat.NotInChat)
	for n, _, _ := heard.Pending(); n > 0; n, _, _ = heard.Pending() {
		if m := must(heard.NextMsg(timeout))(t); bytes.Contains(m.Data, []byte("secret")) {
			t.Errorf("mallory hears %s", m.Data)
		}
	}
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	again := must(ask(mallory, chat.Leave, chat.SessionRequest{Session: s.ID}))(t) // as the first time
	if r := again.Session; r.State != chat.Open || r.Reason != "" || len(r.By) > 0 || len(r.Present()) != 2 {
		t.Errorf("mallory is told what has become of the others: %+v", r)
	}
}

// group is a chat of two honest users and an intruder, who listens to it by hand.
func group(t *testing.T, alice, bob *chattest.User, mallory *intruder) (chat.Session, *brokertest.Conn, *nats.Subscription) {
	t.Helper()
	s, err := alice.Invite(t.Context(), string(bob.Me()), string(mallory.user))
	if err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Invited](bob)
	if err := bob.Answer(t.Context(), s.ID, true); err != nil {
		t.Fatal(err)
	}
	mallory.accepts(s.ID)
	chattest.Wait[session.Opened](alice)
	chattest.Wait[session.Opened](bob)
	member, channel := mallory.joins(s.ID)
	heard := must(member.SubscribeSync("chat.session." + channel + ".msg.*"))(t)
	if err := member.Flush(); err != nil {
		t.Fatal(err)
	}
	return s, member, heard
}

// speak publishes bytes in a session.
func speak(t *testing.T, c *brokertest.Conn, channel string, as chat.User, kind, data string) {
	t.Helper()
	err := c.Publish("chat.session."+channel+"."+kind+"."+string(as), []byte(data))
	if err != nil && !errors.Is(err, nats.ErrMaxPayload) { // the ticket does not carry it
		t.Fatal(err)
	}
}

// TestNobodyStaysWithoutAConnection: one key may have several names, and when its
// owner is gone, all of them are free after the grace time.
func TestNobodyStaysWithoutAConnection(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Rules.Grace = 50 * time.Millisecond })
	alice, key := in.User("alice"), newLogin(t)
	var ghosts []*intruder
	for _, name := range []string{"ghost1", "ghost2", "ghost3"} {
		ghosts = append(ghosts, intrudeWith(t, in, name, key))
	}
	<-time.After(3500 * time.Millisecond) // until the replica has looked by itself who is not here, as it does once after its start
	for _, g := range ghosts {
		g.Close()
	}
	eventually(t, "alice is alone", func() bool {
		users, err := alice.List(t.Context())
		return err == nil && len(users) == 0
	})
}
