package chattest_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// infrastructure is what lies outside of the table and is nobody's business.
var infrastructure = []string{
	">", "*", "*.>", "*.*", "chat", "chat.>", "chat.*", "chat.*.>", "chat.*.*.*",
	"natter.>", "natter.state.>", "natter.state.user.*", "natter.state.user.alice", "natter.state.account.alice", "natter.state.session.*",
	"$JS.>", "$JS.API.>", "$JS.API.INFO", "$JS.API.STREAM.DELETE.LIVE", "$JS.API.STREAM.MSG.GET.LIVE", "$JS.API.DIRECT.GET.LIVE", "$JS.ACK.>", "$JS.EVENT.>",
	"$SYS.>", "$SYS.ACCOUNT.>", "$SYS.REQ.>", "$SYS.REQ.SERVER.PING", "$SRV.>", "$SRV.PING", "$SRV.INFO.chatcoord", "$G.>",
	"_IN.>", "_IN.*", "_IN.*.>", "_IN.alice.>", "_IN.alice.*", "_IN.bob.>", "_IN.coordinator.>", "_IN.admin.>", "_INBOX.>", "_INBOX.*", "_R_.>", "_R_.*.*",
}

// grammar spells every route for others and for everybody, with wildcards in every
// place, and what begins like it.
func grammar(sessions ...string) []string {
	options := map[string][]string{"{user}": {"alice", "bob", "mallory", "*"}, "{to}": {"alice", "bob", "mallory", "*"}, "{session}": append(sessions, "*")}
	seen := map[string]bool{}
	for _, s := range infrastructure {
		seen[s] = true
	}
	for _, r := range chat.Routes() {
		stems := []string{"chat"}
		for _, token := range strings.Split(r.Pattern(), ".")[1:] {
			choice, ok := options[token]
			if !ok {
				choice = []string{token, "*"}
			}
			var longer []string
			for _, stem := range stems {
				seen[stem+".>"] = true
				for _, c := range choice {
					longer = append(longer, stem+"."+c)
				}
			}
			stems = longer
		}
		for _, s := range stems {
			seen[s] = true
		}
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// covered reports whether a subject is a part of what a list allows. Where the list
// ends with *, NATS lets a subscriber write >.
func covered(list []string, subject string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
		for i, token := range p {
			if token == ">" {
				return len(s) > i
			}
			if i >= len(s) || token != "*" && token != s[i] {
				return false
			}
		}
		return len(p) == len(s)
	})
}

// pry subscribes to all that is foreign, by itself and in queue groups, and leaves the
// subscriptions there.
func pry(t *testing.T, who string, c *brokertest.Conn, g chat.Grant, subjects []string) {
	t.Helper()
	foreign := 0
	for i, s := range subjects {
		if covered(g.Subscribe, s) {
			continue
		}
		foreign++
		queues := []string{"", "q", "chatcoord"}
		if testing.Short() {
			queues = queues[i%3 : i%3+1]
		}
		for _, queue := range queues {
			if c.MaySubscribe(t, s, queue) {
				t.Errorf("%s may subscribe to %s %s", who, s, queue)
			}
			if _, err := c.QueueSubscribeSync(s, queue); err != nil {
				t.Fatal(err)
			}
		}
	}
	if foreign < 200 {
		t.Errorf("%s has tried only %d foreign subjects", who, foreign)
	}
}

// TestNobodyElseHears: A01. Who is not in a chat receives nothing of it, nor of
// anything else that is not theirs, whatever they subscribe to.
func TestNobodyElseHears(t *testing.T) {
	in := chattest.Run(t, func(c *coord.Config) { c.ConnLimits.LobbyIdle = 0 }) // prying takes long with the race detector
	alice, bob := in.User("alice"), in.User("bob")
	mallory, carol := intrude(t, in, "mallory"), intrude(t, in, "carol")
	theirs := must(ask(mallory, chat.Invite, chat.InviteRequest{Guests: []string{"carol"}}))(t).Session.ID
	carol.accepts(theirs)
	member, channel := mallory.joins(theirs)
	lobby := brokertest.Lobby(t, in.Server)
	ours := chattest.Chat(alice, bob).ID
	subjects := grammar(ours, ours+"-1", theirs)

	pry(t, "a user", mallory.Conn, chat.UserGrant("mallory"), subjects)
	pry(t, "a member", member, chat.MemberGrant("mallory", channel), subjects)
	pry(t, "the lobby", lobby, chat.LobbyGrant(), subjects)
	observer := brokertest.Observer(t, in.Server)
	seen := make(chan *nats.Msg, 1<<12)
	must(observer.ChanSubscribe("chat.>", seen))(t)
	spies := map[string]*brokertest.Conn{"a user": mallory.Conn, "a member": member, "the lobby": lobby, "the observer": observer}
	before := map[string]nats.Statistics{}
	for who, c := range spies {
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		before[who] = c.Stats()
	}

	goOn(t, in, alice, bob)

	for who, c := range spies {
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		after := c.Stats()
		messages, bytes := after.InMsgs-before[who].InMsgs, after.InBytes-before[who].InBytes
		switch {
		case who != "the observer" && (messages != 0 || bytes != 0):
			t.Errorf("%s received %d messages with %d bytes", who, messages, bytes)
		case who == "the observer" && messages < 20:
			t.Errorf("the observer sees only %d messages: this test shows nothing", messages)
		}
	}
	if !slices.ContainsFunc(drain(seen), func(m *nats.Msg) bool { return bytes.Contains(m.Data, []byte("canary")) }) {
		t.Error("the observer has not seen what was said: this test shows nothing")
	}
}

