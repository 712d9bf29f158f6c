package chattest_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/console"
	"natter/internal/coord"
	"natter/session"
)

// screens are the consoles of an installation, with one clock.
type screens struct {
	t     *testing.T
	json  bool
	mu    sync.Mutex
	out   bytes.Buffer
	ahead atomic.Int64
	stop  []func()
}

func (s *screens) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// lines are what all of them have shown and that has a text in it.
func (s *screens) lines(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for line := range strings.Lines(s.out.String()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line[len("00:00:00.000 "):]))
		}
	}
	return found
}

// once has each text of somebody be on one of them, once.
func (s *screens) once(from string, texts []string) {
	s.t.Helper()
	for _, text := range texts {
		if got := s.lines(from + ": " + text); len(got) != 1 {
			s.t.Errorf("%q is shown %d times", text, len(got))
		}
	}
}

func (s *screens) later(d time.Duration) { s.ahead.Add(int64(d)) }

func (s *screens) add(nc *nats.Conn, queue string, who func(string) (chat.WatchReply, bool), shared bool) {
	s.t.Helper()
	c := console.New(console.Config{
		Out: s, JSON: s.json, Shared: shared, Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	})
	c.Ask(who)
	if err := c.Subscribe(nc, queue); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- c.Serve(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	})
	s.stop = append(s.stop, stop)
	s.t.Cleanup(stop)
}

// short is a context for what is not answered.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

// end lets them show what they have.
func (s *screens) end() {
	for _, stop := range s.stop {
		stop()
	}
}

// raise puts up a console for each of several replicas.
func raise(t *testing.T, in *chattest.Installation, replicas int) *screens {
	t.Helper()
	s := &screens{t: t}
	for range replicas {
		links, err := coord.Embed(in.Server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(links.Close)
		s.add(links.Tap, console.Queue, in.Coord.Watched, replicas > 1)
	}
	return s
}

// TestConsoleShowsWhatMembersHear: whatever way a message goes, it is on the consoles once if
// a member's screen shows it; what nobody can hear is marked and not counted.
func TestConsoleShowsWhatMembersHear(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			a := installed(t, replicas)
			s := raise(t, a.in, replicas)
			alice, bob, mallory := a.sender("alice"), a.sender("bob"), intrude(t, a.in, "mallory")
			chatting, member, _ := group(t, alice, bob, mallory)
			others := []chat.User{"alice", "bob"}
			must(ask(mallory, chat.Store, chat.StoreRequest{Session: chatting.ID, For: others, Messages: words(1, "text 1", "text 2")}))(t)
			for n := 2; n <= 3; n++ {
				speak(t, member, chatting.ID, "mallory", "msg", fmt.Sprintf("1 %d 1767366245000 0:6\ntext %d\n", n, n))
			}
			speak(t, member, chatting.ID, "mallory", "msg", "1 3 1767366245000 0:6\ntext 3\n")
			must0(t, member.Flush())
			eventually(t, "the messages are shown", func() bool { return len(s.lines("mallory: text 3")) > 0 })
			must(ask(mallory, chat.Leave, chat.SessionRequest{Session: chatting.ID}))(t)
			eventually(t, "the leave is shown", func() bool { return len(s.lines("mallory left")) > 0 })
			must0(t, alice.Say("among us"))
			eventually(t, "alice is shown", func() bool { return len(s.lines("alice: among us")) > 0 })
			a.in.Coord.Say("server.test", "every console shows this")
			eventually(t, "each console knows of the leave", func() bool { return len(s.lines("every console")) == replicas })
			s.later(2 * time.Second)
			for n := 4; n < 24; n++ {
				speak(t, member, chatting.ID, "mallory", "msg", fmt.Sprintf("1 %d 1767366245000 0:10\nold ticket\n", n))
			}
			must0(t, member.Flush())
			must0(t, alice.Quit(t.Context()))
			chattest.Wait[session.Ended](bob)
			eventually(t, "the end is shown", func() bool { return len(s.lines(" ended: quit")) > 0 })
			s.end()
			for n := 1; n <= 3; n++ {
				if got := s.lines(fmt.Sprintf("mallory: text %d", n)); len(got) != 1 {
					t.Errorf("text %d is shown %d times: %q", n, len(got), got)
				}
			}
			if got := s.lines("old ticket"); len(got) > 0 {
				t.Errorf("shown: %q", got)
			}
			if got := s.lines("mallory: not a member"); len(got) == 0 || len(got) > 2*replicas {
				t.Errorf("marked: %q", got)
			}
			if got := s.lines(" ended: quit"); len(got) != 1 || !strings.HasSuffix(got[0], ", 4 messages") {
				t.Errorf("the end: %q", got)
			}
		})
	}
}

