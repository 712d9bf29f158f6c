package chattest_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/chattest/faults"
	"natter/internal/coord"
	"natter/session"
)

// terminal is one more terminal of the user whose keys are in cfg; nobody is signed in
// there yet.
func terminal(t *testing.T, cfg client.Config) *chattest.User {
	t.Helper()
	c := must(client.Dial(t.Context(), cfg))(t)
	t.Cleanup(c.Close)
	return &chattest.User{Client: c, T: t}
}

// TestTakeover has a user go from terminal to terminal in the middle of a chat, beside one
// coordinator and beside several.
func TestTakeover(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			in := chattest.Run(t, func(c *coord.Config) { c.Shared = replicas > 1 })
			for range replicas - 1 {
				in.Start()
			}
			bob := in.User("bob")
			cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
			first := chattest.Dial(t, cfg, "alice")
			s := chattest.Chat(first, bob)
			says(t, bob, "to the first", first)
			cfg.Name = "alice" // from now on with the kept ticket, if there is one
			for i := range 4 {
				second := terminal(t, cfg)
				_, err := second.Enter(t.Context(), "alice")
				chattest.Code(t, err, chat.SignedIn)
				if since := err.(*chat.Error).Since; since.IsZero() || time.Since(since) > time.Hour {
					t.Fatalf("since %s", since)
				}
				says(t, first, fmt.Sprint("still here ", i), bob)
				w, err := second.EnterOver(t.Context(), "alice")
				if err != nil || !w.Returning || w.Presence != chat.Visible {
					t.Fatalf("%+v, %v", w, err)
				}
				if e := chattest.Wait[client.SignedOut](first); !e.Elsewhere {
					t.Fatalf("the older terminal is told %+v", e)
				}
				chattest.Code(t, first.SetPresence(t.Context(), false), chat.NotRegistered)
				chattest.Code(t, first.Say("from nowhere"), chat.NotInChat)
				if got := chattest.Wait[session.Opened](second).Session; got.ID != s.ID {
					t.Fatalf("%s has followed", got.ID)
				}
				says(t, second, fmt.Sprint("from the next ", i), bob)
				says(t, bob, fmt.Sprint("to the next ", i), second)
				first = second
			}
			if err := bob.Quit(t.Context()); err != nil {
				t.Fatal(err)
			}
			chattest.Wait[session.Ended](first)
		})
	}
}

// TestManyTakeOverAtOnce: one is left, all others are told, and the chat goes on there.
func TestManyTakeOverAtOnce(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			in := chattest.Run(t, func(c *coord.Config) { c.Shared = replicas > 1 })
			for range replicas - 1 {
				in.Start()
			}
			cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
			all := []*chattest.User{chattest.Dial(t, cfg, "alice")}
			bob := in.User("bob")
			chattest.Chat(all[0], bob)
			for range 5 {
				all = append(all, terminal(t, cfg))
			}
			var entering sync.WaitGroup
			out := make(chan int, len(all))
			for i, u := range all[1:] {
				entering.Go(func() {
					_, err := u.EnterOver(t.Context(), "alice")
					if errors.Is(err, &chat.Error{Code: chat.SignedIn}) { // another one was there before the answer
						out <- i + 1
					} else if err != nil {
						t.Errorf("a terminal: %v", err)
					}
				})
			}
			entering.Wait()
			var left *chattest.User
			var mu sync.Mutex
			signed := map[int]bool{}
			done := make(chan struct{})
			for i, u := range all {
				go func() {
					for e := range u.Events() {
						if e, ok := e.(client.SignedOut); ok && e.Elsewhere {
							out <- i
						}
						if e, ok := e.(chattest.Text); ok && e.Text == "who is left" {
							mu.Lock()
							left = u
							mu.Unlock()
							close(done)
						}
					}
				}()
			}
			for len(signed) < len(all)-1 {
				select {
				case i := <-out:
					signed[i] = true
				case <-time.After(timeout):
					t.Fatalf("%d of %d are signed out", len(signed), len(all))
				}
			}
			must0(t, bob.Say("who is left"))
			select {
			case <-done:
			case <-time.After(timeout):
				t.Fatal("nobody hears bob")
			}
			mu.Lock()
			says(t, left, "it is me", bob)
			mu.Unlock()
		})
	}
}