// goOn is what honest users do all day.
func goOn(t *testing.T, in *chattest.Installation, alice, bob *chattest.User) {
	t.Helper()
	must(alice.Watch(t.Context()))(t)
	converse(t, alice, bob, "canary")
	if err := alice.Direct(t.Context(), "bob", "canary"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.DirectText](bob)
	in.User("dave")
	chattest.Wait[client.PresenceChanged](alice)
	must(bob.List(t.Context()))(t)
}

func drain(in chan *nats.Msg) []*nats.Msg {
	var all []*nats.Msg
	for len(in) > 0 {
		all = append(all, <-in)
	}
	return all
}

// TestNobodySpeaksAsAnother: A02. The broker refuses everything that is not the
// speaker's own, and the refused goes nowhere.
func TestNobodySpeaksAsAnother(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	mallory, carol := intrude(t, in, "mallory"), intrude(t, in, "carol")
	theirs := must(ask(mallory, chat.Invite, chat.InviteRequest{Guests: []string{"carol"}}))(t).Session.ID
	carol.accepts(theirs)
	member, channel := mallory.joins(theirs)
	lobby := brokertest.Lobby(t, in.Server)
	ours := chattest.Chat(alice, bob).ID
	converse(t, alice, bob, "before")
	everything := listenTo(t, in)
	everything.heard(t)

	for _, test := range []struct {
		who   string
		conn  *brokertest.Conn
		grant chat.Grant
	}{
		{"a user", mallory.Conn, chat.UserGrant("mallory")},
		{"a member", member, chat.MemberGrant("mallory", channel)},
		{"the lobby", lobby, chat.LobbyGrant()},
		{"an observer", brokertest.Observer(t, in.Server), chat.ObserverGrant("_INBOX.O")},
	} {
		tried := 0
		for _, s := range grammar(ours, ours+"-1", theirs, "0") {
			if covered(test.grant.Publish, s) {
				continue
			}
			tried++
			if test.conn.MayPublish(t, s) {
				t.Errorf("%s may publish to %s", test.who, s)
			}
		}
		if tried < 200 {
			t.Errorf("%s has tried only %d subjects", test.who, tried)
		}
	}
	for _, m := range everything.heard(t) {
		if len(m.Data) == 0 && m.Header.Get("Status") == "" { // which only the server says, to a consumer that hears nothing for long
			t.Errorf("delivered: %s", m.Subject)
		}
	}
	converse(t, alice, bob, "after")
}

// elsewhere are reply subjects that are not the asker's to give.
func elsewhere(other string) []string {
	return []string{
		"", "x", "_IN", "_IN.mallory", "_IN.mallory2.x", "_IN.malloryx.1", "_IN." + other + ".x", "_IN." + other, "_IN.lobby.x", "_IN.coordinator.x", "_IN.admin.x",
		"_IN.MALLORY.x", "_INBOX.x", "_R_.x.y",
		"$JS.API.STREAM.DELETE.LIVE", "$JS.API.STREAM.DELETE.ACCOUNTS", "$JS.API.STREAM.PURGE.LIVE", "$JS.API.STREAM.PURGE.ACCOUNTS", "$JS.API.STREAM.MSG.DELETE.LIVE",
		"$JS.API.CONSUMER.CREATE.LIVE", "$JS.ACK.LIVE.x.1.1.1.1.0",
		"natter.state.user." + other, "natter.state.account." + other, "natter.state.session.0", "natter.state.mailbox.a.b.c",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.USER.INFO", "$SRV.PING",
		"chat.user." + other + ".session", "chat.user." + other + ".server", "chat.user." + other + ".presence", "chat.dm." + other + ".bob",
		"chat.coord.leave." + other, "chat.coord.exit." + other, "chat.coord.end." + other, "chat.lobby.enter",
		"chat.audit.request", "chat.audit.action", "chat.audit.error", "chat.admin.users", "chat.session.0.msg." + other,
		strings.Repeat("x", 4000), "_IN.mallory2." + strings.Repeat("x", 3900),
	}
}

