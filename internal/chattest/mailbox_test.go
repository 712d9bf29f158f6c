package chattest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/chattest/faults"
	"natter/internal/coord"
	"natter/session"
)

// hears reads what somebody hears until they have heard a number of messages, and
// returns it by sender.
func hears(u *chattest.User, n int) map[chat.Name][]string {
	u.T.Helper()
	heard := map[chat.Name][]string{}
	for range n {
		e := chattest.Wait[chattest.Text](u)
		heard[e.From] = append(heard[e.From], e.Text)
	}
	return heard
}

// hearsToTheEnd reads what somebody hears until they are told that the chat is over.
func hearsToTheEnd(u *chattest.User) (heard []string) {
	u.T.Helper()
	chattest.Until(u, "the end", func(e client.Event) bool {
		if text, ok := e.(chattest.Text); ok {
			heard = append(heard, text.Text)
		}
		_, over := e.(session.Ended)
		return over
	})
	return heard
}

// saysAll says n things and returns them.
func saysAll(u *chattest.User, n int, what string) []string {
	u.T.Helper()
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s %d of %s", what, i, u.Me()))
		if err := u.Say(all[i]); err != nil {
			u.T.Fatal(err)
		}
	}
	return all
}

// becomes waits until a message of the user's own has come into a state.
func becomes(u *chattest.User, text string, state session.SentState) {
	u.T.Helper()
	for {
		if e := chattest.Wait[client.Sent](u); e.Text == text && e.State == state {
			return
		}
	}
}

// mailboxesAreEmpty waits until the stream is empty.
func mailboxesAreEmpty(t *testing.T, in *chattest.Installation) {
	t.Helper()
	x := examine(t, in)
	eventually(t, "the mailboxes are empty", func() bool {
		return must(x.js.Stream(t.Context(), broker.MailboxesStream))(t).CachedInfo().State.Msgs == 0
	})
}

// away are users one of whom can be killed, and come back.
type away struct {
	in    *chattest.Installation
	alice client.Config // of who is away
}

func (a away) comes() *chattest.User { return chattest.Dial(a.in.T, a.alice, "alice") }

func installed(t *testing.T, replicas int) away {
	in := chattest.Run(t, func(c *coord.Config) { c.Shared = replicas > 1 })
	for range replicas - 1 {
		in.Start()
	}
	return away{in, client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}}
}

// relayed has alice reach the server by a line that can go bad.
func (a *away) relayed() *faults.Relay {
	a.in.T.Helper()
	line, err := faults.NewRelay(strings.TrimPrefix(a.in.Server.URL(), "nats://"))
	if err != nil {
		a.in.T.Fatal(err)
	}
	a.in.T.Cleanup(line.Close)
	a.alice.URL, a.alice.Options = line.URL(), []nats.Option{nats.IgnoreDiscoveredServers()}
	return line
}

// sender is a user who is told what becomes of each message.
func (a away) sender(name string) *chattest.User {
	return chattest.Dial(a.in.T, client.Config{URL: a.in.Server.URL(), KeyDir: a.in.T.TempDir(), Log: a.in.Config.Log, Sent: true}, name)
}

// TestBackToWhatWasSaid: who restarts the client within the grace time hears everything
// that was said meanwhile, once and in each sender's order: of who is there, of who has
// left the group, and of who is lost by now as well.
func TestBackToWhatWasSaid(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			a := installed(t, replicas)
			alice, bob, carol, dave := a.comes(), a.sender("bob"), a.sender("carol"), a.sender("dave")
			chattest.Chat(alice, bob, carol, dave)
			for _, u := range []*chattest.User{bob, carol, dave} {
				saysAll(u, 3, "before")
				if got := hears(alice, 3); len(got[u.Me()]) != 3 {
					t.Fatalf("alice hears %v", got)
				}
				becomes(u, "before 2 of "+string(u.Me()), session.Delivered) // the receipts are there
			}
			alice.Close()
			for _, u := range []*chattest.User{bob, carol, dave} {
				chattest.Wait[session.MemberLost](u)
			}
			said := map[chat.Name][]string{}
			for _, u := range []*chattest.User{bob, carol, dave} {
				said[u.Me()] = saysAll(u, 5, "meanwhile")
			}
			if err := bob.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			chattest.Until(bob, "that bob has left", func(e client.Event) bool {
				if lost, ok := e.(client.NotDelivered); ok {
					t.Errorf("bob is told that %q was not delivered", lost.Text)
				}
				_, left := e.(session.MemberLeft)
				return left
			})
			becomes(dave, "meanwhile 4 of dave", session.Stored)
			dave.Close()
			chattest.Wait[session.MemberLost](carol)
			said["carol"] = append(said["carol"], saysAll(carol, 2, "later")...)

			alice = a.comes()
			chattest.Wait[session.Opened](alice)
			heard := hears(alice, 17)
			for who, all := range said {
				if !slices.Equal(heard[who], all) {
					t.Errorf("alice hears %q from %s, want %q", heard[who], who, all)
				}
			}
			says(t, alice, "I am back", carol)
			says(t, carol, "welcome", alice)
			if err := alice.Quit(t.Context()); err != nil {
				t.Fatal(err)
			}
			mailboxesAreEmpty(t, a.in)
		})
	}
}