// TestAStubbornTerminal: one that does not care that it was signed out is cut, is not let in
// again, and its tickets of the chat are of no use.
func TestAStubbornTerminal(t *testing.T) {
	in := chattest.Run(t)
	bob, key := in.User("bob"), newLogin(t)
	older := intrudeWith(t, in, "alice", key)
	hello := chat.HelloRequest{Proto: chat.Proto, Name: "alice", Terminal: theirs}
	must(ask(older, chat.Hello, hello))(t)
	told := must(older.SubscribeSync("chat.user.alice.server"))(t)
	cut := older.StatusChanged(nats.RECONNECTING)
	s := must(bob.Invite(t.Context(), "alice"))(t)
	older.accepts(s.ID)
	chattest.Wait[session.Opened](bob)
	member, channel := older.joins(s.ID)
	heard := must(member.SubscribeSync("chat.session." + channel + ".msg.*"))(t)
	if err := member.Flush(); err != nil {
		t.Fatal(err)
	}

	newer := &intruder{t: t, in: in, user: "alice", key: key, ticket: older.ticket, Conn: holder(t, in, older.ticket, key, chat.Inbox("alice"))}
	hello.Terminal = "newer"
	_, err := ask(newer, chat.Hello, hello)
	code(t, "another terminal", err, chat.SignedIn)
	hello.Takeover = true
	id := must(newer.GetClientID())(t)
	hello.Place = &chat.Place{Server: newer.ConnectedServerId(), Connection: id}
	reply := must(ask(newer, chat.Hello, hello))(t)
	if !reply.Back || len(reply.Sessions) != 1 {
		t.Fatalf("%+v", reply)
	}
	m := must(told.NextMsg(timeout))(t)
	if want := fmt.Sprintf(`{"signed_out":{"by":{"server":%q,"connection":%d},"revision":%d,"installation":%q}}`, hello.Place.Server, id, reply.Came, reply.Installation); string(m.Data) != want {
		t.Errorf("the older terminal is told %s, want %s", m.Data, want)
	}
	select {
	case <-cut:
	case <-time.After(timeout):
		t.Fatal("the older terminal is not cut")
	}
	eventually(t, "the older one comes again", older.IsConnected)
	_, err = ask(older, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "alice", Terminal: "older"})
	code(t, "the older terminal", err, chat.SignedIn)
	for _, again := range []bool{false, true} {
		_, err = ask(older, chat.Join, chat.JoinRequest{Session: s.ID, Key: newLogin(t).public, Terminal: "older", Again: again})
		code(t, "the older terminal joins", err, chat.SignedIn)
	}
	must(ask(newer, chat.Join, chat.JoinRequest{Session: s.ID, Key: newLogin(t).public, Terminal: "newer"}))(t)

	eventually(t, "the chat has moved", func() bool {
		again := must(ask(newer, chat.Hello, hello))(t)
		return again.Sessions[0].Epoch > s.Epoch
	})
	speak(t, member, channel, "alice", "msg", "1 1 0 0:8\nstubborn\n")
	line, channel := newer.joins(s.ID)
	speak(t, line, channel, "alice", "msg", "1 1 0 0:6\nhonest\n")
	if got := chattest.Wait[chattest.Text](bob); got.Text != "honest" {
		t.Errorf("bob hears %q", got.Text)
	}
	if err := bob.Say("secret"); err != nil {
		t.Fatal(err)
	}
	said := must(line.SubscribeSync("chat.session." + channel + ".msg.bob"))(t)
	must(said.NextMsg(timeout))(t) // it comes again until somebody has it
	for n, _, _ := heard.Pending(); n > 0; n, _, _ = heard.Pending() {
		if m := must(heard.NextMsg(timeout))(t); bytes.Contains(m.Data, []byte("secret")) {
			t.Errorf("the older terminal hears %s", m.Data)
		}
	}
}

// TestAskedTwice: what was carried out is not refused as late when it is asked again.
func TestAskedTwice(t *testing.T) {
	in := chattest.Run(t)
	alice := intrude(t, in, "alice")
	known := must(ask(alice, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "alice"}))(t).Revision
	hide := chat.PresenceRequest{Presence: chat.HiddenAway, Revision: known}
	for range 2 {
		must(ask(alice, chat.SetPresence, hide))(t)
	}
	_, err := ask(alice, chat.SetPresence, chat.PresenceRequest{Presence: chat.Visible, Revision: known})
	code(t, "what was asked before", err, chat.Outdated)
}

