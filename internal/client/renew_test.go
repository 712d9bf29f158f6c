package client_test

import (
	"testing"

	"natter/internal/chattest"
	"natter/internal/client"
	"natter/session"
)

func TestANewTicketTakesThePlaceOfTheOld(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	if err := alice.Renew(); err != nil {
		t.Fatal(err)
	}
	if err := bob.Direct(t.Context(), "alice", "on the new connection"); err != nil {
		t.Fatal(err)
	}
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		switch e := <-alice.Events(); e.(type) {
		case client.Lost, session.MemberLost:
			t.Fatalf("the change of connections is noticed: %T", e)
		case session.Ended:
			return
		}
	}
}

// The connection is lost, comes back, and is replaced before that could be told: the user is
// told all the same.
func TestALossIsOverWhenTheTicketIsRenewed(t *testing.T) {
	alice := chattest.Run(t).User("alice")
	alice.Disconnected()
	chattest.Wait[client.Lost](alice)
	if err := alice.Renew(); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Connected](alice)
}
