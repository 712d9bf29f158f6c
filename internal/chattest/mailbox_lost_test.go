package chattest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/session"
)

// TestToldWhatIsLost: who comes back is told of whom something is missing that was kept for them,
// once, and hears the rest.
func TestToldWhatIsLost(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.sender("bob")
	s := chattest.Chat(alice, bob)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	if err := bob.Say("this is left"); err != nil {
		t.Fatal(err)
	}
	becomes(bob, "this is left", session.Stored)
	nc := must(a.in.Server.Dial("storing", chat.StoringGrant(), chat.StoreInbox))(t)
	t.Cleanup(nc.Close)
	js := must(jetstream.New(nc))(t)
	must(js.Publish(t.Context(), chat.StateRoot+".mailbox."+s.ID+".alice.bob", []byte(chat.LostMessages)))(t)

	alice = a.comes()
	var told, heard bool
	chattest.Until(alice, "both", func(e client.Event) bool { // bob, who is here, may say it again before it comes
		told = told || e == session.StoredLost{Session: s.ID, From: "bob"}
		if text, ok := e.(chattest.Text); ok {
			heard = heard || text.From == "bob" && text.Text == "this is left"
		}
		return told && heard
	})
	mailboxesAreEmpty(t, a.in)
}