// TestTheBlockedMeetNobody compares, byte by byte, what is answered about somebody who is
// away and about the same one who is here and blocks the asker.
func TestTheBlockedMeetNobody(t *testing.T) {
	var mu sync.Mutex
	var delays []time.Duration
	in := chattest.Run(t, func(c *coord.Config) {
		c.Answered = func(endpoint, outcome string, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if outcome == string(chat.Unavailable) {
				delays = append(delays, took)
			}
		}
	})
	mallory, carol := intrude(t, in, "mallory"), in.User("carol")
	answers := func() string {
		var all strings.Builder
		for _, q := range []struct{ route, data string }{
			{"invite", `{"guests":["Bob"]}`}, {"invite", `{"guests":["carol","bob"]}`},
			{"list", `{}`}, {"list", `{"watch":true}`}, {"answer", `{"session":"x","accept":true}`},
		} {
			reply := must(mallory.Request("chat.coord."+q.route+".mallory", []byte(q.data), timeout))(t)
			fmt.Fprintf(&all, "%s %s %v %s\n", q.route, q.data, reply.Header, reply.Data)
		}
		return regexp.MustCompile(`"revision":\d+`).ReplaceAllString(all.String(), "")
	}
	// The same timer is waited for, however soon it is known that it will be a refusal.
	late := func(about string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		for _, d := range delays {
			if d < chat.RefusalDelay {
				t.Errorf("about who %s: refused after %s", about, d)
			}
		}
		if len(delays) != 2 {
			t.Errorf("about who %s: %d refusals", about, len(delays))
		}
		delays = nil
	}
	absent := answers()
	late("is absent")
	bob := in.User("bob")
	if answers() == absent {
		t.Fatal("whether bob is here makes no difference")
	}
	must(ask(mallory, chat.Withdraw, chat.SessionRequest{Session: chattest.Wait[session.Invited](bob).Session.ID}))(t)
	if err := bob.Block(t.Context(), "Mallory", 0); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	delays = nil
	mu.Unlock()
	if blocked := answers(); blocked != absent {
		t.Errorf("about who is absent:\n%s\nabout who blocks:\n%s", absent, blocked)
	}
	late("blocks")

	// A direct message is not answered, and is not heard.
	ears := listenTo(t, in)
	if err := mallory.Publish("chat.dm.bob.mallory", []byte(`{"n":7,"text":"psst"}`)); err != nil {
		t.Fatal(err)
	}
	if err := mallory.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := carol.Direct(t.Context(), "bob", "hello"); err != nil {
		t.Fatal(err)
	}
	if got := chattest.Wait[client.DirectText](bob); got.From != "carol" {
		t.Errorf("bob hears %+v", got)
	}
	for _, m := range ears.heard(t) {
		if m.Subject == "chat.dm.mallory.bob" {
			t.Errorf("mallory is answered %s", m.Data)
		}
	}
	// For the one who blocks nothing is different, and an invitation by them crosses none.
	if users, err := bob.List(t.Context()); err != nil || len(users) != 2 {
		t.Errorf("bob sees %+v, %v", users, err)
	}
	must(bob.Invite(t.Context(), "mallory"))(t)
	if again := answers(); again != absent {
		t.Errorf("about who blocks and invites:\n%s", again)
	}
}

// TestTheBlockedAreToldNothing: what those see who watch the list, while somebody blocks
// them, mutes them, comes and goes.
func TestTheBlockedAreToldNothing(t *testing.T) {
	in := chattest.Run(t)
	alice := in.User("alice")
	must(alice.Watch(t.Context()))(t)
	bob, carol, dave := in.User("bob"), in.User("carol"), in.User("dave")
	for seen := ""; !strings.Contains(seen, "bob") || !strings.Contains(seen, "carol") || !strings.Contains(seen, "dave"); {
		seen += fmt.Sprint(news(alice)) // everybody's coming is told once
	}
	must0(t, dave.SetPresence(t.Context(), false))
	next := func(want string) {
		t.Helper()
		if got := fmt.Sprint(news(alice)); got != want {
			t.Errorf("alice is told %s, want %s", got, want)
		}
	}
	next("[-dave]")
	must0(t, bob.Block(t.Context(), "alice", 0))
	next("[-bob]")
	chattest.Chat(bob, carol)
	next("[+carol with someone]")
	must0(t, bob.SetPresence(t.Context(), false))
	must0(t, bob.SetPresence(t.Context(), true))
	must0(t, bob.Quit(t.Context()))
	next("[+carol]")
	must0(t, bob.Unblock(t.Context(), "ALICE"))
	next("[+bob]")
	must0(t, bob.Block(t.Context(), "alice", time.Second))
	next("[-bob]")
	next("[+bob]") // a mute ends by itself
	must0(t, bob.Block(t.Context(), "alice", 0))
	next("[-bob]")
	must0(t, bob.Exit(t.Context()))
	must0(t, carol.SetPresence(t.Context(), false))
	next("[-carol]")
}

// TestEveryReplicaKnowsWhoBlocks: whoever answers, a block holds from its acknowledgement on.
func TestEveryReplicaKnowsWhoBlocks(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.Shared = true })
	in.Start()
	in.Start()
	alice, bob := in.User("alice"), in.User("bob")
	for range 5 {
		must0(t, bob.Block(t.Context(), "alice", 0))
		_, err := alice.Invite(t.Context(), "bob")
		chattest.Code(t, err, chat.Unavailable)
		if users := must(alice.List(t.Context()))(t); len(users) != 0 {
			t.Fatalf("alice sees %+v", users)
		}
		must0(t, bob.Unblock(t.Context(), "alice"))
		if users := must(alice.List(t.Context()))(t); len(users) != 1 {
			t.Fatalf("alice sees %+v", users)
		}
	}
}

