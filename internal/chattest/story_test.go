package chattest_test

import (
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/client"
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
		if got := chattest.Wait[client.Text](bob); got.Text != text || got.From != "alice" {
			t.Fatalf("bob hears %+v", got)
		}
	}
	if err := bob.Say("bye for now"); err != nil {
		t.Fatal(err)
	}
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := chattest.Wait[client.Text](alice); got.Text != "bye for now" {
		t.Fatalf("alice hears %+v", got)
	}
	if e := chattest.Wait[session.Ended](alice); e.Session.Reason != chat.ByQuit || e.Session.By[0] != "bob" {
		t.Fatalf("alice is told %+v", e)
	}
}