// TestStoredBeforeTheEnd: who comes back to a group that ends before they have fetched what is stored
// for them is shown what somebody said who has left it.
func TestStoredBeforeTheEnd(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.sender("bob")
	mallory := intrude(t, a.in, "mallory")
	s, _, _ := group(t, alice, bob, mallory)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	kept := saysAll(bob, 3, "kept")
	if err := bob.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice = a.comes() // and waits for mallory to say where they stand
	chattest.Wait[session.Opened](alice)
	must(ask(mallory, chat.End, chat.EndRequest{Session: s.ID, Reason: chat.ByQuit}))(t)
	if heard := hearsToTheEnd(alice); !slices.Equal(heard, kept) {
		t.Errorf("before the end, alice is shown %q, want %q", heard, kept)
	}
	must(ask(mallory, chat.Fetch, chat.FetchRequest{Session: s.ID, Inbox: "_IN.mallory.x", Have: 1 << 62}))(t)
	mailboxesAreEmpty(t, a.in)
}

// TestBegunAndEndedMeanwhile: whose line is down from their accepting an invitation to the end
// of the chat hears all of it afterwards, what somebody said who has left it included. What
// those said who stayed has failed, as they are told.
func TestBegunAndEndedMeanwhile(t *testing.T) {
	a := installed(t, 1)
	line := a.relayed()
	alice, bob := a.comes(), a.sender("bob")
	mallory := intrude(t, a.in, "mallory")
	s, err := bob.Invite(t.Context(), "alice", "mallory")
	if err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Invited](alice)
	if err := alice.Answer(t.Context(), s.ID, true); err != nil {
		t.Fatal(err)
	}
	line.Set(faults.Flaw{Cut: true})
	chattest.Wait[client.Lost](alice)
	mallory.accepts(s.ID)
	chattest.Wait[session.Opened](bob)
	kept := saysAll(bob, 3, "kept")
	must(ask(mallory, chat.Store, chat.StoreRequest{Session: s.ID, For: []chat.User{"alice"}, Messages: words(1, "failed")}))(t)
	if err := bob.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(ask(mallory, chat.End, chat.EndRequest{Session: s.ID, Reason: chat.ByQuit}))(t)
	line.Set(faults.Flaw{})
	chattest.Wait[session.Opened](alice)
	if heard := hearsToTheEnd(alice); !slices.Equal(heard, kept) {
		t.Errorf("between the beginning and the end, alice is shown %q, want %q", heard, kept)
	}
	must(ask(mallory, chat.Fetch, chat.FetchRequest{Session: s.ID, Inbox: "_IN.mallory.x", Have: 1 << 62}))(t)
	mailboxesAreEmpty(t, a.in)
}

// TestLeavingUnheard: who leaves while another one does, and is not heard, is out all the same,
// and is told so.
func TestLeavingUnheard(t *testing.T) {
	a := installed(t, 1)
	line := a.relayed()
	alice, bob, carol, dave := a.comes(), a.sender("bob"), a.sender("carol"), a.sender("dave")
	chattest.Chat(alice, bob, carol, dave)
	line.Set(faults.Flaw{HoldUp: true})
	soon, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- alice.Leave(soon) }()
	if err := bob.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[session.MemberLeft](alice); e.Name != "bob" {
		t.Errorf("alice is told that %s has left", e.Name)
	}
	if err := <-left; err != nil {
		t.Errorf("alice leaves: %v", err)
	}
	chattest.Wait[session.Ended](alice)
	line.Set(faults.Flaw{})
	for e := chattest.Wait[session.MemberLeft](carol); e.Name != "alice"; {
		e = chattest.Wait[session.MemberLeft](carol)
	}
	says(t, carol, "they have gone", dave)
}

