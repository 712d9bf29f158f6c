package chattest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/presence/account"
)

func invitedOnly(c *coord.Config) { c.Invited = true }

// pass has the operator make a pass.
func pass(t *testing.T, in *chattest.Installation, q chat.PassRequest) string {
	t.Helper()
	operator := brokertest.Operator(t, in.Server)
	reply, err := rpc.Call(t.Context(), operator.Conn, chat.AdminPass, chat.Address{}, q)
	if err != nil {
		t.Fatal(err)
	}
	return reply.Pass
}

// guest is somebody with a pass, whose keys are kept in a directory.
func guest(t *testing.T, in *chattest.Installation, dir, pass string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{URL: in.Server.URL(), KeyDir: dir, Pass: pass})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fails is the sentence that a name is refused with.
func fails(t *testing.T, c *client.Client, name string) string {
	t.Helper()
	_, err := c.Enter(t.Context(), name)
	var told *chat.Error
	if !errors.As(err, &told) {
		t.Fatalf("%s: %v", name, err)
	}
	return string(told.Code) + ": " + told.Text
}

// Fifty keys race for a pass for three, through two replicas: three come in.
func TestManyUseOnePass(t *testing.T) {
	in := chattest.Run(t, quiet, beside, invitedOnly)
	in.Start()
	const uses, many = 3, 50
	link := pass(t, in, chat.PassRequest{Uses: uses})
	guests := make([]*client.Client, many)
	for i := range guests {
		guests[i] = guest(t, in, "", link)
	}
	var wg sync.WaitGroup
	errs := make([]error, many)
	begin := make(chan struct{})
	for i, g := range guests {
		wg.Go(func() {
			<-begin
			_, errs[i] = g.Enter(t.Context(), fmt.Sprintf("guest%d", i))
		})
	}
	close(begin)
	wg.Wait()
	came := 0
	for i, err := range errs {
		if err == nil {
			came++
			if !guests[i].PassSpent() {
				t.Error("who came in does not know that the pass is spent")
			}
			continue
		}
		chattest.Code(t, err, chat.Denied)
	}
	if came != uses {
		t.Errorf("%d of %d came in, not %d", came, many, uses)
	}
}

// Who has no pass learns nothing about names; who has one may try several for one use;
// who has a name needs none.
func TestOnlyWhoIsInvitedComesIn(t *testing.T) {
	in := chattest.Run(t, quiet, beside, invitedOnly)
	in.Start() // what one replica has made, the other one knows
	const notInvited = "denied: This server is for invited people only. Ask its operator for a link, then: chatcli join LINK"
	home := t.TempDir()
	alice := guest(t, in, home, pass(t, in, chat.PassRequest{}))
	if _, err := alice.Enter(t.Context(), "Alice"); err != nil {
		t.Fatal(err)
	}
	stranger := guest(t, in, "", "")
	for _, name := range []string{"alice", "nora"} {
		if got := fails(t, stranger, name); got != notInvited {
			t.Errorf("a stranger who asks for %s is told %q", name, got)
		}
	}
	if got := fails(t, guest(t, in, "", "AAAAAAAAAAAAAAAAAAAAAA"), "alice"); got != "denied: This link is not known here. Ask the server's operator for another one, then: chatcli join LINK" {
		t.Error(got)
	}

	link := pass(t, in, chat.PassRequest{})
	bob := guest(t, in, t.TempDir(), link)
	chattest.Code(t, second(bob.Enter(t.Context(), "alice")), chat.Taken)
	chattest.Code(t, second(bob.Enter(t.Context(), "ALICE")), chat.Taken)
	if _, err := bob.Enter(t.Context(), "bob"); err != nil {
		t.Fatalf("the link is used up by names that were taken: %v", err)
	}
	if got := fails(t, guest(t, in, "", link), "carol"); got != "denied: This link is used up. Ask the server's operator for another one, then: chatcli join LINK" {
		t.Error(got)
	}

	if err := alice.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := guest(t, in, home, "")
	if w, err := again.Enter(t.Context(), "alice"); err != nil || !w.Returning {
		t.Errorf("alice comes back: %+v, %v", w, err)
	}
	if again.PassSpent() {
		t.Error("who needs no pass has spent one")
	}
}

func second[A any](_ A, err error) error { return err }

// A pass ends at its time.
func TestPassesEnd(t *testing.T) {
	in := chattest.Run(t, quiet, invitedOnly)
	link := pass(t, in, chat.PassRequest{For: time.Second})
	late := guest(t, in, "", link)
	eventually(t, "the pass ends", func() bool {
		_, err := guest(t, in, "", link).Enter(t.Context(), "early")
		return err != nil && err.Error() == "This link has expired. Ask the server's operator for another one, then: chatcli join LINK"
	})
	if got := fails(t, late, "late"); got != "denied: This link has expired. Ask the server's operator for another one, then: chatcli join LINK" {
		t.Error(got)
	}
}

// The store has nothing that could be used as a pass.
func TestPassesAreNotInTheStore(t *testing.T) {
	in := chattest.Run(t, quiet, invitedOnly)
	link := pass(t, in, chat.PassRequest{})
	x := examine(t, in)
	if state := x.stream(broker.LiveStream); !strings.Contains(state, "natter.state.pass.") || strings.Contains(state, link) {
		t.Errorf("the pass %s is in the store, or nothing is: %s", link, state)
	}
}

// A pass for as many as there may be lets all of them in, whatever they are called.
func TestTheLastUseOfALargePass(t *testing.T) {
	in := chattest.Run(t, quiet, invitedOnly)
	in.StopCoordinator()
	p, err := account.NewPass(chat.MaxUses, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return fmt.Sprintf("guest-of-%0*d", chat.MaxName-len("guest-of-"), i) }
	for i := range chat.MaxUses - 1 {
		key, u := fmt.Sprintf("U%055d", i), chat.User(name(i))
		if p, err = p.Use(key, u, time.Now()); err != nil {
			t.Fatal(err)
		}
		if p, err = p.Take(key, u); err != nil {
			t.Fatal(err)
		}
	}
	link := base64.RawURLEncoding.EncodeToString(make([]byte, 16))
	js := must(jetstream.New(brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox).Conn))(t)
	must(js.Publish(t.Context(), chat.StateRoot+".pass."+chat.PassID(link), must(json.Marshal(p))(t)))(t)
	in.Start()

	if _, err := guest(t, in, "", link).Enter(t.Context(), name(chat.MaxUses)); err != nil {
		t.Errorf("the last one: %v", err)
	}
	if got := fails(t, guest(t, in, "", link), "late"); got != "denied: "+account.ErrPassUsed.Text {
		t.Error(got)
	}
}