// TestWatchKnowsMembers: a console that came late asks a coordinator who is in a session.
func TestWatchKnowsMembers(t *testing.T) {
	in := chattest.Run(t)
	alice, bob, mallory := in.User("alice"), in.User("bob"), intrude(t, in, "mallory")
	chatting, member, _ := group(t, alice, bob, mallory)
	must(ask(mallory, chat.Leave, chat.SessionRequest{Session: chatting.ID}))(t)
	chattest.Wait[session.MemberLeft](alice)
	chattest.Wait[session.MemberLeft](bob) // who speaks on the next channel from now on
	s, observer := &screens{t: t}, brokertest.Observer(t, in.Server)
	s.add(observer.Conn, "", func(id string) (chat.WatchReply, bool) {
		w, err := rpc.Call(t.Context(), observer.Conn, chat.WatchSession, chat.Address{}, chat.WatchRequest{Session: id})
		return w, err == nil
	}, false)
	says(t, bob, "hello", alice)
	eventually(t, "it is shown", func() bool { return len(s.lines("bob: hello")) == 1 })
	s.later(time.Minute)
	for n := range 20 {
		speak(t, member, chatting.ID, "mallory", "msg", fmt.Sprintf("1 %d 1767366245000 0:10\nold ticket\n", n+1))
	}
	must0(t, member.Flush())
	eventually(t, "it is marked", func() bool { return len(s.lines("mallory: not a member")) > 0 })
	s.end()
	if got := s.lines("mallory: not a member"); len(got) != 2 || !strings.Contains(got[1], "19 messages") || len(s.lines("old ticket")) > 0 {
		t.Errorf("shown: %q", got)
	}
}

// TestConsoleShowsWhatIsKept: messages for somebody who is away come to the consoles when they
// are said or kept, and not again when they are heard.
func TestConsoleShowsWhatIsKept(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			a := installed(t, replicas)
			s := raise(t, a.in, replicas)
			alice, bob := a.comes(), a.sender("bob")
			chattest.Chat(alice, bob)
			alice.Close()
			chattest.Wait[session.MemberLost](bob)
			all := saysAll(bob, 20, "kept")
			becomes(bob, all[19], session.Stored)
			back := a.comes()
			for _, text := range all {
				if got := chattest.Wait[chattest.Text](back); got.Text != text {
					t.Fatalf("alice hears %q, want %q", got.Text, text)
				}
			}
			must0(t, bob.Quit(t.Context()))
			eventually(t, "the end is shown", func() bool { return len(s.lines(" ended: quit")) > 0 })
			s.end()
			s.once("bob", all)
			if got := s.lines(" ended: quit"); len(got) != 1 || !strings.HasSuffix(got[0], ", 20 messages") || len(s.lines("not come by")) > 0 {
				t.Errorf("the end: %q %q", got, s.lines("not come by"))
			}
		})
	}
}

// TestConsolesShowSaidAndStoredOnce: what is said and stored at the same moment, and said again,
// is shown by one of two consoles.
func TestConsolesShowSaidAndStoredOnce(t *testing.T) {
	a := installed(t, 2)
	s := raise(t, a.in, 2)
	mallory := intrude(t, a.in, "mallory")
	chatting, member, _ := group(t, a.sender("alice"), a.sender("bob"), mallory)
	var all []string
	for n := 1; n <= 40; n++ {
		text := fmt.Sprintf("text %03d", n)
		all = append(all, text)
		stored := make(chan error, 1)
		go func() {
			_, err := ask(mallory, chat.Store, chat.StoreRequest{Session: chatting.ID, For: []chat.User{"alice", "bob"}, Messages: words(uint64(n), text)})
			stored <- err
		}()
		for range 2 {
			speak(t, member, chatting.ID, "mallory", "msg", fmt.Sprintf("1 %d 1767366245000 0:8\n%s\n", n, text))
		}
		must0(t, member.Flush())
		must0(t, <-stored)
	}
	must(ask(mallory, chat.End, chat.EndRequest{Session: chatting.ID, Reason: chat.ByQuit}))(t)
	eventually(t, "the end is shown", func() bool { return len(s.lines(" ended: quit")) > 0 })
	s.end()
	s.once("mallory", all)
}

