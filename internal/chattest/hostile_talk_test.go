package chattest_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/session"
)

// badMessages are messages that must not be shown.
var badMessages = []string{
	"1 0 0 0:6\nforged\n", "1 -1 0 0:6\nforged\n", "1 1.5 0 0:6\nforged\n", "1 01 0 0:6\nforged\n", "1 18446744073709551616 0 0:6\nforged\n",
	"1 9223372036854775808 0 0:6\nforged\n", "1 18446744073709551615 0 0:6\nforged\n", "1 2 0 0:6\nforged\n", "1 1000 0 0:6\nforged\n", "1 1 0\nforged\n", "2 1 0 0:6\nforged\n",
	"1 1 0 0:7\nforged\n", "1 1 0 0:5\nforged\n", "1 1 0 0:6\nforged", "1 1 0 0:-6\nforged\n", "1 1 0 0:6 @\nforged\n", "1 1 0 0:6 @alice\nforged\n", "1 1 0 0:6 @alice=18446744073709551615\nforged\n",
	"1 1 0 0:99999999999999999999\nforged\n", "1 1 99999999999999999999 0:6\nforged\n", `{"n":1,"text":"forged"}`,
	"1 1 0 0:" + fmt.Sprint(chat.MaxText+1) + "\n" + strings.Repeat("x", chat.MaxText+1) + "\n", "1 1 0" + strings.Repeat(" 0:1", 65) + "\n" + strings.Repeat("x\n", 65), strings.Repeat("1", 39<<10),
}

// badSignals are lies, and what is no signal at all.
func badSignals() []string {
	all := []string{
		`{"receipt":true}`, `{"receipt":"yes"}`, "18446744073709551615", "9007199254740993", "-1", "0", "1e3",
		`{"sync":{"have":{"alice":18446744073709551615,"bob":9223372036854775808},"first":0}}`, `{"sync":{"have":null,"first":1,"ask":true}}`, `{"sync":{"have":{},"ask":true}}`, `{"sync":{}}`, `{"sync":null}`, `{"sync":{"first":-1}}`,
		`{"receipt":true,"sync":{"have":{"alice":0,"bob":0},"first":0,"ask":true},"bye":true}`, `{"bye":"yes"}`, `{"bye":null}`, `{"unknown":1}`,
	}
	return append(all, strings.Repeat(`{"bye":true}|{"bye":false}|`, 1)+`{}`, `{"sync":{"have":{`+strings.Repeat(`"x":1,`, 5000)+`"y":1}}}`)
}

// annoy sends everything bad that there is in a session.
func annoy(t *testing.T, member *brokertest.Conn, channel string) {
	t.Helper()
	for _, m := range badMessages {
		speak(t, member, channel, "mallory", "msg", m)
	}
	for _, data := range notObjects() {
		speak(t, member, channel, "mallory", "msg", string(data))
		speak(t, member, channel, "mallory", "sig", string(data))
	}
	for _, s := range badSignals() {
		speak(t, member, channel, "mallory", "sig", s)
		speak(t, member, channel, "mallory", "to.alice", s)
		speak(t, member, channel, "mallory", "to.bob", s)
		speak(t, member, channel, "mallory", "msg", s)
	}
	for range 100 {
		speak(t, member, channel, "mallory", "sig", `{"bye":true}`)
		speak(t, member, channel, "mallory", "sig", `{"sync":{"have":{},"first":0,"ask":true}}`)
		speak(t, member, channel, "mallory", "sig", `{"bye":false}`)
	}
	if err := member.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestHonestTalkGoesOn: a member who lies about counters, receipts and where they
// stand harms nobody but what they say themselves.
func TestHonestTalkGoesOn(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	s, member, _ := group(t, alice, bob, mallory)
	says(t, alice, "before", bob)
	for i := range 3 {
		annoy(t, member, s.ID)
		converse(t, alice, bob, fmt.Sprint("while annoyed ", i))
	}
	speak(t, member, s.ID, "mallory", "msg", "1 1 0 0:5\nsorry\n")
	speak(t, member, s.ID, "mallory", "msg", "1 1 0 0:11\nsorry again\n")
	speak(t, member, s.ID, "mallory", "msg", "1 3 0 0:7\nskipped\n")
	speak(t, member, s.ID, "mallory", "msg", "1 2 0 0:8\nso sorry\n")
	for _, u := range []*chattest.User{alice, bob} {
		for _, text := range []string{"sorry", "so sorry"} {
			if got := chattest.Wait[chattest.Text](u); got.Text != text || got.From != "mallory" {
				t.Errorf("%s hears %q from %s, want %q from mallory", u.Me(), got.Text, got.From, text)
			}
		}
	}
	// From here on mallory has spoilt only what mallory says. The others look first whether
	// anything is kept of what mallory jumps over, and then say that they lack the rest.
	const last = "1 9007199254740990 0 0:8\nthe last\n"
	subject := chat.Said.Subject(chat.Address{User: "mallory", Session: s.ID})
	if _, err := member.Subscribe("chat.session."+s.ID+".to.mallory.*", func(*nats.Msg) { _ = member.Publish(subject, []byte(last)) }); err != nil {
		t.Fatal(err)
	}
	speak(t, member, s.ID, "mallory", "sig", `{"sync":{"have":{},"first":9007199254740990}}`)
	speak(t, member, s.ID, "mallory", "msg", last)
	for _, u := range []*chattest.User{alice, bob} {
		if got := chattest.Wait[chattest.Text](u); got.Text != "the last" || got.From != "mallory" {
			t.Errorf("%s hears %q from %s", u.Me(), got.Text, got.From)
		}
	}
	speak(t, member, s.ID, "mallory", "msg", "1 0 0 0:6\nforged\n")
	speak(t, member, s.ID, "mallory", "msg", "1 1 0 0:6\nforged\n")
	converse(t, alice, bob, "after")
	if err := alice.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.MemberLeft](bob)
	if err := bob.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(alice.List(t.Context()))(t)
}

