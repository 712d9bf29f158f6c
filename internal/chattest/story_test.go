package chattest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

func TestTwoPeopleChat(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("Bob")
	users, err := alice.List(t.Context())
	if err != nil || len(users) != 1 || users[0].Name != "Bob" || users[0].Busy {
		t.Fatalf("alice sees %+v, %v", users, err)
	}
	if _, err := alice.Invite(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	asked := chattest.Wait[session.Invited](bob)
	if err := bob.Answer(t.Context(), asked.Session.ID, true); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Opened](alice)
	chattest.Wait[session.Opened](bob)
	for _, text := range []string{"hello", "two\nlines", "three"} {
		if err := alice.Say(text); err != nil {
			t.Fatal(err)
		}
		if got := chattest.Wait[chattest.Text](bob); got.Text != text || got.From != "alice" {
			t.Fatalf("bob hears %+v", got)
		}
	}
	if err := bob.Say("bye for now"); err != nil {
		t.Fatal(err)
	}
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := chattest.Wait[chattest.Text](alice); got.Text != "bye for now" {
		t.Fatalf("alice hears %+v", got)
	}
	if e := chattest.Wait[session.Ended](alice); e.Session.Reason != chat.ByQuit || e.Session.By[0] != "bob" {
		t.Fatalf("alice is told %+v", e)
	}
}

func TestGroupGoesOnWithoutTheLeaver(t *testing.T) {
	in := chattest.Run(t)
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	chattest.Chat(alice, bob, carol)
	if err := carol.Say("first"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[chattest.Text](alice)
	chattest.Wait[chattest.Text](bob)
	if err := carol.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[session.MemberLeft](alice); e.Name != "carol" || e.Reason != chat.ByLeave {
		t.Fatalf("alice is told %+v", e)
	}
	for i, text := range []string{"second", "third"} {
		if err := alice.Say(text); err != nil {
			t.Fatal(err)
		}
		if got := chattest.Wait[chattest.Text](bob); got.Text != text || got.N != uint64(i+1) {
			t.Fatalf("bob hears %+v", got)
		}
	}
	if err := bob.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
}

func TestByeNeedsEverybody(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	if err := alice.Bye(); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Bye](bob)
	if err := alice.Say("wait"); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[client.Bye](bob); !e.Back {
		t.Fatalf("bob is told %+v", e)
	}
	if err := bob.Bye(); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Bye](alice)
	if err := alice.Bye(); err != nil {
		t.Fatal(err)
	}
	for _, u := range []*chattest.User{alice, bob} {
		if e := chattest.Wait[session.Ended](u); e.Session.Reason != chat.ByBye {
			t.Fatalf("%s is told %+v", u.Me(), e)
		}
	}
}

func TestLostAndBack(t *testing.T) {
	in := chattest.Run(t)
	dir := t.TempDir()
	cfg := client.Config{URL: in.Server.URL(), KeyDir: dir}
	alice, bob := in.User("alice"), chattest.Dial(t, cfg, "bob")
	chattest.Chat(alice, bob)
	if err := bob.Say("one"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[chattest.Text](alice)
	bob.Close()
	chattest.Wait[session.MemberLost](alice)
	if err := alice.Say("while you were away"); err != nil {
		t.Fatal(err)
	}
	bob = chattest.Dial(t, cfg, "bob")
	chattest.Wait[session.Opened](bob)
	chattest.Wait[session.MemberBack](alice)
	if got := chattest.Wait[chattest.Text](bob); got.Text != "while you were away" {
		t.Fatalf("bob hears %+v", got)
	}
	if err := bob.Say("two"); err != nil {
		t.Fatal(err)
	}
	if got := chattest.Wait[chattest.Text](alice); got.Text != "two" {
		t.Fatalf("alice hears %+v", got)
	}
}

func TestLostForGood(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Rules.Grace = 50 * time.Millisecond })
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	bob.Close()
	chattest.Wait[session.MemberLost](alice)
	if e := chattest.Wait[session.Ended](alice); e.Session.Reason != chat.ByLoss || e.Session.By[0] != "bob" {
		t.Fatalf("alice is told %+v", e)
	}
	users, err := alice.List(t.Context())
	if err != nil || len(users) != 0 {
		t.Fatalf("alice sees %+v, %v", users, err)
	}
}

