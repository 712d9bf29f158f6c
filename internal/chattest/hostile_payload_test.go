package chattest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
)

// notObjects are bytes that are no JSON object.
func notObjects() map[string][]byte {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(make([]byte, 10<<20))
	_ = z.Close()
	return map[string][]byte{
		"nothing": nil, "blanks": []byte(" \r\n\t "), "text": []byte("hello"), "string": []byte(`"hello"`), "number": []byte("1"), "null": []byte("null"), "list": []byte("[]"), "list of objects": []byte("[{}]"),
		"cut off": []byte(`{"proto":1`), "two": []byte("{}{}"), "too much": []byte("{}}"), "single quotes": []byte("{'a':1}"), "no quotes": []byte("{a:1}"), "comment": []byte("{/**/}"), "trailing comma": []byte(`{"a":1,}`),
		"NaN": []byte(`{"proto":NaN}`), "infinity": []byte(`{"proto":Infinity}`), "hex": []byte(`{"proto":0x1}`),
		"deep lists": []byte(`{"a":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + "}"), "deep objects": bytes.Repeat([]byte(`{"a":`), 10001), "open forever": bytes.Repeat([]byte("{"), 60000),
		"control in a string": []byte("{\"session\":\"a\x00b\"}"), "zero bytes": make([]byte, 100), "BOM": []byte("\ufeff{}"), "UTF-16": []byte("\xff\xfe{\x00}\x00"),
		"gzip": zipped.Bytes(), "protobuf": []byte("\x08\x96\x01\x12\x07testing"), "escape": []byte("\x1b[2J\x1b[H"), "one over the limit": padded(chat.MaxPayload + 1), "half a MB": padded(512 << 10),
	}
}

// padded is an empty object of a length.
func padded(n int) []byte { return []byte("{" + strings.Repeat(" ", n-2) + "}") }

// wrongTypes are objects with one field of another type than a payload has.
func wrongTypes(payload reflect.Type) [][]byte {
	var all [][]byte
	for i := range payload.NumField() {
		f := payload.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		values := []string{"{}", `{"a":[]}`}
		switch f.Type.Kind() {
		case reflect.String:
			values = append(values, "1", "true", "[]", `["a"]`, "1e400")
		case reflect.Bool:
			values = append(values, "1", `"true"`, "[]")
		case reflect.Slice:
			values = append(values, "1", `"a"`, "[1]", "[[]]", "true")
		case reflect.Map, reflect.Pointer:
			values = []string{"1", `"a"`, "[1]", "[[]]", "true"}
		default:
			values = append(values, `"1"`, "1.5", "1e400", "-1e400", "true", "[]", "18446744073709551616", "-18446744073709551616")
		}
		for _, v := range values {
			all = append(all, fmt.Appendf(nil, `{%q:%s}`, name, v))
		}
	}
	return all
}

// odd are objects that can be read, and say nothing good.
func odd(id string) [][]byte {
	ids := []string{
		"", "*", ">", "a.b", "../x", "chat.coord.exit.alice", id[:15], id[:31], id + "0", id + "-1", strings.ToUpper(id) + "X", strings.Repeat("a", 16), strings.Repeat("a", 17), strings.Repeat("0", 32), strings.Repeat("f", 4096), strings.Repeat("f", 60000),
		`\u0000`, `\u001b[2J\u001b[H`, "\xff\xfe", `\ud800`, `\u202e\u200b`, "😀", "' OR 1=1", "%s%n%d", "\u009b31m",
	}
	var all [][]byte
	for _, i := range ids {
		all = append(all, []byte(`{"session":"`+i+`","accept":true,"reason":"quit","key":"`+i+`","name":"`+i+`","proto":1,"presence":"`+i+`","guests":["`+i+`"]}`))
	}
	many, _ := json.Marshal(map[string]any{"guests": strings.Split(strings.Repeat("abc ", 10000), " "), "proto": 999})
	return append(all, many,
		[]byte(`{"session":"`+id+`","session":"x","reason":"quit","reason":"lost","proto":1,"proto":0,"name":"alice","guests":[],"guests":["mallory"],"presence":"visible","presence":""}`),
		[]byte(`{"guests":["alice","ALICE"],"reason":"lost","proto":-1,"unknown":{"a":[1,2,{}]},"Session":"X","SESSION":""}`),
		[]byte(`{"guests":null,"session":null,"reason":null,"key":null,"proto":null,"name":null,"presence":null}`),
		[]byte(`{"proto":9223372036854775807,"guests":["alice","bob","carol","nora","*"]}`),
		padded(chat.MaxPayload))
}

// headers are bombs, and what means something to others.
func headers() []nats.Header {
	many := nats.Header{}
	for i := range 1000 {
		many[fmt.Sprintf("X-%d", i)] = []string{strings.Repeat("x", 40)}
	}
	return []nats.Header{
		many, {"X": {strings.Repeat("x", 500<<10)}}, {"X": make([]string, 5000)}, {"X": {"\x1b[2J\x00\x7f\u009b"}},
		{"Nats-Service-Error": {"x"}, "Nats-Service-Error-Code": {"500"}}, {"Nats-Request-Info": {`{"acc":"SYS"}`}}, {"Status": {"503"}},
		{"Nats-Rollup": {"all"}, "Nats-Expected-Last-Sequence": {"0"}, "Nats-Msg-Id": {"1"}, "Nats-Marker-Reason": {"Purge"}},
	}
}

// userRequests are the requests of users, without those after which nobody is there.
func userRequests() []*chat.Route {
	var all []*chat.Route
	for _, r := range chat.Routes() {
		if r.From() == chat.AUser && r.Reply != nil {
			all = append(all, r)
		}
	}
	return all
}

// TestPayloadsThatAreNone: 5.4. Every request gets an answer, in the asker's inbox, and
// nothing else happens.
func TestPayloadsThatAreNone(t *testing.T) {
	in := chattest.Run(t, quiet)
	alice, bob := in.User("alice"), in.User("bob")
	mallory := intrude(t, in, "mallory")
	id := chattest.Chat(alice, bob).ID
	converse(t, alice, bob, "before")
	x := examine(t, in)
	live := x.stream("LIVE")
	everything := listenTo(t, in)
	baseline := runtime.NumGoroutine()

	for _, r := range userRequests() {
		for what, data := range notObjects() {
			code(t, r.Kind+": "+what, errOf(mallory.raw(r, nil, data)), chat.Arguments, chat.TooLong)
		}
		for _, data := range wrongTypes(r.Payload) {
			code(t, fmt.Sprintf("%s: %s", r.Kind, data), errOf(mallory.raw(r, nil, data)), chat.Arguments)
		}
		switch r {
		case chat.Exit.Route, chat.BlockUser.Route, chat.UnblockUser.Route, chat.Blocked.Route:
			continue // anything that can be read would do
		}
		for _, data := range odd(id) {
			told := mallory.raw(r, nil, data)
			if told == nil && r != chat.List.Route && r != chat.Renew.Route || told != nil && told.Code == chat.Internal {
				t.Errorf("%s %.80q: %v", r.Kind, data, told)
			}
		}
		for _, h := range headers() {
			if told := mallory.raw(r, h, []byte("{}")); told != nil && told.Code == chat.Internal {
				t.Errorf("%s %.80q: %v", r.Kind, h, told)
			}
		}
	}

	if after := x.stream("LIVE"); after != live {
		t.Errorf("something has changed:\n%s\nwas\n%s", after, live)
	}
	for _, m := range everything.heard(t) {
		fitForTheAuditLog(t, m)
		if repeats(m, id) {
			continue
		}
		if !covered([]string{"chat.audit.*", "chat.coord.*.mallory", "_IN.mallory.>", "_IN.coordinator.>", "$JS.>", "chat.session." + id + ".sig.*", "chat.session." + id + ".to.>"}, m.Subject) {
			t.Errorf("delivered: %s %.80q", m.Subject, m.Data)
		}
	}
	converse(t, alice, bob, "after")
	must(alice.List(t.Context()))(t)
	eventually(t, "no goroutine is left over", func() bool { return runtime.NumGoroutine() <= baseline })
}

// repeats reports whether a message tells a member once more that their session is as it was:
// that is done shortly after they connect.
func repeats(m *nats.Msg, id string) bool {
	var n chat.SessionNotice
	return covered([]string{"chat.user.alice.session", "chat.user.bob.session"}, m.Subject) &&
		json.Unmarshal(m.Data, &n) == nil && n.Session.ID == id && n.Session.State == chat.Open
}

func errOf(e *chat.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// TestLobbyPayloadsThatAreNone is the same in the lobby.
func TestLobbyPayloadsThatAreNone(t *testing.T) {
	in := chattest.Run(t, quiet)
	lobby := brokertest.Lobby(t, in.Server)
	send := func(h nats.Header, data []byte) error {
		m, err := lobby.RequestMsg(&nats.Msg{Subject: chat.Enter.Subject(chat.Address{}), Header: h, Data: data}, timeout)
		if err != nil {
			return err
		}
		return errOf(refusal(t, m))
	}
	for what, data := range notObjects() {
		if err := send(nil, data); len(data) > chat.MaxPayload {
			if err != nats.ErrMaxPayload {
				t.Errorf("%s: %v", what, err)
			}
		} else {
			code(t, what, err, chat.Arguments)
		}
	}
	for _, data := range append(wrongTypes(chat.Enter.Payload), odd(strings.Repeat("0", 32))...) {
		if err := send(nil, data); err != nats.ErrMaxPayload {
			code(t, fmt.Sprintf("%.80s", data), err, chat.Arguments)
		}
	}
	for _, h := range headers() {
		if err := send(h, []byte("{}")); err != nats.ErrMaxPayload {
			code(t, fmt.Sprintf("%.80q", h), err, chat.Arguments)
		}
	}
	if _, told := enter(t, in, "alice", newLogin(t)); told != nil {
		t.Error(told)
	}
}

// TestNobodyIsKeptWaiting: requests that wait by their nature, for a state that will
// never be or to hide why somebody cannot be invited, keep only their asker waiting.
func TestNobodyIsKeptWaiting(t *testing.T) {
	in := chattest.Run(t, quiet)
	alice := in.User("alice")
	mallory := intrude(t, in, "mallory")
	const many = 3000
	answers := make(chan *nats.Msg, 2*many)
	must(mallory.ChanSubscribe("_IN.mallory.many", answers))(t)
	for range many {
		for subject, data := range map[string]string{"list": `{"revision":9223372036854775807}`, "invite": `{"guests":["nora"]}`} {
			if err := mallory.PublishRequest("chat.coord."+subject+".mallory", "_IN.mallory.many", []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := mallory.Flush(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	must(alice.List(t.Context()))(t)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("alice has waited %v for a list", took)
	}
	refused := 0
	for range 2 * many {
		if told := refusal(t, <-answers); told == nil {
			t.Error("an answer to a request that has none")
		} else if told.Code == chat.Rate {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: this test shows nothing")
	}
	if told := mallory.raw(chat.List.Route, nil, []byte("{}")); told != nil {
		t.Errorf("mallory is still refused: %v", told)
	}
}