// TestRemovedIsNotAvailable: who has left the server in the middle of a chat becomes neither
// available nor anything else.
func TestRemovedIsNotAvailable(t *testing.T) {
	in := chattest.Run(t)
	s := raise(t, in, 1)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	must(rpc.Call(t.Context(), brokertest.Operator(t, in.Server).Conn, chat.AdminKick, chat.Address{}, chat.KickRequest{Target: chat.Target{Name: "bob"}}))(t)
	eventually(t, "alice is available", func() bool { return len(s.lines("alice: busy -> available")) > 0 })
	in.Coord.Say("server.test", "done")
	eventually(t, "everything is shown", func() bool { return len(s.lines("done")) > 0 })
	if got := s.lines("bob: busy -> available"); len(got) > 0 || len(s.lines("bob removed")) != 1 {
		t.Errorf("shown: %q", got)
	}
}

// TestAuditLogKeepsItsLastRecord: an orderly stop ends with a record that is stored.
func TestAuditLogKeepsItsLastRecord(t *testing.T) {
	dir := t.TempDir()
	for n := range 5 {
		in := chattest.RunIn(t, dir)
		in.User(fmt.Sprint("user", n))
		in.Stop()
	}
	in := chattest.RunIn(t, dir)
	links := must(coord.Embed(in.Server))(t)
	t.Cleanup(links.Close)
	events := map[string]int{}
	for q := (chat.LogRequest{}); ; {
		part := must(rpc.ReadAudit(t.Context(), links.Store, q))(t)
		for _, a := range part.Records {
			events[a.Event]++
		}
		if part.Missing > 0 {
			t.Errorf("%d records are missing", part.Missing)
		}
		if q.After = part.After; !part.More {
			break
		}
	}
	if events["server.stopped"] != 5 || events["user.registered"] != 5 {
		t.Errorf("the audit log has %v", events)
	}
}

// TestOperatorReadsTheAuditLog: in parts, as they are asked for; nobody else may.
func TestOperatorReadsTheAuditLog(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("Bob")
	chatting := chattest.Chat(alice, bob)
	must0(t, bob.Quit(t.Context()))
	chattest.Wait[session.Ended](alice)
	if _, told := enter(t, in, "boB", newLogin(t)); told == nil {
		t.Error("somebody else gets bob's name")
	}
	_, told := alice.Invite(t.Context(), "alicE", "bob")
	if told == nil {
		t.Error("alice invites herself")
	}
	for n := range 9000 { // more than one part
		in.Coord.Say("server.test", fmt.Sprint("record ", n))
	}
	operator := brokertest.Operator(t, in.Server)
	read := func(q chat.LogRequest) (all []chat.Audit, parts int) {
		for {
			part := must(rpc.Call(t.Context(), operator.Conn, chat.AdminLog, chat.Address{}, q))(t)
			all, parts = append(all, part.Records...), parts+1
			if q.After = part.After; !part.More {
				return all, parts
			}
		}
	}
	var all []chat.Audit
	eventually(t, "everything is stored", func() bool {
		var parts int
		all, parts = read(chat.LogRequest{})
		return len(all) > 9000 && parts > 1 && all[len(all)-1].Text == "record 8999"
	})
	of, _ := read(chat.LogRequest{User: "bOB"})
	if !slices.ContainsFunc(of, func(a chat.Audit) bool {
		return a.Kind == "refused" && strings.HasPrefix(a.Text, "invitation from alice to ")
	}) {
		t.Error("what concerns bob has no refused invitation to him")
	}
	for what, test := range map[string]struct {
		q  chat.LogRequest
		is func(chat.Audit) bool
	}{
		"a user": {chat.LogRequest{User: "bOB"}, func(a chat.Audit) bool {
			return a.User == "Bob" || slices.Contains(a.Users, "Bob") || strings.Contains(strings.ToLower(a.Text), "username bob")
		}},
		"a session": {chat.LogRequest{Session: chatting.ID[:6]}, func(a chat.Audit) bool { return a.Session == chatting.ID }},
		"since":     {chat.LogRequest{Since: all[7].Time}, func(a chat.Audit) bool { return !a.Time.Before(all[7].Time) }},
		"until":     {chat.LogRequest{Until: all[7].Time}, func(a chat.Audit) bool { return !a.Time.After(all[7].Time) }},
	} {
		want := 0
		for _, a := range all {
			if test.is(a) {
				want++
			}
		}
		got, _ := read(test.q)
		for _, a := range got {
			if !test.is(a) {
				t.Errorf("%s: %+v", what, a)
			}
		}
		if len(got) != want || want == 0 {
			t.Errorf("%s: %d records, want %d", what, len(got), want)
		}
	}
	if _, err := rpc.Call(short(t), brokertest.Observer(t, in.Server).Conn, chat.AdminLog, chat.Address{}, chat.LogRequest{}); err == nil {
		t.Error("an observer reads the audit log")
	}
}