// TestSenderBeginsAnew: what was stored before the sender's program was killed arrives
// before what it says after it has come back, and none of its numbers comes twice.
func TestSenderBeginsAnew(t *testing.T) {
	a := installed(t, 1)
	bobs := client.Config{URL: a.in.Server.URL(), KeyDir: t.TempDir(), Log: a.in.Config.Log, Sent: true}
	bobs.Takeover = true // nobody is left to see when the coordinator has noticed that he is away
	alice, bob := a.comes(), chattest.Dial(t, bobs, "bob")
	chattest.Chat(alice, bob)
	says(t, bob, "before", alice)
	becomes(bob, "before", session.Delivered)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	saysAll(bob, 3, "kept")
	becomes(bob, "kept 2 of bob", session.Stored)
	bob.Close()
	bob = chattest.Dial(t, bobs, "bob")
	chattest.Wait[session.Opened](bob)
	saysAll(bob, 3, "anew")
	alice = a.comes()
	want := []string{"kept 0 of bob", "kept 1 of bob", "kept 2 of bob", "anew 0 of bob", "anew 1 of bob", "anew 2 of bob"}
	if got := hears(alice, 6)["bob"]; !slices.Equal(got, want) {
		t.Errorf("alice hears %q", got)
	}
	becomes(bob, "anew 2 of bob", session.Delivered)
	converse(t, alice, bob, "after")
	mailboxesAreEmpty(t, a.in)
}

// TestComingBackBesideTheSilent: somebody who comes back into a group is heard at once,
// whoever else keeps silent.
func TestComingBackBesideTheSilent(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.in.User("bob")
	mallory := intrude(t, a.in, "mallory")
	group(t, alice, bob, mallory)
	converse(t, alice, bob, "before")
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	says(t, bob, "while you were away")
	alice = a.comes()
	if got := chattest.Wait[chattest.Text](alice); got.Text != "while you were away" {
		t.Errorf("alice hears %q", got.Text)
	}
	converse(t, alice, bob, "after")
}

// TestWhatBecomesOfAMessage: sending, stored while the other one is away, delivered when
// they are back; failed, with its text, when the chat ends first.
func TestWhatBecomesOfAMessage(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.sender("bob")
	s := chattest.Chat(alice, bob)
	says(t, bob, "at once", alice)
	becomes(bob, "at once", session.Delivered)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	says(t, bob, "meanwhile")
	state := func(n uint64, state session.SentState, text string) {
		t.Helper()
		if e := chattest.Wait[client.Sent](bob); e != (client.Sent{Session: s.ID, N: n, State: state, Text: text}) {
			t.Errorf("%+v, want %s", e, state)
		}
	}
	state(2, session.Sending, "meanwhile")
	state(2, session.Stored, "meanwhile")
	alice = a.comes()
	state(2, session.Delivered, "meanwhile")
	mailboxesAreEmpty(t, a.in) // it was deleted
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	says(t, bob, "too late")
	state(3, session.Sending, "too late")
	state(3, session.Stored, "too late")
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	state(3, session.Failed, "too late")
	if e := chattest.Wait[client.NotDelivered](bob); e.Text != "too late" || e.Kept {
		t.Errorf("bob is told %+v", e)
	}
	mailboxesAreEmpty(t, a.in)
}

// TestStartLetsGoOfWhatIsOld: what a coordinator left behind that was killed at the end
// of a session is dropped by the next one; what belongs to an open session stays.
func TestStartLetsGoOfWhatIsOld(t *testing.T) {
	a := installed(t, 1)
	alice, bob := a.comes(), a.sender("bob")
	s := chattest.Chat(alice, bob)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	says(t, bob, "kept")
	becomes(bob, "kept", session.Stored)
	x := examine(t, a.in)
	for _, subject := range []string{".mailbox." + chat.NewSessionID() + ".alice.bob", ".mailbox." + s.ID[:31] + "0.bob.alice"} {
		must(x.js.Publish(t.Context(), chat.StateRoot+subject, []byte(`{}`)))(t)
	}
	a.in.Start()
	stream := must(x.js.Stream(t.Context(), broker.MailboxesStream))(t)
	eventually(t, "the old is dropped", func() bool { return must(stream.Info(t.Context()))(t).State.Msgs == 1 })
	if got := chattest.Wait[chattest.Text](a.comes()); got.Text != "kept" {
		t.Errorf("alice hears %q", got.Text)
	}
}
