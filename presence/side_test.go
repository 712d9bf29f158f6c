package presence_test

import (
	"testing"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/presence"
)

// TestBesideWaitsForTheEvent: a request on a connection beside a user's terminals can arrive
// before the event of that connection.
func TestBesideWaitsForTheEvent(t *testing.T) {
	srv := brokertest.Run(t)
	system, err := srv.DialSystem("test", chat.SystemGrant(srv.ChatAccount()), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(system.Close)
	l, err := presence.NewLiveness(system, srv.ChatAccount(), func(string) {}, func(presence.Link) {})
	if err != nil {
		t.Fatal(err)
	}
	brokertest.User(t, srv, "alice") // a terminal, which is not beside one
	there := make(chan bool, 1)
	go func() { there <- l.Beside(t.Context(), "alice") }()
	brokertest.Dial(t, srv, chat.SideGrant("alice"), chat.Inbox("alice"))
	if !<-there {
		t.Error("a connection that has come is not found")
	}
}
