package chattest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/chattest"
)

// notNames are what people and programs may send instead of a name.
var notNames = []string{
	"", " ", "  ", strings.Repeat("a", 25), strings.Repeat("a", 50_000),
	"аlice", "ａｌｉｃｅ", "al\u200bice", "alice\u00ad", "alice\u034f", "alice\u3164", "alice\ufeff",
	"ALİCE", "ı", "\u212a", "ß", "ﬁ", "mi\u212ae",
	"a.b", "a*", "a>", ">", "*", "$SYS", "$JS", "_INBOX", "_IN", "a b", "a\t", "a\rb", "a\nb", "a\x00", ".", "..", "alice.", ".alice", "alice.>",
	"--help", "-h", "/quit", "@bob", "bob:", "##x", "1", "1abc", "_a", "-a",
	"\x1b[31mred", "a\u009b", "a\u202e", "\xff\xfe", "a\xed\xa0\x80", "Z\u0351\u036b\u0343", "a\u2028b", "😀",
}

var reservedWords = []string{"admin", "ALL", "Bye", "chatcoord", "coord", "coordinator", "everyone", "exit", "here", "lobby", "me", "n", "no", "observer", "Quit", "server", "SYSTEM", "y", "yes", "you"}

// TestNamesThatAreNone: 5.1. Each is refused with a sentence that can be shown, and
// nothing of it gets into a subject or a record.
func TestNamesThatAreNone(t *testing.T) {
	in := chattest.Run(t, quiet)
	in.User("alice")
	x := examine(t, in)
	accounts, live := x.stream("ACCOUNTS"), x.stream("LIVE")
	heard := listenTo(t, in)
	key := newLogin(t)
	for _, name := range notNames {
		if _, told := enter(t, in, name, key); told == nil {
			t.Errorf("%.40q was let in", name)
		} else if told.Code != chat.Invalid || told.Text != chat.CleanLine(told.Text) || !strings.Contains(told.Text, "start with a letter") {
			t.Errorf("%.40q: %+v", name, told)
		}
	}
	for _, name := range reservedWords {
		if _, told := enter(t, in, name, key); told == nil || told.Code != chat.Reserved {
			t.Errorf("%q: %+v", name, told)
		}
	}
	if a, l := x.stream("ACCOUNTS"), x.stream("LIVE"); a != accounts || l != live {
		t.Errorf("something was stored:\n%s%s", a, l)
	}
	for _, m := range heard.heard(t) {
		fitForTheAuditLog(t, m)
	}
}

// fitForTheAuditLog checks what those who watch are shown.
func fitForTheAuditLog(t *testing.T, m *nats.Msg) {
	t.Helper()
	if !strings.HasPrefix(m.Subject, "chat.audit.") {
		return
	}
	var a chat.Audit
	if err := json.Unmarshal(m.Data, &a); err != nil {
		t.Errorf("an audit record that is none: %.100q", m.Data)
	}
	if len(m.Data) > 4096 || a.Text != chat.CleanLine(a.Text) || strings.ContainsFunc(a.Text, func(r rune) bool { return r > '~' }) {
		t.Errorf("%d bytes in the audit log: %.200q", len(m.Data), a.Text)
	}
	if a.Session != "" && len(a.Session) != 32 {
		t.Errorf("the audit log tells of a session %.60q", a.Session)
	}
}

// TestNobodyLooksLikeAnother: A12. Variants of a live user's name are refused or the
// same name.
func TestNobodyLooksLikeAnother(t *testing.T) {
	in := chattest.Run(t, quiet)
	in.User("alice")
	key := newLogin(t)
	tried := 0
	for _, name := range variants("alice") {
		_, told := enter(t, in, name, key)
		switch {
		case told == nil:
			t.Errorf("%+q was let in", name)
		case told.Code != chat.Invalid && told.Code != chat.Taken && told.Code != chat.ForeignKey:
			t.Errorf("%+q: %+v", name, told)
		case told.Code != chat.Invalid && !strings.EqualFold(name, "alice"):
			t.Errorf("%+q is taken for alice", name)
		}
		tried++
	}
	if tried < 500 {
		t.Errorf("only %d variants", tried)
	}
}

