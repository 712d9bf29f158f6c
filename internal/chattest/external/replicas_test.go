//go:build !windows

package external_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/session"
)

// goesOn is how long requests may stand still when a replica dies.
const goesOn = 3 * time.Second

// elected is how long it may take after a NATS server of three is gone until users are back
// on another one: if it was the leader of a stream, the others elect one first.
const elected = 12 * time.Second

// TestReplicaIsKilled kills one of two coordinators, again and again, in the moment of an
// invitation, while others come and go: every request is answered soon, every invitation
// arrives, and no session is half open.
func TestReplicaIsKilled(t *testing.T) {
	t.Parallel()
	in := plan(t, 1).run()
	replicas := []*process{in.coordinator(), in.coordinator()}
	alice, bob := in.user("alice"), in.user("bob")
	stop := in.load(2)
	for round := range 6 {
		victim := round % 2
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			<-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond)
			replicas[victim].kill()
		}()
		began := time.Now()
		s, err := alice.Invite(t.Context(), "bob")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if took := time.Since(began); took > goesOn {
			t.Errorf("round %d: the invitation took %s", round, took)
		}
		chattest.Wait[session.Invited](bob)
		if err := bob.Answer(t.Context(), s.ID, true); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		chattest.Wait[session.Opened](alice)
		chattest.Wait[session.Opened](bob)
		says(t, alice, bob, fmt.Sprint("round ", round))
		if err := bob.Quit(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		chattest.Wait[session.Ended](alice)
		<-killed
		replicas[victim] = in.coordinator()
	}
	stop()
	chattest.Chat(bob, alice)
}

// load has pairs of users chat and part until stop is called, which fails the test if they
// could not.
func (in *installation) load(pairs int) (stop func()) {
	in.t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range pairs {
		host, guest := in.user(fmt.Sprint("host", i)), in.user(fmt.Sprint("guest", i))
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if err := meet(host, guest); err != nil {
					in.t.Errorf("%s and %s, the %dth time: %v", host.Me(), guest.Me(), n, err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}

// meet is a short chat from beginning to end.
func meet(host, guest *chattest.User) error {
	s, err := host.Invite(host.T.Context(), string(guest.Me()))
	if err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	if err := guest.Answer(host.T.Context(), s.ID, true); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := await[session.Opened](host); err != nil {
		return err
	}
	if err := host.Quit(host.T.Context()); err != nil {
		return fmt.Errorf("quit: %w", err)
	}
	return await[session.Ended](guest)
}

// await is chattest.Wait for goroutines that must not end the test.
func await[E client.Event](u *chattest.User) error {
	late := time.After(timeout)
	for {
		select {
		case e := <-u.Events():
			if _, ok := e.(E); ok {
				return nil
			}
		case <-late:
			return fmt.Errorf("%s waits in vain for %T", u.Me(), *new(E))
		}
	}
}

// TestReplicaIsHeldUp stops one of two coordinators for a while and lets it go on: what it
// had been asked for has been done by the other one, and nothing is done again, or by what
// it remembers.
func TestReplicaIsHeldUp(t *testing.T) {
	t.Parallel()
	in := plan(t, 1).run()
	held := in.coordinator()
	in.coordinator()
	alice, bob := in.user("alice"), in.user("bob")
	if err := held.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 20*time.Second; { // its share of the requests lies with the one that is held up
		if err := meet(alice, bob); err != nil {
			t.Fatal(err)
		}
	}
	for _, visible := range []bool{false, true} {
		if err := alice.SetPresence(t.Context(), visible); err != nil {
			t.Fatal(err)
		}
	}
	if err := held.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// The replica answers again, and with it all that it had in its hands.
	for i := range 20 {
		var users []chat.Entry
		err := insist(func() (err error) {
			users, err = bob.List(t.Context())
			return err
		})
		if err != nil || len(users) != 1 || users[0].Busy || users[0].Name != "alice" {
			t.Fatalf("list %d: %+v, %v", i, users, err)
		}
	}
	for len(bob.Events()) > 0 {
		if e, ok := (<-bob.Events()).(session.Invited); ok {
			t.Fatalf("an invitation of long ago: %+v", e)
		}
	}
	if waiting := bob.Invitations(); len(waiting) > 0 {
		t.Fatalf("invitations of long ago: %+v", waiting)
	}
	chattest.Chat(alice, bob)
}

// TestUsersMoveToAnotherServer kills the server that a user is connected to: the user is
// back on another one, and the chat goes on.
func TestUsersMoveToAnotherServer(t *testing.T) { // not beside others: three servers at once are enough
	in := plan(t, 3).run()
	in.coordinator()
	in.coordinator()
	alice, bob := in.user("alice"), in.user("bob")
	chattest.Chat(alice, bob)
	in.servers[0].kill()
	for _, u := range []*chattest.User{alice, bob} { // each may have been there or not
		for u.Online() == false {
			if e := chattest.Wait[client.Connected](u); e.After > elected {
				t.Errorf("%s was away for %s", u.Me(), e.After)
			}
		}
	}
	says(t, alice, bob, "one of three is gone")
	says(t, bob, alice, "we are still here")
	if err := insist(func() error { return alice.Quit(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByQuit {
		t.Errorf("bob is told %+v", e)
	}
}

// TestUsersLeaveASilentServer stops the server that a user is connected to, without a word:
// the user notices, moves to another one, and the chat goes on.
func TestUsersLeaveASilentServer(t *testing.T) { // not beside others: three servers at once are enough
	in := plan(t, 3).run()
	urls := strings.Split(in.urls, ",")
	in.urls = urls[1] + "," + urls[2]
	in.coordinator()
	in.coordinator()
	bob := in.user("bob")
	alice := chattest.Dial(t, client.Config{URL: urls[0]}, "alice")
	chattest.Chat(alice, bob)
	says(t, alice, bob, "before")

	if err := in.servers[0].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := alice.Say("nobody answers"); err != nil {
		t.Fatal(err)
	}
	for chattest.Wait[chattest.Text](bob).Text != "nobody answers" {
	}
	took := time.Since(began)
	t.Logf("after %s", took)
	if took > 10*time.Second+goesOn {
		t.Errorf("the message took %s", took)
	}
	says(t, bob, alice, "somebody does")
}
