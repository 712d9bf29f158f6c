package client_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
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

// A ticket expires while there is no coordinator to renew it, and the server refuses it.
func TestARefusedTicketIsReplaced(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	err := alice.Present(func(key string) (chat.Ticket, error) {
		return in.Server.Minter().Mint(key, chat.UserGrant("alice"), time.Minute, time.Now().Add(-time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Connected](alice)
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](bob)
}

// While alice was away a chat has ended and another one has begun: she is never in both.
func TestWhatIsOverIsToldFirst(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	old := chattest.Chat(alice, bob)
	next := old
	next.ID, next.State = "00112233445566778899aabbccddeeff", chat.Open
	old.State, old.Reason = chat.Closed, chat.ByQuit
	alice.Hear(chat.HelloReply{Revision: 1 << 40, Sessions: []chat.Session{next, old}})
	if e := chattest.Wait[session.Event](alice); e == nil {
		t.Fatal("nothing is told")
	} else if ended, ok := e.(session.Ended); !ok || ended.Session.ID != old.ID {
		t.Fatalf("first comes %T %+v", e, e)
	}
	if e := chattest.Wait[session.Opened](alice); e.Session.ID != next.ID {
		t.Fatalf("then comes %+v", e)
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

// When a ticket has to be renewed says how long it is good, and no wall clock: the
// coordinator's need not be ours.
func TestAClockThatIsWrong(t *testing.T) {
	alice := chattest.Run(t).User("alice")
	for _, ahead := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		left := alice.Left(chat.Ticket{Expires: time.Now().Add(ahead + time.Hour), TTL: time.Hour})
		if left < 59*time.Minute || left > time.Hour {
			t.Errorf("an hour lasts %s by a clock that is %s ahead", left, ahead)
		}
	}
}

// TestRenewSaysHelloUntilItIsHeard: a hello that fails after a renewal is said again, when
// there is a coordinator.
func TestRenewSaysHelloUntilItIsHeard(t *testing.T) {
	in := chattest.Run(t)
	alice := in.User("alice")
	tap := brokertest.Observer(t, in.Server)
	hellos := make(chan *nats.Msg, 1024)
	if _, err := tap.ChanSubscribe(chat.Hello.Subject(chat.Address{User: "alice"}), hellos); err != nil {
		t.Fatal(err)
	}
	if err := tap.Flush(); err != nil {
		t.Fatal(err)
	}
	renewed := make(chan error, 1)
	alice.Dialled(in.StopCoordinator)
	go func() { renewed <- alice.Renew() }()
	if err := <-renewed; err == nil {
		t.Fatal("the hello was answered")
	}
	in.Start()
	for range len(hellos) { // said to nobody
		<-hellos
	}
	select {
	case <-hellos:
	case <-time.After(20 * time.Second):
		t.Error("alice says hello no more")
	}
}