// variants changes a name in ways that eyes, or case folding, do not see.
func variants(name string) []string {
	like := map[rune][]string{
		'a': {"а", "ａ", "ɑ", "α", "á", "a\u0301", "𝐚", "ⓐ"}, 'l': {"ⅼ", "ｌ", "І", "ӏ", "ł", "𝐥", "ⓛ"},
		'i': {"і", "ｉ", "ı", "İ", "í", "ɩ", "𝐢", "ⓘ"}, 'c': {"с", "ｃ", "ϲ", "ⅽ", "ç", "𝐜", "ⓒ"}, 'e': {"е", "ｅ", "é", "℮", "ҽ", "𝐞", "ⓔ"},
	}
	unseen := []string{"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u180e", "\u3164", "\u115f", "\ufe0f", "\U000e0061", "\u202e", "\u2066", "\u00a0", "\u0301", "\x00", "\x7f", "\u061c", "\u200e"}
	seen := map[string]bool{}
	for mask := range 1 << len(name) { // case
		b := []byte(name)
		for i := range b {
			if mask>>i&1 == 1 {
				b[i] -= 'a' - 'A'
			}
		}
		seen[string(b)] = true
		for i := range len(name) + 1 {
			seen[string(b[:i])+unseen[(mask+i)%len(unseen)]+string(b[i:])] = true
		}
	}
	for i, r := range name {
		for _, other := range like[r] {
			seen[name[:i]+other+name[i+1:]] = true
			seen[strings.ToUpper(name[:i])+other+name[i+1:]] = true
			for j, r2 := range name[i+1:] {
				for _, second := range like[r2][:3] {
					seen[name[:i]+other+name[i+1:i+1+j]+second+name[i+2+j:]] = true
				}
			}
		}
		for _, u := range unseen {
			seen[name[:i]+u+name[i:]] = true
		}
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// TestLobbyKeys: keys of another kind, and those of other people, are of no use.
func TestLobbyKeys(t *testing.T) {
	in := chattest.Run(t)
	alice, mallory := intrude(t, in, "alice"), newLogin(t)
	for kind, make := range map[string]func() (nkeys.KeyPair, error){
		"account": nkeys.CreateAccount, "operator": nkeys.CreateOperator, "server": nkeys.CreateServer, "cluster": nkeys.CreateCluster, "curve": nkeys.CreateCurveKeys,
	} {
		public := must(must(make())(t).PublicKey())(t)
		if _, told := enter(t, in, "newcomer", loginKey{public: public}); told == nil || told.Code != chat.Arguments {
			t.Errorf("a key of kind %s: %v", kind, told)
		}
	}
	seed := must(mallory.Seed())(t)
	for _, key := range []string{"", "x", string(seed), mallory.public[1:], mallory.public + "=", mallory.public + "A", mallory.public + "\n", strings.ToLower(mallory.public), strings.Repeat("U", 56)} {
		if _, told := enter(t, in, "newcomer", loginKey{public: key}); told == nil || told.Code != chat.Arguments {
			t.Errorf("a key %.10q: %v", key, told)
		}
	}
	lobby := brokertest.Lobby(t, in.Server)
	for _, seal := range []string{"", "x", mallory.public, string(seed), strings.Repeat("X", 56)} {
		_, err := rpc.Call(t.Context(), lobby.Conn, chat.Enter, chat.Address{}, chat.EnterRequest{Proto: chat.Proto, Name: "newcomer", Key: mallory.public, Seal: seal})
		code(t, "a seal that is none", err, chat.Arguments)
	}
	for _, proto := range []int{0, -1, chat.Proto + 1, 999} {
		_, err := rpc.Call(t.Context(), lobby.Conn, chat.Enter, chat.Address{}, chat.EnterRequest{Proto: proto, Name: "newcomer", Key: mallory.public, Seal: mallory.public})
		code(t, "a version that is none", err, chat.Arguments, chat.Version)
	}
	if _, told := enter(t, in, "alice", alice.key); told == nil || told.Code != chat.SignedIn {
		t.Errorf("alice's name for alice's key, while she is here: %v", told)
	}
	ticket, told := enter(t, in, "newcomer", alice.key)
	if told != nil {
		t.Fatal(told)
	}
	if _, err := connect(in, ticket, mallory); err == nil {
		t.Error("mallory connects with a ticket for alice's key")
	}
	if _, told := enter(t, in, "newcomer", mallory); told == nil || told.Code != chat.Taken {
		t.Errorf("a name that is reserved for another key: %v", told)
	}
	must(ask(alice, chat.List, chat.ListRequest{}))(t)
}

// TestWhoAsksIsNotForged: where a lobby request comes from is what the server says. A request
// in which there is more than one value is refused, whatever the values are; of those under
// the server's own name for it, the server leaves none.
func TestWhoAsksIsNotForged(t *testing.T) {
	in := chattest.Run(t)
	heard := listenTo(t, in)
	lobby := brokertest.Lobby(t, in.Server)
	refused, let := 0, 0
	for _, header := range []string{"Nats-Request-Info", "nats-request-info", "NATS-REQUEST-INFO"} {
		for _, forged := range [][]string{
			{`{"acc":"CHAT","host":"6.6.6.6","id":1,"server":"chatcoord"}`}, {`{"host":"6.6.6.6"`}, {"6.6.6.6"}, {strings.Repeat("6.6.6.6 ", 200)},
			{"6.6.6.6", "6.6.6.6"}, {"6.6.6.6", "6.6.6.6", "6.6.6.6"},
		} {
			q := enterMsg(t, "eve")
			q.Header[header] = forged
			told := refusal(t, must(lobby.RequestMsg(q, timeout))(t))
			switch {
			case told == nil && header == "Nats-Request-Info":
				let++
			case told == nil || told.Code != chat.Denied:
				t.Errorf("%s %d times: %v", header, len(forged), told)
			default:
				refused++
			}
		}
	}
	if n := in.Coord.Refused()["forged"]; n != uint64(refused) || refused != 12 || let != 6 {
		t.Errorf("%d refused, %d counted, %d let through", refused, n, let)
	}
	lines := 0
	for _, m := range heard.heard(t) {
		var a chat.Audit
		if strings.HasPrefix(m.Subject, "chat.audit.") && json.Unmarshal(m.Data, &a) == nil && a.Event != "limit" {
			lines++
			if !strings.HasPrefix(a.Address, "127.0.0.1:") || strings.Contains(a.Text, "6.6.6.6") {
				t.Errorf("%s %q", a.Address, a.Text)
			}
		}
	}
	if lines < let {
		t.Errorf("only %d lines in the audit log", lines)
	}
}

// enterMsg is a request for a name with a new key.
func enterMsg(t *testing.T, name string) *nats.Msg {
	t.Helper()
	q := nats.NewMsg(chat.Enter.Subject(chat.Address{}))
	seal := must(must(nkeys.CreateCurveKeys())(t).PublicKey())(t)
	key := newLogin(t)
	ask := chat.EnterRequest{Proto: chat.Proto, Name: name, Key: key.public, Seal: seal}
	ask.Proof = key.prove(t, ask)
	q.Data = must(json.Marshal(ask))(t)
	return q
}

// TestForgedOriginIsOfNoUse: a ban of a network holds for who lies about where they come from,
// and so does the lobby's limit. Somebody else gets in meanwhile.
func TestForgedOriginIsOfNoUse(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a second loopback address without being asked")
	}
	in := chattest.Run(t, limited)
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Network: "127.0.0.2/32"}}))(t)
	liar := must(nats.Connect(in.Server.URL(), nats.CustomInboxPrefix(chat.LobbyInbox), fromElsewhere()))(t)
	defer liar.Close()
	answers := must(liar.SubscribeSync(chat.LobbyInbox + ".flood"))(t)
	const most = 2000
	for i := range most {
		q := enterMsg(t, fmt.Sprintf("eve%d", i))
		q.Reply = chat.LobbyInbox + ".flood"
		lie := fmt.Sprintf(`{"acc":"A","host":"10.0.%d.%d","id":%d,"server":"chatcoord"}`, i/256, i%256, i+10_000)
		q.Header["nats-request-info"] = []string{lie, lie}
		if err := liar.PublishMsg(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := liar.Flush(); err != nil {
		t.Fatal(err)
	}
	in.User("honest")
	eventually(t, "all are refused", func() bool { return in.Coord.Refused()["forged"] == most })
	n, _, err := answers.Pending()
	for range n {
		if told := refusal(t, must(answers.NextMsg(timeout))(t)); told == nil || told.Code != chat.Denied {
			t.Fatalf("an answer: %v", told)
		}
	}
	if err != nil || n > most/4 {
		t.Errorf("%d answers to %d requests, %v", n, most, err)
	}
	if all := examine(t, in).stream(broker.AccountsStream); strings.Contains(all, "eve") {
		t.Errorf("names were reserved:\n%.500s", all)
	}
}

// TestLobbyAnswersAreSealed: everybody in the lobby may listen to all answers, and
// learns nothing from them but that there are some.
func TestLobbyAnswersAreSealed(t *testing.T) {
	in := chattest.Run(t)
	spy := brokertest.Lobby(t, in.Server)
	caught := make(chan *nats.Msg, 16)
	must(spy.ChanSubscribe(chat.LobbyInbox+".>", caught))(t)
	if err := spy.Flush(); err != nil {
		t.Fatal(err)
	}
	ticket, told := enter(t, in, "alice", newLogin(t)) // opens it: the positive control
	if told != nil {
		t.Fatal(told)
	}
	m := <-caught
	var box chat.Sealed
	if err := json.Unmarshal(m.Data, &box); err != nil || len(box.Box) == 0 {
		t.Fatalf("the spy caught %s", m.Data)
	}
	if bytes.Contains(m.Data, []byte(ticket.JWT[:20])) || bytes.Contains(box.Box, []byte(`"jwt"`)) || bytes.Contains(box.Box, []byte(`"ticket"`)) {
		t.Errorf("the answer is readable: %s", m.Data)
	}
	own := must(nkeys.CreateCurveKeys())(t)
	if data, err := own.Open(box.Box, box.From); err == nil {
		t.Errorf("the spy opens it: %s", data)
	}
}
