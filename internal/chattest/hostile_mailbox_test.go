package chattest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/chat"
	"natter/internal/chattest"
	"natter/session"
)

// words are messages from a number on.
func words(first uint64, texts ...string) []chat.Message {
	var all []chat.Message
	for i, text := range texts {
		all = append(all, chat.Message{N: first + uint64(i), At: time.Now().UTC(), Text: text})
	}
	return all
}

// TestStrangersKeepNothing: who is not in a chat can neither leave anything in it nor
// read what is stored there, and nobody has anything sent to somebody else.
func TestStrangersKeepNothing(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.sender("bob")
	mallory, stranger := intrude(t, a.in, "mallory"), intrude(t, a.in, "stranger")
	s, member, _ := group(t, alice, bob, mallory)
	converse(t, alice, bob, "before")
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	says(t, bob, "a secret")
	speak(t, member, s.ID, "mallory", "to.bob", "6")
	becomes(bob, "a secret", session.Stored)
	everything := listenTo(t, a.in)
	x := examine(t, a.in)
	before := x.stream(broker.MailboxesStream)

	_, err := ask(stranger, chat.Store, chat.StoreRequest{Session: s.ID, For: []chat.User{"alice"}, Messages: words(1, "forged")})
	code(t, "a stranger stores", err, chat.NotInChat)
	_, err = ask(stranger, chat.Fetch, chat.FetchRequest{Session: s.ID, Inbox: "_IN.stranger.x"})
	code(t, "a stranger fetches", err, chat.NotInChat)
	for _, inbox := range []string{"", "_IN.alice.x", "_IN.mallory", "_IN.mallory.", "_IN.mallory.>", "_IN.mallory.*", "_IN.mallory.a.b", "_IN.mallory.a b", "_IN.malloryx.a", "$JS.API.STREAM.DELETE.MAILBOXES", "chat.user.alice.session", "_IN.mallory." + strings.Repeat("x", 65)} {
		_, err = ask(mallory, chat.Fetch, chat.FetchRequest{Session: s.ID, Inbox: inbox})
		code(t, "the inbox "+inbox, err, chat.Denied)
	}
	for _, id := range []string{"", "*", ">", s.ID[:31], s.ID + "-1", s.ID + ".alice"} {
		_, err = ask(mallory, chat.Fetch, chat.FetchRequest{Session: id, Inbox: "_IN.mallory.x", Have: 1 << 62})
		code(t, "the session "+id, err, chat.NotInChat)
		_, err = ask(mallory, chat.Store, chat.StoreRequest{Session: id, For: []chat.User{"alice"}, Messages: words(1, "forged")})
		code(t, "the session "+id, err, chat.NotInChat)
	}
	for _, u := range []chat.User{"stranger", "mallory", "nora", "", "*", ">", "alice.bob", "Alice"} {
		_, err = ask(mallory, chat.Store, chat.StoreRequest{Session: s.ID, For: []chat.User{u}, Messages: words(1, "forged")})
		code(t, "for "+string(u), err, chat.Arguments)
	}
	// Mallory can delete only what mallory has, or has stored.
	reply := must(ask(mallory, chat.Fetch, chat.FetchRequest{Session: s.ID, Inbox: "_IN.mallory.x", Have: 1 << 62}))(t)
	if reply.Left != 0 {
		t.Errorf("%d records are kept for mallory", reply.Left)
	}
	must(ask(mallory, chat.Store, chat.StoreRequest{Session: s.ID, Received: map[chat.User]uint64{"alice": 1 << 62, "bob": 1 << 63}}))(t)
	if after := x.stream(broker.MailboxesStream); after != before {
		t.Errorf("what is stored has changed:\n%s\nwas\n%s", after, before)
	}
	for _, m := range everything.heard(t) {
		if strings.Contains(string(m.Data), "secret") && !strings.HasPrefix(m.Subject, chat.StoreInbox) { // the examiner's
			t.Errorf("on %s: %s", m.Subject, m.Data)
		}
	}
	if got := chattest.Wait[chattest.Text](a.comes()); got.Text != "a secret" {
		t.Errorf("alice hears %q", got.Text)
	}
}

