package chattest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// lets reports whether the server does not refuse a ticket.
func lets(in *chattest.Installation, ticket chat.Ticket, key loginKey) bool {
	nc, err := nats.Connect(in.Server.URL(), nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, key.Sign), nats.NoReconnect())
	if err == nil {
		nc.Close()
	}
	return !errors.Is(err, nats.ErrAuthorization)
}

// becomesVoid waits until the server refuses a ticket. It asks now and then: each time is a connection.
func becomesVoid(t *testing.T, in *chattest.Installation, ticket chat.Ticket, key loginKey) {
	t.Helper()
	const pause = 300 * time.Millisecond
	for late := time.Now().Add(timeout); lets(in, ticket, key); <-time.After(pause) {
		if time.Now().After(late) {
			t.Fatal("the server accepts a ticket that was given back")
		}
	}
}

// leaves has an intruder exit who does not close the connection.
func leaves(m *intruder) {
	m.t.Helper()
	must(ask(m, chat.Exit, chat.ExitRequest{}))(m.t)
}

// anew lets an intruder in again, as another program of theirs.
func anew(m *intruder) *intruder {
	m.t.Helper()
	terminal := newLogin(m.t).public
	reply := entering(m.t, m.in, m.key, chat.EnterRequest{Name: string(m.user), Hello: &chat.EnterHello{Terminal: terminal}})
	if reply.Error != nil {
		m.t.Fatalf("%s enters again: %v", m.user, reply.Error)
	}
	again := *m
	again.ticket, again.Conn = reply.Ticket, holder(m.t, m.in, reply.Ticket, m.key, chat.Inbox(m.user))
	eventually(m.t, "an answer to the hello", func() bool { // of the connection before may not have been heard yet that it is gone
		_, err := ask(&again, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: chat.Name(m.user), Terminal: terminal})
		if err != nil {
			code(m.t, "a hello", err, chat.Timeout)
		}
		return err == nil
	})
	return &again
}

// refusedHello fails unless a hello with an intruder's ticket is refused.
func refusedHello(m *intruder) {
	m.t.Helper()
	again := *m
	again.Conn = holder(m.t, m.in, m.ticket, m.key, chat.Inbox(m.user))
	defer again.Close()
	_, err := ask(&again, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: chat.Name(m.user), Takeover: true})
	code(m.t, "a hello with a ticket that was given back", err, chat.NotRegistered)
}

// Who leaves gives the ticket back: the coordinator refuses it at once, and soon the server does.
// Who comes again at once, in the lobby, notices nothing of it.
func TestATicketThatWasGivenBack(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet, func(c *coord.Config) { c.ConnLimits.HelloIn = time.Hour })
	mallory, bob := intrude(t, in, "mallory"), intrude(t, in, "bob")
	cut := mallory.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	leaves(mallory)
	refusedHello(mallory)
	select {
	case <-cut:
	case <-time.After(timeout):
		t.Error("mallory can speak on a connection that was left open")
	}
	mallory.Close()

	leaves(bob)
	bob.Close()
	again := anew(bob)
	lost := again.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	becomesVoid(t, in, mallory.ticket, mallory.key)
	must(ask(again, chat.List, chat.ListRequest{}))(t)
	select {
	case <-lost:
		t.Error("bob was cut who is here again")
	default:
	}
	leaves(again)
	again.Close()
	becomesVoid(t, in, bob.ticket, bob.key)
	becomesVoid(t, in, again.ticket, again.key)
	anew(again)
}

// So does who does not come back: nobody speaks whom the coordinator has not let in again.
func TestATicketOfWhoWasLost(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet, func(c *coord.Config) { c.Rules.Grace = time.Second })
	mallory := intrude(t, in, "mallory")
	alice := in.User("alice")
	mallory.Close()
	eventually(t, "mallory is removed", func() bool { return len(isHere(t, in)) == 1 })
	refusedHello(mallory)
	becomesVoid(t, in, mallory.ticket, mallory.key)

	in.StopCoordinator()
	in.Config.ConnLimits.HelloIn = time.Hour
	in.Start()
	eventually(t, "alice is known", func() bool { return len(isHere(t, in)) == 1 })
	if lets(in, mallory.ticket, mallory.key) {
		t.Error("another coordinator has forgotten it")
	}
	if _, err := alice.List(t.Context()); err != nil {
		t.Error(err)
	}
}

// Where tickets cannot be revoked the coordinator cuts who connects with one that was given
// back, soon after.
func TestGivenBackAndNotRevoked(t *testing.T) {
	t.Parallel()
	in := chattest.RunUnrevoking(t, quiet, func(c *coord.Config) { c.ConnLimits.HelloIn = time.Hour })
	mallory := intrude(t, in, "mallory")
	leaves(mallory)
	mallory.Close()
	for range 2 {
		conn := holder(t, in, mallory.ticket, mallory.key, chat.Inbox("mallory"))
		select {
		case <-conn.StatusChanged(nats.RECONNECTING, nats.CLOSED):
			conn.Close()
		case <-time.After(timeout):
			t.Fatal("mallory stays connected")
		}
		in.StopCoordinator() // the next one knows it from the state
		in.Start()
	}
	refusedHello(mallory)
	anew(mallory)
	if n := len(isHere(t, in)); n != 1 {
		t.Errorf("%d users", n)
	}
}
