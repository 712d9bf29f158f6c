package client_test

import (
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
)

// A talk may still want to fetch its mailbox when the user's connection has been taken away.
func TestWhoIsSignedOutAsksForNothing(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	s := chattest.Chat(alice, bob)
	alice.SignOut()
	chattest.Wait[client.SignedOut](alice)
	chattest.Code(t, alice.FetchMailbox(t.Context(), s.ID), chat.NotConnected)
}

// When a hello is answered another terminal may have come already, and its coming be older
// than what the answer tells of sessions.
func TestATerminalThatCameBeforeTheAnswer(t *testing.T) {
	alice := chattest.Run(t).User("alice")
	told := func(revision uint64) {
		by := &chat.Place{Server: "elsewhere", Connection: 1}
		alice.Served(chat.ServerNotice{SignedOut: &chat.SignedOut{By: by, Revision: revision}})
	}
	alice.Welcomed(chat.HelloReply{Came: 100, Revision: 102})
	told(99)
	if !alice.Online() {
		t.Fatal("one that came before counts")
	}
	told(101)
	if e := chattest.Wait[client.SignedOut](alice); !e.Elsewhere {
		t.Fatalf("alice is told %+v", e)
	}
}

// TestCutWhileItComes: what cuts a terminal before its first hello is answered does not keep it
// out.
func TestCutWhileItComes(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	c := dial(t, cfg, true)
	in.StopCoordinator()
	hellos := heard(t, in, "chat.coord.hello.alice")
	entered := make(chan error)
	go func() {
		_, err := c.Enter(t.Context(), "alice")
		entered <- err
	}()
	if _, err := hellos.NextMsg(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := c.Cut(); err != nil {
		t.Fatal(err)
	}
	in.Start()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
}