// TestStoredNumbers: what a member makes up is refused, or harms nobody but the member.
func TestStoredNumbers(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.in.User("bob")
	mallory := intrude(t, a.in, "mallory")
	s, member, _ := group(t, alice, bob, mallory)
	converse(t, alice, bob, "before")
	speak(t, member, s.ID, "mallory", "msg", "1 1 0 0:4\nlive\n")
	for _, u := range []*chattest.User{alice, bob} {
		chattest.Wait[chattest.Text](u)
	}
	store := func(messages ...chat.Message) error {
		_, err := ask(mallory, chat.Store, chat.StoreRequest{Session: s.ID, For: []chat.User{"alice", "bob"}, Messages: messages})
		return err
	}
	for what, messages := range map[string][]chat.Message{
		"zero": words(0, "x"), "too great": words(1<<53+1, "x"), "the greatest": words(1<<63, "x"), "none": nil,
		"skipped": append(words(2, "x"), words(4, "x")...), "repeated": append(words(2, "x"), words(2, "x")...), "backwards": append(words(3, "x"), words(2, "x")...),
	} {
		code(t, what, store(messages...), chat.Arguments)
	}
	code(t, "too long", store(words(2, strings.Repeat("x", chat.MaxText+1))...), chat.TooLong)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	for _, text := range []string{"two", "another two"} { // the first one wins
		if err := store(words(2, text)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := store(words(1, "another one")...); err != nil { // as does what was said live, unless one is new
		t.Fatal(err)
	}
	speak(t, member, s.ID, "mallory", "msg", "1 2 0 0:8\nlive two\n")
	speak(t, member, s.ID, "mallory", "sig", `{"sync":{"have":{},"first":2,"acked":{"alice":1}}}`)
	if got := chattest.Wait[chattest.Text](bob); got.Text != "live two" {
		t.Errorf("bob hears %q", got.Text)
	}
	says(t, bob, "hello")
	alice = a.comes()
	heard := hears(alice, 2)
	if got := heard["mallory"]; len(got) > 1 || len(got) == 1 && got[0] != "two" && got[0] != "live two" {
		t.Errorf("alice hears %q", got)
	}
	converse(t, alice, bob, "after")
}

// TestStoredAfterLeaving: a request to keep messages that is carried out when its sender has
// left, for the stream had no leader meanwhile, costs nobody what is stored for them.
func TestStoredAfterLeaving(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.sender("bob")
	mallory := intrude(t, a.in, "mallory")
	s, _, _ := group(t, alice, bob, mallory)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	says(t, bob, "kept")
	x := examine(t, a.in)
	eventually(t, "it is kept for alice", func() bool {
		return must(x.js.Stream(t.Context(), broker.MailboxesStream))(t).CachedInfo().State.Msgs > 0
	})
	cfg := must(x.js.Stream(t.Context(), broker.MailboxesStream))(t).CachedInfo().Config
	subjects := cfg.Subjects
	cfg.Subjects = []string{"chat.state.nobody"}
	must(x.js.UpdateStream(t.Context(), cfg))(t)
	tapped := listenTo(t, a.in)
	late := make(chan error, 1)
	go func() {
		_, err := ask(mallory, chat.Store, chat.StoreRequest{Session: s.ID, For: []chat.User{"alice"}, Messages: words(1, "late")})
		late <- err
	}()
	eventually(t, "the coordinator tries to store it", func() bool {
		return slices.ContainsFunc(tapped.heard(t), func(m *nats.Msg) bool { return strings.HasSuffix(m.Subject, ".alice.mallory") })
	})
	must(ask(mallory, chat.Leave, chat.SessionRequest{Session: s.ID}))(t)
	cfg.Subjects = subjects
	must(x.js.UpdateStream(t.Context(), cfg))(t)
	code(t, "who has left", <-late, chat.NotInChat)
	if heard := hears(a.comes(), 2); heard["bob"][0] != "kept" || heard["mallory"][0] != "late" {
		t.Errorf("alice hears %q", heard)
	}
}

// TestAMailboxHasAnEnd: one member cannot fill the server, and reads why.
func TestAMailboxHasAnEnd(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.in.User("bob")
	mallory := intrude(t, a.in, "mallory")
	s, _, _ := group(t, alice, bob, mallory)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	big := words(1, strings.Repeat("x", chat.MaxText), strings.Repeat("x", chat.MaxText), strings.Repeat("x", chat.MaxText))
	stored := 0
	var err error
	for n := uint64(1); n < 1000 && err == nil; n += 3 {
		for i := range big {
			big[i].N = n + uint64(i)
		}
		if _, err = ask(mallory, chat.Store, chat.StoreRequest{Session: s.ID, For: []chat.User{"alice"}, Messages: big}); err == nil {
			stored++
		}
	}
	code(t, "the last", err, chat.Full)
	if want := "The server can store no more for alice. The message is sent when they are back."; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if stored != 128 {
		t.Errorf("%d requests were taken", stored)
	}
	says(t, bob, "hello") // others have room
	alice = a.comes()
	heard := hears(alice, 3*stored+1)
	if len(heard["mallory"]) != 3*stored || fmt.Sprint(heard["bob"]) != "[hello]" {
		t.Errorf("alice hears %d messages from mallory, and %q", len(heard["mallory"]), heard["bob"])
	}
}
