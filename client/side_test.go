package client_test

import (
	"testing"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
)

// TestBesideThenAsATerminal: a name that is not the user's here yet, though they have a key of it, can
// be taken after it was tried beside their terminals.
func TestBesideThenAsATerminal(t *testing.T) {
	cfg := regular(t, chattest.Run(t), "alice")
	other := chattest.Run(t)
	bob := other.User("bob")
	cfg.URL = other.Server.URL()
	alice := dial(t, cfg, false)
	_, err := alice.EnterBeside(t.Context(), "alice", false)
	chattest.Code(t, err, chat.NotRegistered)
	if _, err := alice.Enter(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if err := alice.SetPresence(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if users, err := bob.List(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("bob sees %v, %v", users, err)
	}
}

// TestAClientEntersOnce: after that, and before, requests are refused.
func TestAClientEntersOnce(t *testing.T) {
	in := chattest.Run(t)
	c := dial(t, client.Config{URL: in.Server.URL()}, false)
	chattest.Code(t, c.Direct(t.Context(), "bob", "hello"), chat.NotRegistered)
	if _, err := c.Enter(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	_, err := c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Arguments)
	_, err = c.EnterBeside(t.Context(), "alice", false)
	chattest.Code(t, err, chat.Arguments)
	chattest.Code(t, c.Direct(t.Context(), "bob", " "), chat.Arguments)
}