// TestAnswersGoNowhereElse: A03. A request whose answer would not go to the asker's
// inbox is not carried out, not answered, and counted.
func TestAnswersGoNowhereElse(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	chattest.Chat(alice, bob)
	converse(t, alice, bob, "before")
	x := examine(t, in)
	before := x.streams()
	everything := listenTo(t, in)
	everything.heard(t)
	ignored, wanted, sent := in.Coord.Ignored(), in.Coord.Ignored(), map[string]int{}

	for _, r := range chat.Routes() {
		if r.From() != chat.AUser || r.Reply == nil {
			continue
		}
		for _, reply := range elsewhere("alice") {
			q := &nats.Msg{Subject: r.Subject(chat.Address{User: "mallory"}), Reply: reply, Data: []byte(`{"proto":1,"name":"mallory","presence":"hidden","guests":["alice"]}`)}
			if err := mallory.PublishMsg(q); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(reply, "_R_.") || strings.HasPrefix(reply, "$JS.") {
				continue // the broker itself refuses these (the JetStream API since 2.15.3)
			}
			sent[q.Subject]++
			wanted++
		}
	}
	eventually(t, "every request is ignored", func() bool { return in.Coord.Ignored() >= wanted })

	if got := in.Coord.Ignored(); got != wanted {
		t.Errorf("ignored %d, want %d", got-ignored, wanted-ignored)
	}
	for _, m := range everything.heard(t) {
		if covered([]string{"chat.session.*.sig.*", "chat.session.*.to.*.*", "_IN.coordinator.>"}, m.Subject) {
			continue // late receipts of what alice and bob said
		}
		if sent[m.Subject]--; sent[m.Subject] < 0 {
			t.Errorf("delivered: %s %.80q", m.Subject, m.Data)
		}
	}
	if after := x.streams(); after != before {
		t.Errorf("the streams have changed:\n%s\nwere\n%s", after, before)
	}
	converse(t, alice, bob, "after")
	long := &nats.Msg{Subject: chat.List.Subject(chat.Address{User: "mallory"}), Reply: "_IN.mallory." + strings.Repeat("x", 3900), Data: []byte("{}")}
	answers := must(mallory.SubscribeSync(long.Reply))(t)
	if err := mallory.PublishMsg(long); err != nil {
		t.Fatal(err)
	}
	if m := must(answers.NextMsg(timeout))(t); refusal(t, m) != nil {
		t.Errorf("a long inbox: %s", m.Data)
	}
	must(alice.List(t.Context()))(t)
}

// TestLobbyAnswersGoNowhereElse: the lobby is another account, so a reply subject there
// means nothing in the users' one.
func TestLobbyAnswersGoNowhereElse(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	lobby := brokertest.Lobby(t, in.Server)
	x := examine(t, in)
	accounts := x.stream("ACCOUNTS")
	live := x.stream("LIVE")
	everything := listenTo(t, in)
	for i, reply := range elsewhere("alice") {
		q := &nats.Msg{Subject: chat.Enter.Subject(chat.Address{}), Reply: reply, Data: fmt.Appendf(nil, `{"proto":1,"name":"eve%d","key":"none","seal":"none"}`, i)}
		if err := lobby.PublishMsg(q); err != nil {
			t.Fatal(err)
		}
	}
	if _, told := enterWith(t, in, newLogin(t), chat.EnterRequest{Name: "last"}); told != nil {
		t.Fatal(told)
	}
	for _, m := range everything.heard(t) {
		if covered(elsewhere("alice"), m.Subject) && m.Subject != "chat.lobby.enter" && !strings.HasPrefix(m.Subject, "chat.audit.") {
			t.Errorf("delivered: %s %.80q", m.Subject, m.Data)
		}
	}
	if after := x.stream("LIVE"); after != live {
		t.Errorf("LIVE has changed:\n%s\nwas\n%s", after, live)
	}
	if after := x.stream("ACCOUNTS"); !strings.Contains(after, "account.last") || strings.Contains(after, "account.eve") || strings.Contains(after, `"eve"`) || !strings.Contains(accounts, "account.alice") {
		t.Errorf("ACCOUNTS is\n%s\nwas\n%s", after, accounts)
	}
	converse(t, alice, bob, "after")
}