func must0(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// news is what a viewer is told next.
func news(u *chattest.User) []string {
	var all []string
	n := chattest.Wait[client.PresenceChanged](u)
	for _, e := range n.Changed {
		line := "+" + string(e.Name)
		if e.Busy {
			line += " with " + chat.Names(e.With)
		}
		if e.Someone {
			line += "someone"
		}
		all = append(all, line)
	}
	for _, name := range n.Gone {
		all = append(all, "-"+string(name))
	}
	return all
}

// placeOf is where an intruder is connected.
func placeOf(t *testing.T, m *intruder) *chat.Place {
	t.Helper()
	return &chat.Place{Server: m.ConnectedServerId(), Connection: must(m.GetClientID())(t)}
}

// TestWhatTheAccountKeeps: presence, identity key and blocks outlive the login, the
// coordinator, and a hello that says nothing of them.
func TestWhatTheAccountKeeps(t *testing.T) {
	in := chattest.Run(t)
	key := newLogin(t)
	alice := intrudeWith(t, in, "alice", key)
	hello := chat.HelloRequest{Proto: chat.Proto, Name: "alice", Identity: "age1" + strings.Repeat("x", 58)}
	must(ask(alice, chat.Hello, hello))(t)
	must(ask(alice, chat.SetPresence, chat.PresenceRequest{Presence: chat.HiddenAway}))(t)
	must(ask(alice, chat.BlockUser, chat.BlockRequest{Name: "Bob"}))(t)
	reply := must(ask(alice, chat.BlockUser, chat.BlockRequest{Name: "ann", For: time.Hour}))(t)
	if len(reply.Blocks) != 2 || reply.Blocks[0].Name != "ann" || reply.Blocks[0].Until.IsZero() {
		t.Fatalf("%+v", reply)
	}
	for _, bad := range []chat.HelloRequest{{Terminal: "a b"}, {Terminal: strings.Repeat("x", chat.MaxTerminal+1)}, {Identity: "ü"}, {Identity: strings.Repeat("x", chat.MaxIdentity+1)}} {
		bad.Proto, bad.Name = chat.Proto, "alice"
		_, err := ask(alice, chat.Hello, bad)
		code(t, fmt.Sprint(bad), err, chat.Arguments)
	}
	must(ask(alice, chat.Exit, chat.ExitRequest{}))(t)
	in.Start() // another one, which has seen nothing of it
	asker := entering(t, in, key, chat.EnterRequest{Name: "alice"})
	if asker.Error != nil {
		t.Fatal(asker.Error)
	}
	alice.Close()
	alice.Conn = holder(t, in, asker.Ticket, key, chat.Inbox("alice"))
	back := must(ask(alice, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "alice", Place: placeOf(t, alice)}))(t)
	if back.Presence != chat.HiddenAway || len(back.Blocks) != 2 || !back.Returning || back.Back {
		t.Errorf("%+v", back)
	}
	if got := must(ask(alice, chat.Blocked, chat.BlocksRequest{}))(t); len(got.Blocks) != 2 {
		t.Errorf("%+v", got)
	}
	must(ask(alice, chat.UnblockUser, chat.UnblockRequest{Name: "bob"}))(t)
	accounts := examine(t, in).stream("ACCOUNTS")
	if last := accounts[strings.LastIndex(accounts[:len(accounts)-1], "\n"):]; !strings.Contains(last, hello.Identity) || strings.Contains(last, `"Bob"`) {
		t.Errorf("the account is %s", last)
	}
}

// TestExitUnanswered: who has signed out and loses the connection before the answer comes is
// out, and hears of nothing that went wrong.
func TestExitUnanswered(t *testing.T) {
	a := installed(t, 1)
	line := a.relayed()
	alice, bob := a.comes(), a.in.User("bob")
	line.Set(faults.Flaw{HoldDown: true})
	out := make(chan error, 1)
	go func() { out <- alice.Exit(t.Context()) }()
	eventually(t, "alice is out", func() bool { return len(must(bob.List(t.Context()))(t)) == 0 })
	line.Set(faults.Flaw{Cut: true})
	line.Set(faults.Flaw{})
	if err := <-out; err != nil {
		t.Errorf("alice exits: %v", err)
	}
	for e := range alice.Events() {
		if _, bad := e.(client.SignedOut); bad {
			t.Errorf("alice is told %+v", e)
		}
	}
}
