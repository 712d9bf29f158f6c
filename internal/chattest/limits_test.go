package chattest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// rates has messages limited to a few a second.
func rates(messages, directs int) func(*coord.Config) {
	return func(c *coord.Config) { quiet(c); c.Rules.MessageRate, c.Rules.DirectRate = messages, directs }
}

// Who writes too fast is slowed down and told so; everything arrives, in order.
func TestFastWriter(t *testing.T) {
	in := chattest.Run(t, rates(20, 0))
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	const n = 20*chat.BurstFactor + 25
	for i := range n {
		if err := alice.Say(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if got := chattest.Wait[chattest.Text](bob); got.Text != fmt.Sprint(i) {
			t.Fatalf("%q came as number %d", got.Text, i)
		}
	}
	if e := chattest.Wait[session.Slowed](alice); e.Rate != 20 {
		t.Errorf("%+v", e)
	}
	says(t, bob, "bob may still write", alice)
}

// Whoever does not keep to the rate does not get more through than it allows, and what
// was too fast can come later. Others in the chat notice nothing.
func TestFloodOfMessages(t *testing.T) {
	in := chattest.Run(t, rates(20, 0))
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	s, member, _ := group(t, alice, bob, mallory)
	says(t, bob, "before", alice)
	begin := time.Now()
	for i := range 5000 {
		speak(t, member, s.ID, "mallory", "msg", fmt.Sprintf("1 %d 0 0:1\nx\n", i+1))
	}
	again := time.NewTicker(50 * time.Millisecond) // a bye is lost while alice's queue is full
	var byes sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	byes.Go(func() {
		for ctx.Err() == nil {
			_ = member.Publish("chat.session."+s.ID+".sig.mallory", []byte(`{"bye":true}`))
			select {
			case <-again.C:
			case <-ctx.Done():
			}
		}
	})
	defer byes.Wait()
	defer cancel()
	taken, complaints := 0, 0
	chattest.Until(alice, "mallory's bye", func(e client.Event) bool {
		switch e := e.(type) {
		case chattest.Text:
			taken++
		case session.TooFast:
			complaints++
			if e.From != "mallory" {
				t.Errorf("%+v", e)
			}
		case client.Bye:
			return true
		}
		return false
	})
	cancel()
	again.Stop()
	most := 1.5 * 20 * (chat.BurstFactor + time.Since(begin).Seconds() + 1)
	if taken < 20*chat.BurstFactor || float64(taken) > most || complaints != 1 {
		t.Errorf("%d taken, at most %.0f; told %d times", taken, most, complaints)
	}
	says(t, bob, "meanwhile", alice)
	eventually(t, "the next of mallory's messages", func() bool {
		speak(t, member, s.ID, "mallory", "msg", fmt.Sprintf("1 %d 0 0:5\nlater\n", taken+1))
		for {
			select {
			case e := <-alice.Events():
				if text, ok := e.(chattest.Text); ok && text.Text == "later" {
					return true
				}
			default:
				return false
			}
		}
	})
}

// Direct messages that are too many wait for their turn; for those that would wait too
// long the sender is told when to try again.
func TestFastDirects(t *testing.T) {
	in := chattest.Run(t, rates(0, 1))
	alice, bob := in.User("alice"), in.User("bob")
	const n = 3 * chat.BurstFactor
	failed := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { failed[i] = alice.Direct(t.Context(), "bob", fmt.Sprint(i)) })
	}
	all.Wait()
	sent := 0
	for _, err := range failed {
		if err == nil {
			sent++
			chattest.Wait[client.DirectText](bob)
			continue
		}
		chattest.Code(t, err, chat.Rate)
		if e := err.(*chat.Error); e.Wait < chat.DirectTimeout || !strings.HasPrefix(e.Text, "Too many direct messages; try again in ") {
			t.Errorf("%+v", e)
		}
	}
	if sent <= chat.BurstFactor || sent == n {
		t.Errorf("%d of %d were sent", sent, n)
	}
}

// TestFloodOfDirects: whoever sends far more than the rate is signed out, whether or not
// somebody blocks them. Receivers take no more than the rate meanwhile, and others are heard.
func TestFloodOfDirects(t *testing.T) {
	for name, block := range map[string]bool{"to a user": false, "to one who blocks": true} {
		t.Run(name, func(t *testing.T) { floodDirects(t, block) })
	}
}

func floodDirects(t *testing.T, block bool) {
	in := chattest.Run(t, rates(0, 2))
	alice, bob := in.User("alice"), in.User("bob")
	mike := intrude(t, in, "mike")
	if block {
		if err := alice.Block(t.Context(), "mike", 0); err != nil {
			t.Fatal(err)
		}
	}
	begin, signedOut := time.Now(), false
	for i := 0; !signedOut && time.Since(begin) < timeout; i++ {
		err := mike.Publish(chat.Direct.Subject(chat.Address{To: "alice", User: "mike"}), fmt.Appendf(nil, `{"n":%d,"text":"x"}`, i+1))
		signedOut = err != nil || mike.IsClosed() || mike.IsReconnecting()
	}
	if !signedOut {
		t.Error("the flood goes on")
	}
	if err := bob.Direct(t.Context(), "alice", "hello"); err != nil {
		t.Fatal(err)
	}
	taken, complaints := 0, 0
	chattest.Until(alice, "what bob says", func(e client.Event) bool {
		switch e := e.(type) {
		case client.DirectText:
			taken++
			return e.From == "bob"
		case client.DirectTooFast:
			complaints++
		}
		return false
	})
	most := 1.5*2*(chat.BurstFactor+time.Since(begin).Seconds()+1) + 1
	if block && (taken > 1 || complaints > 0) || !block && (taken < 2*chat.BurstFactor || float64(taken) > most || complaints != 1) {
		t.Errorf("%d taken, at most %.0f; told %d times", taken, most, complaints)
	}
}

