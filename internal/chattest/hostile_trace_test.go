package chattest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// TestWhoIsThereIsNotTraced: users who hide, who block the asker, who are away and who do
// not exist look alike to who publishes to them, with and without the server's trace
// headers, and without a console that listens beside them.
func TestWhoIsThereIsNotTraced(t *testing.T) {
	in := chattest.Run(t)
	hidden, blocks, away := in.User("hidden"), in.User("blocks"), in.User("away")
	if err := hidden.SetPresence(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	mallory := intrude(t, in, "mallory")
	if err := blocks.Block(t.Context(), "mallory", 0); err != nil {
		t.Fatal(err)
	}
	if err := away.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := chat.Address{To: "mallory", User: "mallory"}
	traces := must(mallory.SubscribeSync(chat.Direct.Arrival(own)))(t)
	see := func(subject string, h nats.Header) (string, []string) {
		m := &nats.Msg{Subject: subject, Header: h, Data: []byte(`{"n":1,"text":"hello"}`)}
		_, err := mallory.RequestMsg(m, 100*time.Millisecond)
		seen, names := fmt.Sprintln("answer:", err), []string{}
		for trace, err := traces.NextMsg(100 * time.Millisecond); err == nil; trace, err = traces.NextMsg(100 * time.Millisecond) {
			steps, more := readTrace(t, trace.Data)
			seen, names = seen+steps, append(names, more...)
		}
		return seen, names
	}
	var names []string
	for _, h := range []nats.Header{
		{},
		{"Nats-Trace-Dest": {chat.Direct.Subject(own)}},
		{"Nats-Trace-Dest": {chat.Direct.Subject(own)}, "Nats-Trace-Only": {"true"}},
	} {
		kinds := map[string][]string{}
		for _, to := range []chat.User{"hidden", "blocks", "away", "unknown"} {
			header := nats.Header{}
			for k, v := range h {
				header[k] = slices.Clone(v)
			}
			seen, found := see(chat.Direct.Subject(chat.Address{To: to, User: "mallory"}), header)
			kinds[seen] = append(kinds[seen], string(to))
			names = append(names, found...)
		}
		if len(kinds) != 1 {
			t.Errorf("%v tells them apart: %v", h, kinds)
		}
	}
	_, found := see(chat.List.Subject(chat.Address{User: "mallory"}), nats.Header{"Nats-Trace-Dest": {chat.Direct.Subject(own)}})
	for _, name := range append(names, found...) {
		if name != broker.ClientName && name != broker.CoordinatorName && name != t.Name() {
			t.Errorf("a connection is called %q", name)
		}
	}
	if len(found) < 2 {
		t.Errorf("a traced request shows %q: what is compared here?", found)
	}
}

// readTrace returns the steps of a trace, without times and without what its sender has put
// into it, and the names of connections in it.
func readTrace(t *testing.T, trace []byte) (steps string, names []string) {
	t.Helper()
	var event struct {
		Events []map[string]any `json:"events"`
	}
	if err := json.Unmarshal(trace, &event); err != nil {
		t.Fatalf("%q is no trace", trace)
	}
	for _, e := range event.Events {
		if name, ok := e["name"].(string); ok {
			names = append(names, name)
		}
		for _, own := range []string{"ts", "subj", "from", "to"} {
			delete(e, own)
		}
		steps += fmt.Sprintln(e)
	}
	return steps, names
}

// TestNamesOfConnections: what servers call the connections of a coordinator and of clients
// who chat says nothing of who they are and what they do.
func TestNamesOfConnections(t *testing.T) {
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	in.Guest()
	names := map[string]int{}
	for _, name := range connectionNames(t, in) {
		names[name]++
	}
	for name := range names {
		if name != broker.ClientName && name != broker.CoordinatorName && name != "" { // the lobby's have none in the list
			t.Errorf("a connection is called %q", name)
		}
	}
	if names[broker.ClientName] < 4 || names[broker.CoordinatorName] < 5 {
		t.Errorf("connections are called %v", names)
	}
}

func connectionNames(t *testing.T, in *chattest.Installation) []string {
	t.Helper()
	links, err := coord.Embed(in.Server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(links.Close)
	m, err := links.System.Request("$SYS.REQ.SERVER.PING.CONNZ", []byte(`{"auth":true}`), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Data struct {
			Connections []struct {
				Name string `json:"name"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range reply.Data.Connections {
		names = append(names, c.Name)
	}
	return names
}
