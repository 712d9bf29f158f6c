package chattest_test

import (
	"sync/atomic"
	"testing"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// hasMoved checks that a user is told that their chat and their invitation have ended with
// the server's data, and that everything works for them.
func hasMoved(t *testing.T, in *chattest.Installation, u *chattest.User, s chat.Session) {
	t.Helper()
	if e := chattest.Wait[client.Connected](u); !e.Moved || e.Chat == nil || e.Chat.ID != s.ID || e.Chat.State != chat.Closed {
		t.Errorf("%s is told %+v", u.Me(), e)
	}
	if e := chattest.Wait[session.Ended](u); e.Session.ID != s.ID || e.Session.Reason != chat.ByUnknown {
		t.Errorf("%s is told %+v", u.Me(), e)
	}
	chattest.Code(t, u.Say("hello"), chat.NotInChat)
	if err := u.Quit(t.Context()); err == nil {
		t.Errorf("%s quits a chat that has ended", u.Me())
	}
	must(u.List(t.Context()))(t)
}

// chatsAgain checks that users can begin a chat.
func chatsAgain(t *testing.T, alice, bob *chattest.User) {
	t.Helper()
	again := chattest.Chat(alice, bob)
	converse(t, alice, bob, "again")
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[session.Ended](bob); e.Session.ID != again.ID || e.Session.Reason != chat.ByQuit {
		t.Errorf("bob is told %+v", e)
	}
}

// advance has an installation come to a higher revision than another one.
func advance(t *testing.T, u *chattest.User) {
	t.Helper()
	for i := range 20 {
		if err := u.SetPresence(t.Context(), i%2 == 1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheStateIsRemoved: the coordinator of a NATS server that goes on starts without state.
func TestTheStateIsRemoved(t *testing.T) {
	for _, c := range []struct {
		name  string
		learn func(*testing.T, *chattest.User)
		ask   bool
	}{
		{name: "who asks for something is told", ask: true},
		{name: "who is idle is asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := chattest.Run(t, func(cfg *coord.Config) { cfg.Shared = !c.ask })
			alice, bob := in.User("alice"), in.User("bob")
			advance(t, alice)
			s := chattest.Chat(alice, bob)
			in.StopCoordinator()
			removeState(t, in)
			in.Start()
			if c.ask {
				for _, u := range []*chattest.User{alice, bob} {
					_, err := u.List(t.Context())
					chattest.Code(t, err, chat.NotRegistered)
				}
			}
			hasMoved(t, in, alice, s)
			hasMoved(t, in, bob, s)
			chatsAgain(t, alice, bob)
		})
	}
}

// removeState removes what the coordinators of a server keep.
func removeState(t *testing.T, in *chattest.Installation) {
	t.Helper()
	nc := must(in.Server.Dial("test", chat.StoringGrant(), chat.StoreInbox))(t)
	defer nc.Close()
	for _, stream := range []string{broker.AccountsStream, broker.LiveStream, broker.MailboxesStream, broker.AuditStream} {
		if _, err := nc.Request("$JS.API.STREAM.DELETE."+stream, nil, timeout); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnotherServerBehindTheAddress: with other keys, users and revisions.
func TestAnotherServerBehindTheAddress(t *testing.T) {
	one, two := chattest.Run(t), chattest.Run(t)
	var to atomic.Pointer[chattest.Installation]
	to.Store(one)
	f := newFront(t, func() string { return to.Load().Server.Addr() })
	cfg := client.Config{URL: f.url(), Log: one.Config.Log}
	alice, bob, carol := chattest.Dial(t, cfg, "alice"), chattest.Dial(t, cfg, "bob"), chattest.Dial(t, cfg, "carol")
	two.User("carol") // somebody else
	advance(t, alice)
	s := chattest.Chat(alice, bob)
	dave := chattest.Dial(t, cfg, "dave")
	must(carol.Invite(t.Context(), "dave"))(t)
	chattest.Wait[session.Invited](dave)
	to.Store(two)
	f.cut()
	hasMoved(t, two, alice, s)
	hasMoved(t, two, bob, s)
	chatsAgain(t, alice, bob)
	if e := chattest.Wait[session.InvitationEnded](dave); e.Session.Reason != chat.ByUnknown {
		t.Errorf("dave is told %+v", e)
	}
	if e := chattest.Wait[client.SignedOut](carol); e.Operator || e.Reason == "" {
		t.Errorf("carol is told %+v", e)
	}
}
