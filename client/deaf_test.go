package client_test

import (
	"testing"
	"time"

	"natter/client"
	"natter/internal/chattest"
)

// TestABlockIsInTheTicket: soon after a block, and after its end, the server itself keeps
// the blocked user's direct messages from the blocker, or does not.
func TestABlockIsInTheTicket(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	deaf := func(want int) {
		t.Helper()
		late := time.After(20 * time.Second)
		for look := time.Tick(10 * time.Millisecond); len(alice.BlockedInTicket()) != want; {
			select {
			case <-look:
			case <-late:
				t.Fatalf("the ticket keeps away %v, want %d users", alice.BlockedInTicket(), want)
			}
		}
	}
	if err := alice.Block(t.Context(), "bob", 0); err != nil {
		t.Fatal(err)
	}
	deaf(1)
	if err := bob.Direct(t.Context(), "alice", "psst"); err == nil {
		t.Error("alice was reached")
	}
	if err := alice.Unblock(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	deaf(0)
	// The ticket is known before the connection that it is for.
	for late := time.Now().Add(20 * time.Second); ; {
		err := bob.Direct(t.Context(), "alice", "hello")
		if err == nil {
			break
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
	if got := chattest.Wait[client.DirectText](alice); got.Text != "hello" {
		t.Errorf("alice reads %+v", got)
	}
	if err := alice.Block(t.Context(), "bob", time.Second); err != nil {
		t.Fatal(err)
	}
	deaf(1)
	deaf(0) // the mute ends by itself
}