// TestComingBackAmongLiars: who comes back into a group asks the others how far it had
// come, and one who makes up a number does not silence it.
func TestComingBackAmongLiars(t *testing.T) {
	for _, lie := range []string{"18446744073709551615", "18446744073709551614", "9223372036854775808", "9007199254740993", "1000000"} {
		t.Run(lie, func(t *testing.T) {
			in := chattest.Run(t)
			cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
			alice, bob := chattest.Dial(t, cfg, "alice"), in.User("bob")
			mallory := intrude(t, in, "mallory")
			s, member, _ := group(t, alice, bob, mallory)
			converse(t, alice, bob, "before")
			alice.Close()
			chattest.Wait[session.MemberLost](bob)
			asked := must(member.SubscribeSync("chat.session." + s.ID + ".sig.alice"))(t)
			if err := member.Flush(); err != nil {
				t.Fatal(err)
			}
			alice = chattest.Dial(t, cfg, "alice")
			must(asked.NextMsg(timeout))(t)
			speak(t, member, s.ID, "mallory", "sig", lie)
			speak(t, member, s.ID, "mallory", "sig", `{"sync":{"have":{"alice":`+lie+`},"first":1}}`)
			chattest.Wait[session.Opened](alice)
			converse(t, alice, bob, "after")
		})
	}
}

// TestDirectMessagesThatAreNone: nobody is shown a forged sender, and what cannot be
// read is not shown.
func TestDirectMessagesThatAreNone(t *testing.T) {
	in := chattest.Run(t, rates(0, 0))
	alice, bob := in.User("alice"), in.User("bob")
	mike := intrude(t, in, "mike")
	acks := must(mike.SubscribeSync(chat.Direct.Arrival(chat.Address{To: "mike", User: "alice"})))(t)
	send := func(data string) {
		t.Helper()
		err := mike.PublishRequest("chat.dm.alice.mike", "chat.coord.exit.alice", []byte(data))
		if err != nil && !errors.Is(err, nats.ErrMaxPayload) { // the ticket does not carry it
			t.Fatal(err)
		}
	}
	for _, data := range notObjects() {
		send(string(data))
	}
	for _, m := range append(badSignals(), badMessages[:6]...) {
		send(m)
	}
	for i, forged := range []string{"bob", "", "BOB", "mike.x", "mi\u212ae", "m\u0456ke", "mike ", "\x1b[2Jmike", "coordinator", "MIKE", "mike", strings.Repeat("m", 60000)} {
		name, _ := json.Marshal(forged)
		send(fmt.Sprintf(`{"n":%d,"name":%s,"text":"hello"}`, 2*i+1, name))
		send(fmt.Sprintf(`{"n":%d,"name":%s,"text":"repeated"}`, 2*i+1, name))
		send(fmt.Sprintf(`{"n":%d,"name":%s,"text":"none"}`, 0, name))
		send(fmt.Sprintf(`{"ack":%d}`, i))
		send(fmt.Sprintf(`{"here":%d}`, i))
		got := chattest.Wait[client.DirectText](alice)
		if got.Text != "hello" || !strings.EqualFold(string(got.From), "mike") || strings.ContainsRune(string(got.From), 0x212a) {
			t.Errorf("as %q: alice reads %q from %q", forged, got.Text, got.From)
		}
		must(acks.NextMsg(timeout))(t)
	}
	if err := bob.Direct(t.Context(), "alice", "hello"); err != nil {
		t.Error(err)
	}
	if got := chattest.Wait[client.DirectText](alice); got.From != "bob" || got.Text != "hello" {
		t.Errorf("alice reads %+v", got)
	}
	must(alice.List(t.Context()))(t)
}

