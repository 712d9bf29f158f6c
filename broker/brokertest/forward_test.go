package brokertest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"

	"github.com/nats-io/nats.go"
)

// traceHeaders are what the server's documentation offers to who wants a message traced.
var traceHeaders = []nats.Header{
	{},
	{"Nats-Trace-Dest": {direct("alice", "alice")}},
	{"Nats-Trace-Only": {"true"}},
	{"Nats-Trace-Dest": {direct("alice", "alice")}, "Nats-Trace-Only": {"true"}},
	{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
	{"Nats-Trace-Dest": {direct("alice", "alice")}, "Accept-Encoding": {"gzip"}},
}

func direct(to, from chat.User) string {
	return chat.Direct.Subject(chat.Address{To: to, User: from})
}

// TestTracesEndAtTheBoundary: the publisher of a direct message learns the same from the
// server whether the receiver listens, does not listen, or blocks the publisher, with and
// without tracing. A server that nobody counts messages on answers "no responders" to the request for
// who is not there; a coordinator always counts.
func TestTracesEndAtTheBoundary(t *testing.T) {
	srv := brokertest.Run(t)
	counter := brokertest.Dial(t, srv, chat.TappingGrant(), "_IN.coordinator")
	if _, err := counter.QueueSubscribe(chat.Direct.Wildcard(), "direct", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	alice := brokertest.User(t, srv, "alice")
	heard := receive(t, brokertest.User(t, srv, "bob"), "bob")
	deaf := chat.UserGrant("carol", "alice")
	silent := receive(t, brokertest.Dial(t, srv, deaf, chat.Inbox("carol")), "carol")
	traces := receive(t, alice, "alice")
	if err := counter.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, h := range traceHeaders {
		want := observe(t, alice, traces, "nora", h)
		for _, to := range []chat.User{"bob", "carol"} {
			if got := observe(t, alice, traces, to, h); got != want {
				t.Errorf("%v: for %s alice sees\n%s\nfor nobody\n%s", h, to, got, want)
			}
		}
	}
	if m, err := heard.NextMsg(5 * time.Second); err != nil || m.Subject != "_DM.bob.alice" {
		t.Errorf("bob hears %v, %v", m, err)
	}
	if m, err := silent.NextMsg(50 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("carol hears %v, %v", m, err)
	}
}

// TestTracesTellWithoutABoundary shows that the test above could fail: on a subject that is
// not forwarded, a trace tells who listens, and who listens but does not want to hear.
func TestTracesTellWithoutABoundary(t *testing.T) {
	srv := brokertest.Run(t)
	alice := brokertest.Dial(t, srv, chat.Grant{
		Publish: []string{"x.*.alice", direct("alice", "alice")}, Subscribe: []string{"_DM.alice.*", "_IN.alice.>"},
	}, chat.Inbox("alice"))
	for u, deny := range map[string][]string{"bob": nil, "carol": {"x.*.alice"}} {
		c := brokertest.Dial(t, srv, chat.Grant{Subscribe: []string{"x." + u + ".*"}, DenySubscribe: deny}, "_IN."+u)
		if _, err := c.SubscribeSync("x." + u + ".*"); err != nil || c.Flush() != nil {
			t.Fatal(err)
		}
	}
	traces := receive(t, alice, "alice")
	see := func(to string) string { return observeOn(t, alice, traces, "x."+to+".alice", traceHeaders[3]) }
	not := see("nora")
	for _, u := range []string{"bob", "carol"} {
		if there := see(u); there == not {
			t.Errorf("the same for %s as for nobody:\n%s", u, there)
		}
	}
}

func receive(t *testing.T, c *brokertest.Conn, u chat.User) *nats.Subscription {
	t.Helper()
	sub, err := c.SubscribeSync(chat.Direct.Arrival(chat.Address{To: u, User: "*"}))
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func observe(t *testing.T, alice *brokertest.Conn, traces *nats.Subscription, to chat.User, h nats.Header) string {
	t.Helper()
	return observeOn(t, alice, traces, direct(to, "alice"), h)
}

// observeOn is what alice sees of a message: the server's answer to it as a request, and
// the steps of its trace.
func observeOn(t *testing.T, alice *brokertest.Conn, traces *nats.Subscription, subject string, h nats.Header) string {
	t.Helper()
	m := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: []byte(`{"n":1,"text":"hello"}`)}
	for k, v := range h {
		m.Header[k] = slices.Clone(v)
	}
	_, err := alice.RequestMsg(m, 100*time.Millisecond)
	seen := fmt.Sprintf("answer: %v\n", err)
	for {
		trace, err := traces.NextMsg(100 * time.Millisecond)
		if err != nil {
			return seen
		}
		seen += steps(t, trace.Data)
	}
}

// steps are those of a trace, without times and without what alice has put into it.
func steps(t *testing.T, trace []byte) string {
	t.Helper()
	var event struct {
		Events []map[string]any `json:"events"`
	}
	if err := json.Unmarshal(trace, &event); err != nil {
		return fmt.Sprintf("%d bytes\n", len(trace)/64)
	}
	list := ""
	for _, e := range event.Events {
		for _, own := range []string{"ts", "subj", "from", "to"} {
			delete(e, own)
		}
		list += fmt.Sprintln(e)
	}
	return list
}

// TestForwardingSurvivesRevocations: pushing the account's claims, as each revocation does,
// neither ends the forwarding nor turns one message into many for good.
func TestForwardingSurvivesRevocations(t *testing.T) {
	srv := brokertest.RunConfig(t, embedded.Config{})
	alice := brokertest.User(t, srv, "alice")
	heard := receive(t, brokertest.User(t, srv, "bob"), "bob")
	for i := range 20 {
		other := brokertest.User(t, srv, "mallory")
		if err := srv.Revoke(t.Context(), map[string]time.Time{other.Key: time.Now()}, nil); err != nil {
			t.Fatal(err)
		}
		if err := alice.Publish(direct("bob", "alice"), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		m, err := heard.NextMsg(5 * time.Second)
		if err != nil || m.Data[0] != byte(i) {
			t.Fatalf("after revocation %d: %v, %v", i, m, err)
		}
	}
	if m, err := heard.NextMsg(50 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("more than was sent: %v, %v", m, err)
	}
}
