package chattest_test

import (
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// TestReplicasServeTogether has several coordinators on one broker: whoever answers, the
// story is the same, and it is told once.
func TestReplicasServeTogether(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Shared = true })
	in.Start()
	in.Start()
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	for range 10 {
		users, err := alice.List(t.Context())
		if err != nil || len(users) != 2 {
			t.Fatalf("alice sees %+v, %v", users, err)
		}
		chattest.Chat(alice, bob, carol)
		if err := bob.Say("hello"); err != nil {
			t.Fatal(err)
		}
		chattest.Wait[chattest.Text](carol)
		if err := carol.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := bob.Quit(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended := chattest.Wait[session.Ended](alice)
		if ended.Session.Reason != chat.ByQuit {
			t.Fatalf("alice is told %+v", ended)
		}
	}
}