// fromElsewhere dials from another address of this computer.
func fromElsewhere() nats.Option {
	return nats.SetCustomDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}})
}

// limited switches the limits on that an installation has by default.
func limited(c *coord.Config) { quiet(c); c.Limits = coord.Defaults().Limits }

var requestsOver = regexp.MustCompile(`^127\.0\.0\.2: \d+ requests in \d+ s, limit 20; slowed down$`)

// A07: whoever asks for somebody's name again and again is slowed down, and told of. The
// owner of the name gets in as ever.
func TestNameUnderAttack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a second loopback address without being asked")
	}
	in := chattest.Run(t, limited)
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
	victim := chattest.Dial(t, cfg, "victim")
	if err := victim.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard := listenTo(t, in)
	lobby := must(nats.Connect(in.Server.URL(), nats.CustomInboxPrefix(chat.LobbyInbox), fromElsewhere()))(t)
	defer lobby.Close()
	answers := must(lobby.SubscribeSync(chat.LobbyInbox + ".flood"))(t)
	seal := must(must(nkeys.CreateCurveKeys())(t).PublicKey())(t)
	q := must(json.Marshal(chat.EnterRequest{Proto: chat.Proto, Name: "victim", Key: newLogin(t).public, Seal: seal}))(t)
	flood := func() {
		for range 2000 {
			if err := lobby.PublishRequest(chat.Enter.Subject(chat.Address{}), chat.LobbyInbox+".flood", q); err != nil {
				t.Fatal(err)
			}
		}
		if err := lobby.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	flood()
	eventually(t, "an answer that says to wait", func() bool {
		m := must(answers.NextMsg(timeout))(t)
		told := refusal(t, m)
		return told != nil && told.Code == chat.Rate && told.Text == "Too many requests from your address; try again in 1 s."
	})
	chattest.Dial(t, cfg, "victim")
	eventually(t, "a line that tells of it", func() bool {
		for _, m := range heard.heard(t) {
			var a chat.Audit
			if json.Unmarshal(m.Data, &a) == nil && a.Event == "limit" {
				return a.Kind == "refused" && a.Address == "127.0.0.2" && requestsOver.MatchString(a.Text)
			}
		}
		return false
	})
	if n := in.Coord.Refused()["lobby"]; n < 2000-20*chat.LobbyFactor-500 {
		t.Errorf("%d refused", n)
	}
}

var (
	listsOver       = regexp.MustCompile(`(?m)^Mallory\|Mallory: \d+ lists in \d+ s, limit 5; slowed down$`)
	invitationsOver = regexp.MustCompile(`(?m)^Mallory\|Mallory: \d+ invitations in \d+ s, limit 1; slowed down$`)
)

// A07: a flood of lists and invitations is refused to who sends it, and to nobody else.
func TestFloodOfRequests(t *testing.T) {
	in := chattest.Run(t, limited)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "Mallory")
	heard := listenTo(t, in)
	answers := must(mallory.SubscribeSync("_IN.mallory.flood"))(t)
	ask := func(subject, data string) {
		t.Helper()
		if err := mallory.PublishRequest(subject, "_IN.mallory.flood", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	invite := func() { ask("chat.coord.invite.mallory", `{"guests":["alice"]}`) }
	invite()
	chattest.Wait[session.Invited](alice)
	for range 3000 {
		ask("chat.coord.list.mallory", "{}")
		invite()
	}
	must(alice.List(t.Context()))(t)
	says := map[string]bool{}
	eventually(t, "answers that say to wait", func() bool {
		if told := refusal(t, must(answers.NextMsg(timeout))(t)); told != nil && told.Code == chat.Rate {
			says[told.Text] = true
		}
		return says["Too many lists; try again in 1 s."] && says["Too many invitations; try again in 1 s."]
	})
	must(bob.List(t.Context()))(t)
	var said []string
	eventually(t, "lines that tell of it", func() bool {
		for _, m := range heard.heard(t) {
			var a chat.Audit
			if json.Unmarshal(m.Data, &a) == nil && a.Event == "limit" {
				said = append(said, string(a.User)+"|"+a.Text)
			}
		}
		all := strings.Join(said, "\n")
		return listsOver.MatchString(all) && invitationsOver.MatchString(all)
	})
	if _, err := rpc.Call(t.Context(), mallory.Conn.Conn, chat.Exit, chat.Address{User: "mallory"}, chat.ExitRequest{}); err != nil {
		t.Errorf("mallory may still leave: %v", err)
	}
}

// 5.4: who sends what is no request is told of, once in ten seconds.
func TestAbuseIsToldOf(t *testing.T) {
	in := chattest.Run(t, limited)
	mallory := intrude(t, in, "Mallory")
	heard := listenTo(t, in)
	for range 101 {
		if told := mallory.raw(chat.Answer.Route, nil, []byte("[]")); told == nil || told.Code != chat.Arguments {
			t.Fatalf("%+v", told)
		}
	}
	eventually(t, "a line that tells of it", func() bool {
		for _, m := range heard.heard(t) {
			var a chat.Audit
			if json.Unmarshal(m.Data, &a) == nil && a.Event == "limit" {
				return a.User == "Mallory" && a.Text == "Mallory: more than 100 requests in 10 s that are none; signed out"
			}
		}
		return false
	})
}