// wire is a connection without a library: what goes over it need not be NATS.
func (m *intruder) wire(t *testing.T, ticket chat.Ticket, key loginKey) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := must(net.Dial("tcp", m.in.Server.Addr()))(t)
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(timeout))
	r := bufio.NewReader(c)
	line := must(r.ReadString('\n'))(t)
	var info struct{ Nonce string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil {
		t.Fatal(err)
	}
	sig := must(key.Sign([]byte(info.Nonce)))(t)
	fmt.Fprintf(c, "CONNECT {\"headers\":true,\"protocol\":1,\"verbose\":false,\"jwt\":%q,\"sig\":%q}\r\nPING\r\n", ticket.JWT, base64.RawURLEncoding.EncodeToString(sig))
	if line := must(r.ReadString('\n'))(t); !strings.HasPrefix(line, "INFO") && line != "PONG\r\n" {
		t.Fatalf("the server says %q", line)
	}
	return c, r
}

// badHeaders are header blocks that are none.
var badHeaders = []string{
	"x", "\r\n", "NATS/1.0", "NATS/1.0\r\n", "NATS/1.0\r\nno colon\r\n\r\n", "NATS/1.0\r\nA: b", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "NATS/1.0\nA: b\n\n", "NATS/9.9\r\n: \r\n\r\n",
	"NATS/1.0\r\n\x00\x1b[2J: \x07\r\n\r\n", "NATS/1.0 503\r\n\r\n", "NATS/1.0 100 FlowControl Request\r\n\r\n", strings.Repeat("\r\n", 1000), "NATS/1.0\r\n" + strings.Repeat("a", 100_000),
}

func hpub(subject, reply, header, data string) string {
	return fmt.Sprintf("HPUB %s %s %d %d\r\n%s%s\r\n", subject, reply, len(header), len(header)+len(data), header, data)
}

// nothingOnTheTerminal fails if a library has something to say there.
func nothingOnTheTerminal(t *testing.T) func() {
	t.Helper()
	f, before := must(os.CreateTemp(t.TempDir(), "stderr"))(t), os.Stderr
	os.Stderr = f
	return func() {
		os.Stderr = before
		if said, err := os.ReadFile(f.Name()); err != nil || len(said) > 0 {
			t.Errorf("on the terminal: %.500q, %v", said, err)
		}
		_ = f.Close()
	}
}

// TestBrokenHeaders: who sends headers that cannot be read disturbs nobody.
func TestBrokenHeaders(t *testing.T) {
	terminal := nothingOnTheTerminal(t)
	defer terminal()
	in := chattest.Run(t, rates(0, 0)) // the library goes on to report after a client is closed
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	s, _, _ := group(t, alice, bob, mallory)
	key := newLogin(t)
	ticket := must(ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: key.public}))(t).Ticket
	member, _ := mallory.wire(t, ticket, key)
	user, _ := mallory.wire(t, mallory.ticket, mallory.key)
	answers := must(mallory.SubscribeSync("_IN.mallory.broken"))(t)
	if err := mallory.Flush(); err != nil { // the requests come on another connection
		t.Fatal(err)
	}
	for _, h := range badHeaders {
		for _, kind := range []string{"msg", "sig"} {
			fmt.Fprint(member, hpub("chat.session."+s.ID+"."+kind+".mallory", "", h, `{"n":0}`))
		}
		fmt.Fprint(user, hpub("chat.dm.alice.mallory", "", h, `{"n":0}`))
		fmt.Fprint(user, hpub("chat.coord.list.mallory", "_IN.mallory.broken", h, `{}`))
		refusal(t, must(answers.NextMsg(timeout))(t))
	}
	converse(t, alice, bob, "after")

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // all the time, to somebody who is only coming
		defer close(stopped)
		for burst := strings.Repeat(hpub("chat.dm.zoe.mallory", "", badHeaders[4], ""), 50); ; {
			select {
			case <-stop:
				return
			default:
				if _, err := io.WriteString(user, burst); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	zoe := in.User("zoe")
	must(zoe.List(t.Context()))(t)
}

// TestWhatIsNotNATS: bytes that are no protocol end the connection that they come on,
// and no other.
func TestWhatIsNotNATS(t *testing.T) {
	in := chattest.Run(t, rates(0, 0))
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	chattest.Chat(alice, bob)
	for _, junk := range []string{
		"GET / HTTP/1.1\r\n\r\n", "\x00\x01\x02\xff", "PUB\r\n", "PUB x y z w\r\n", "HPUB chat.coord.list.mallory 10 5\r\n", "HPUB chat.coord.list.mallory _IN.mallory.x -1 -1\r\n",
		"PUB chat.coord.list.mallory 99999999999999999999\r\n", "PUB chat.coord.list.mallory 100000000\r\n", "PUB chat.coord.list.mallory " + strings.Repeat("x", 5000) + " 0\r\n\r\n",
		"RPUB x\r\n", "LMSG x\r\n", "RS+ x\r\n", "A+ x\r\n", "SUB " + strings.Repeat("x.", 5000) + "\r\n", "CONNECT {\r\n", strings.Repeat("\x16\x03\x01", 2000),
	} {
		c, r := mallory.wire(t, mallory.ticket, mallory.key)
		if _, err := io.WriteString(c, junk); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, r); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%.40q: %v", junk, err)
		}
	}
	converse(t, alice, bob, "after")
	must(ask(mallory, chat.List, chat.ListRequest{}))(t)
}
