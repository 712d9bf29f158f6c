package client_test

import (
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/client"
)

// A talk may still want what is kept for it when the user's connection has been taken away.
func TestWhoIsSignedOutAsksForNothing(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	s := chattest.Chat(alice, bob)
	alice.SignOut()
	chattest.Wait[client.SignedOut](alice)
	chattest.Code(t, alice.AskKept(t.Context(), s.ID), chat.NotConnected)
}
