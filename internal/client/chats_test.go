package client_test

import (
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/session"
)

// TestEndAsTheConnectionComesBack: a chat that was ended without a connection ends for
// the others although the connection was back before that could be noted.
func TestEndAsTheConnectionComesBack(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	s := chattest.Chat(alice, bob)
	alice.EndLater(s.ID)
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByQuit {
		t.Fatalf("bob is told %+v", e)
	}
}