func TestDirectMessages(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("Bob")
	if err := alice.Direct(t.Context(), "bob", "hello"); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[client.DirectText](bob); e.From != "alice" || e.Text != "hello" {
		t.Fatalf("bob hears %+v", e)
	}
	if err := alice.SetPresence(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := bob.Direct(t.Context(), "alice", "an answer"); err != nil {
		t.Fatalf("an answer to a hidden user who wrote first: %v", err)
	}
	carol := in.User("carol")
	for _, name := range []string{"alice", "nora", "a b"} {
		err := carol.Direct(t.Context(), name, "hello")
		chattest.Code(t, err, chat.Unavailable)
		if want := name + " cannot be reached."; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	chattest.Code(t, carol.Direct(t.Context(), "Carol", "me"), chat.Self)
}

func TestHiddenUsersSeeAndAreSeenByNobody(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	if err := alice.SetPresence(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	_, err := alice.List(t.Context())
	chattest.Code(t, err, chat.Hidden)
	users, err := bob.List(t.Context())
	if err != nil || len(users) != 0 {
		t.Fatalf("bob sees %+v, %v", users, err)
	}
	_, err = bob.Invite(t.Context(), "alice")
	chattest.Code(t, err, chat.Unavailable)
	_, absent := bob.Invite(t.Context(), "nora")
	if want := strings.ReplaceAll(err.Error(), "alice", "nora"); absent.Error() != want {
		t.Fatalf("%q for a hidden user and %q for an absent one", err, absent)
	}
	chattest.Chat(alice, bob)
}

func TestPresenceNotices(t *testing.T) {
	in := chattest.Run(t)
	alice := in.User("alice")
	if _, err := alice.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[chat.Name]bool{}
	for _, name := range []string{"bob", "carol"} {
		in.User(name)
		for !seen[chat.Name(name)] {
			for _, e := range chattest.Wait[client.PresenceChanged](alice).Changed {
				seen[e.Name] = true
			}
		}
	}
}

func TestTheServerIsFull(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.MaxUsers = 2 })
	in.User("alice")
	bob := in.User("bob")
	carol := in.Guest()
	_, err := carol.Enter(t.Context(), "carol")
	chattest.Code(t, err, chat.Full)
	if err := bob.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := carol.Enter(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
}

// TestByeEndsOnce counts how often the end is asked for when everybody has said bye.
func TestByeEndsOnce(t *testing.T) {
	in := chattest.Run(t)
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	watch := brokertest.Observer(t, in.Server)
	asked, err := watch.SubscribeSync(chat.AuditRequest.Wildcard())
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Flush(); err != nil {
		t.Fatal(err)
	}
	chattest.Chat(alice, bob, carol)
	for _, u := range []*chattest.User{alice, bob, carol} {
		if err := u.Bye(); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range []*chattest.User{alice, bob, carol} {
		chattest.Wait[session.Ended](u)
		if err := u.Exit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ends, exits := 0, 0
	for exits < 3 {
		m, err := asked.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m.Data, []byte("(bye)")) {
			ends++
		}
		if bytes.Contains(m.Data, []byte(" exits")) {
			exits++
		}
	}
	if ends < 1 || ends > 3 {
		t.Errorf("%d requests to end by bye from three members", ends)
	}
}

// TestHelloSaysThePresence has a user who knows what they want be seen at once.
func TestHelloSaysThePresence(t *testing.T) {
	in := chattest.Run(t)
	bob := in.User("bob")
	watch := brokertest.Observer(t, in.Server)
	asked, err := watch.SubscribeSync(chat.AuditRequest.Wildcard())
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Flush(); err != nil {
		t.Fatal(err)
	}
	alice, err := client.Dial(t.Context(), client.Config{URL: in.Server.URL(), Presence: chat.Visible})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(alice.Close)
	if w, err := alice.Enter(t.Context(), "alice"); err != nil || w.Presence != chat.Visible {
		t.Fatalf("%+v, %v", w, err)
	}
	if users, err := bob.List(t.Context()); err != nil || len(users) != 1 {
		t.Fatalf("bob sees %+v, %v", users, err)
	}
	for _, want := range []string{"asks for the username alice", "alice chooses presence: visible"} {
		m, err := asked.NextMsg(10 * time.Second)
		if err != nil || !bytes.Contains(m.Data, []byte(want)) {
			t.Fatalf("%s, %v; want %q", m.Data, err, want)
		}
	}
	if err := alice.SetPresence(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if users, err := bob.List(t.Context()); err != nil || len(users) != 0 {
		t.Fatalf("bob sees %+v, %v", users, err)
	}
}
