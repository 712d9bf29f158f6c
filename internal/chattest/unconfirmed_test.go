package chattest_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/session"
)

// nextDirect is what a sender has published for a receiver of direct messages.
func nextDirect(t *testing.T, sub *nats.Subscription) (d chat.DirectMessage) {
	t.Helper()
	if err := json.Unmarshal(must(sub.NextMsg(timeout))(t).Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (m *intruder) direct(to chat.User, d chat.DirectMessage) {
	m.t.Helper()
	data, _ := json.Marshal(d)
	if err := m.Publish(chat.Direct.Subject(chat.Address{To: to, User: m.user}), data); err != nil {
		m.t.Fatal(err)
	}
}

// TestTheTextWaitsForAnAnswer: the text of a direct message goes out only when its receiver
// has answered, so that it does not come up when they wake from sleep.
func TestTheTextWaitsForAnAnswer(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), intrude(t, in, "bob")
	sub := must(bob.SubscribeSync("_DM.bob.*"))(t)
	must0(t, bob.Flush())
	chattest.Code(t, alice.Direct(t.Context(), "bob", "hello"), chat.Unavailable)
	d := nextDirect(t, sub)
	if d.Ask == 0 || d.Text != "" {
		t.Errorf("bob is asked %+v", d)
	}
	bob.direct("alice", chat.DirectMessage{Incarnation: d.Incarnation, Here: d.Ask}) // too late
	must(alice.List(t.Context()))(t)
	if n, _, _ := sub.Pending(); n > 0 {
		t.Errorf("bob is sent %+v", nextDirect(t, sub))
	}
}

// TestNotKnownIsRepeatedOnce: a text that was not acknowledged is sent again as the same
// message, also by another run of the sender, until it is known that it has arrived.
func TestNotKnownIsRepeatedOnce(t *testing.T) {
	in := chattest.Run(t)
	bob := intrude(t, in, "bob")
	sub := must(bob.SubscribeSync("_DM.bob.*"))(t)
	must0(t, bob.Flush())
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Name: "alice", Log: in.Config.Log}
	sends := func(text string, acknowledge bool) (d chat.DirectMessage, err error) {
		t.Helper()
		alice := chattest.Dial(t, cfg, "alice")
		sent := make(chan error, 1)
		go func() { sent <- alice.Direct(t.Context(), "bob", text) }()
		ask := nextDirect(t, sub)
		bob.direct("alice", chat.DirectMessage{Incarnation: ask.Incarnation, Here: ask.Ask})
		if d = nextDirect(t, sub); d.N != ask.Ask || d.Incarnation != ask.Incarnation || d.Text != text {
			t.Errorf("bob hears %+v after %+v", d, ask)
		}
		if acknowledge {
			bob.direct("alice", chat.DirectMessage{Incarnation: d.Incarnation, Ack: d.N})
		}
		err = <-sent
		if err := alice.Exit(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d, err
	}
	first, err := sends("hello", false)
	chattest.Code(t, err, chat.Unknown)
	other := must(sends("another", true))(t)
	again := must(sends("hello", true))(t)
	if again.Incarnation != first.Incarnation || again.N != first.N || other.Incarnation == first.Incarnation {
		t.Errorf("first %+v, again %+v, another %+v", first, again, other)
	}
	if third := must(sends("hello", true))(t); third.Incarnation == first.Incarnation {
		t.Errorf("what has arrived is repeated: %+v", third)
	}
}

// TestARepeatedDirectMessageIsShownOnce: by number and run, whatever came in between.
func TestARepeatedDirectMessageIsShownOnce(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), intrude(t, in, "bob")
	sub := must(bob.SubscribeSync("_DM.bob.alice"))(t)
	must0(t, bob.Flush())
	for _, d := range []chat.DirectMessage{
		{Incarnation: "a", N: 1, Text: "one"}, {Incarnation: "a", N: 3, Text: "three"}, {Incarnation: "b", N: 1, Text: "later"},
		{Incarnation: "a", N: 1, Text: "one"}, {Incarnation: "a", N: 2, Text: "two"}, {Incarnation: "b", N: 1, Text: "later"}, {Incarnation: "b", N: 2, Text: "the last"},
	} {
		bob.direct("alice", d)
		if got := nextDirect(t, sub); got != (chat.DirectMessage{Incarnation: d.Incarnation, Ack: d.N}) {
			t.Errorf("%+v is answered %+v", d, got)
		}
	}
	bob.direct("alice", chat.DirectMessage{Incarnation: "a", Ask: 1})
	if got := nextDirect(t, sub); got.Ack != 1 {
		t.Errorf("who asks for what was shown is told %+v", got)
	}
	var shown []string
	chattest.Until(alice, "the last", func(e client.Event) bool {
		if d, ok := e.(client.DirectText); ok {
			shown = append(shown, d.Text)
		}
		return slices.Contains(shown, "the last")
	})
	if want := []string{"one", "three", "later", "two", "the last"}; !slices.Equal(shown, want) {
		t.Errorf("alice is shown %q, want %q", shown, want)
	}
}

// TestWhatWasNotAcknowledgedIsNotKnown: a member who stands still may show later what was
// said to them; what is said while they are known to be lost never reaches them.
func TestWhatWasNotAcknowledgedIsNotKnown(t *testing.T) {
	in := chattest.Run(t)
	alice := in.User("alice")
	bob := intrude(t, in, "bob")
	s := must(alice.Invite(t.Context(), "bob"))(t)
	must(ask(bob, chat.Answer, chat.AnswerRequest{Session: s.ID, Accept: true}))(t)
	chattest.Wait[session.Opened](alice)
	if err := alice.Say("while bob stands still"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.MessageStored](alice) // and so it has gone out
	bob.Close()
	chattest.Wait[session.MemberLost](alice)
	if err := alice.Say("while bob is away"); err != nil {
		t.Fatal(err)
	}
	if err := alice.Quit(t.Context()); err != nil && !errors.Is(err, &chat.Error{Code: chat.NotInChat}) {
		t.Fatal(err)
	}
	for _, want := range []client.NotDelivered{
		{Session: s.ID, Text: "while bob stands still", Unknown: true},
		{Session: s.ID, Text: "while bob is away"},
	} {
		if got := chattest.Wait[client.NotDelivered](alice); got != want {
			t.Errorf("alice is told %+v, want %+v", got, want)
		}
	}
}
