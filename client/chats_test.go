package client_test

import (
	"testing"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/session"
)

// TestEndAsTheConnectionComesBack: a chat that was ended without a connection ends for
// the others although the connection was back before that could be noted.
func TestEndAsTheConnectionComesBack(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	alice.EndLater()
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByQuit {
		t.Fatalf("bob is told %+v", e)
	}
}

// TestEndWithoutACoordinator: a chat that was ended while no coordinator answered, for longer
// than a request waits, ends for the others when one does.
func TestEndWithoutACoordinator(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	in.StopCoordinator()
	alice.EndLater()
	chattest.Wait[session.Ended](alice)
	chattest.Wait[client.CoordinatorAway](alice)
	in.Start()
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByQuit {
		t.Fatalf("bob is told %+v", e)
	}
	chattest.Chat(alice, bob)
}

// TestNobodyIsInTwoChats: whoever hears late that a chat has begun, or of the end of theirs
// only after the beginning of the next one, is in the one that is open.
func TestNobodyIsInTwoChats(t *testing.T) {
	in := chattest.Run(t)
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	chattest.Chat(alice, bob)
	first, _ := alice.Chat()
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	alice.HearLate(first, 1) // as if it went on
	chattest.Wait[session.Opened](alice)
	second := chattest.Chat(carol, alice)
	tells(t, carol, alice, "of the next one")
	alice.HearLate(first, 1)
	tells(t, carol, alice, "still")
	tells(t, alice, carol, "and back")
	if now, ok := alice.Chat(); !ok || now.ID != second.ID {
		t.Errorf("alice is in %+v", now)
	}
}

// TestEndUnheard: whoever has heard nothing of the end of a chat, and asks for it when nobody
// still remembers it, is told of it.
func TestEndUnheard(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	s := chattest.Chat(alice, bob)
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	chattest.Wait[session.Ended](bob)
	s.ID, s.State = chat.NewSessionID(), chat.Open // one that the coordinator does not know
	alice.HearLate(s, 1)
	chattest.Wait[session.Opened](alice)
	chattest.Code(t, alice.Quit(t.Context()), chat.NotInChat)
	if e := chattest.Wait[session.Ended](alice); e.Session.ID != s.ID {
		t.Errorf("alice is told of %+v", e)
	}
	chattest.Chat(alice, bob)
}

// tells fails unless what one says is the next that the other one hears.
func tells(t *testing.T, from, to *chattest.User, text string) {
	t.Helper()
	if err := from.Say(text); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[chattest.Text](to); e.Text != text {
		t.Errorf("heard %q, not %q", e.Text, text)
	}
}

// TestWhoWasLost: who was taken for lost for a moment, and has not heard of it, gets what they
// ask for all the same.
func TestWhoWasLost(t *testing.T) {
	in := chattest.Run(t)
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	alice.KnowLess()
	if err := alice.SetPresence(t.Context(), false); err != nil {
		t.Error(err)
	}
	carol.KnowLess()
	if err := carol.Exit(t.Context()); err != nil {
		t.Error(err)
	}
	if users, err := bob.List(t.Context()); err != nil || len(users) > 0 {
		t.Errorf("bob sees %v, %v, of whom one hides and one has left", users, err)
	}
}

// TestExitTwice: whose first try was carried out and not answered is out, and stays so.
func TestExitTwice(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	if err := alice.SayExit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := alice.SayExit(t.Context()); err != nil {
		t.Error(err)
	}
	alice.Settle()
	if users, err := bob.List(t.Context()); err != nil || len(users) > 0 {
		t.Errorf("bob sees %v, %v", users, err)
	}
	if err := alice.Exit(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLateHello: a try of a hello that is carried out when the user has left brings nobody back.
func TestLateHello(t *testing.T) {
	in := chattest.Run(t)
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir()}
	alice, bob := chattest.Dial(t, cfg, "alice"), in.User("bob")
	if err := alice.SayExit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Code(t, alice.SayHello(t.Context()), chat.NotRegistered)
	if users, err := bob.List(t.Context()); err != nil || len(users) > 0 {
		t.Errorf("bob sees %v, %v", users, err)
	}
	alice.Close()
	chattest.Dial(t, cfg, "alice") // who comes anew is welcome
}

// TestNothingIsSaidInAnotherChat: what is meant for one chat is refused when another one has begun.
func TestNothingIsSaidInAnotherChat(t *testing.T) {
	in := chattest.Run(t)
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	id := chattest.Chat(alice, bob).ID
	first, err := alice.Session(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Chat(alice, carol)
	_, err = alice.Session(id)
	chattest.Code(t, err, chat.NotInChat)
	chattest.Code(t, first.Say("for bob"), chat.NotInChat)
	chattest.Code(t, first.Bye(), chat.NotInChat)
	chattest.Code(t, first.Quit(t.Context()), chat.NotInChat)
	if _, open := alice.Open(); !open {
		t.Fatal("the other chat has ended")
	}
}
