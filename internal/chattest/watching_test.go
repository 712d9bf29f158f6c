package chattest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/console"
	"natter/internal/coord"
)

// inquire asks the service as "nats micro" does.
func inquire[R any](t *testing.T, observer *brokertest.Conn, subject string) R {
	t.Helper()
	m, err := observer.Request(subject, nil, 5*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	var r R
	if err := json.Unmarshal(m.Data, &r); err != nil {
		t.Fatalf("%s: %v\n%s", subject, err, m.Data)
	}
	return r
}

func TestMicroPing(t *testing.T) {
	in := chattest.Run(t)
	observer := brokertest.Observer(t, in.Server)
	id := inquire[micro.Ping](t, observer, "$SRV.PING").ID
	for _, subject := range []string{"$SRV.PING", "$SRV.PING.chatcoord", "$SRV.PING.chatcoord." + id} {
		p := inquire[micro.Ping](t, observer, subject)
		if p.Type != micro.PingResponseType || p.Name != "chatcoord" || p.ID != id || p.Version != chat.Release || p.Metadata["protocol"] != "1" {
			t.Errorf("%s: %+v", subject, p)
		}
	}
	for _, subject := range []string{"$SRV.PING.other", "$SRV.PING.chatcoord.other"} {
		if _, err := observer.Request(subject, nil, 5*time.Second); err != nats.ErrNoResponders {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

// Each endpoint says what it is for, what it takes and what it gives.
func TestMicroInfo(t *testing.T) {
	in := chattest.Run(t)
	observer := brokertest.Observer(t, in.Server)
	info := inquire[micro.Info](t, observer, "$SRV.INFO.chatcoord")
	if info.Type != micro.InfoResponseType || info.Version != chat.Release || info.Description == "" {
		t.Errorf("%+v", info.ServiceIdentity)
	}
	var served []string
	for _, e := range info.Endpoints {
		served = append(served, e.Metadata["subject"])
		if e.Name == "" || e.QueueGroup == "" || e.Metadata["description"] == "" {
			t.Errorf("%+v", e)
		}
		for _, key := range []string{"request_schema", "reply_schema"} {
			var schema struct{ Type string }
			if err := json.Unmarshal([]byte(e.Metadata[key]), &schema); err != nil || schema.Type != "object" {
				t.Errorf("%s of %s: %v %q", key, e.Name, err, e.Metadata[key])
			}
		}
	}
	for _, r := range chat.Routes() {
		if want := r.To() == chat.Coordinator; slices.Contains(served, r.Pattern()) != want {
			t.Errorf("%s is served: %v", r.Pattern(), !want)
		}
	}
}

// The figures are of the work, not of its beginning: refusals count as errors, and
// they take the time that they take.
func TestMicroStats(t *testing.T) {
	in := chattest.Run(t)
	alice := in.User("alice")
	_, err := alice.Invite(t.Context(), "nora")
	chattest.Code(t, err, chat.Unavailable)
	observer := brokertest.Observer(t, in.Server)
	stats := inquire[micro.Stats](t, observer, "$SRV.STATS.chatcoord")
	if stats.Type != micro.StatsResponseType || stats.Started.IsZero() {
		t.Errorf("%+v", stats)
	}
	i := slices.IndexFunc(stats.Endpoints, func(e *micro.EndpointStats) bool { return e.Name == "invite" })
	if i < 0 {
		t.Fatalf("no endpoint invite: %+v", stats)
	}
	e := stats.Endpoints[i]
	if e.NumRequests != 1 || e.NumErrors != 1 || !strings.HasPrefix(e.LastError, "unavailable:") || e.AverageProcessingTime < chat.RefusalDelay {
		t.Errorf("%+v", e)
	}
}

// Every replica answers for itself.
func TestMicroReplicas(t *testing.T) {
	in := chattest.Run(t)
	in.Start()
	observer := brokertest.Observer(t, in.Server)
	inbox := observer.NewRespInbox()
	sub, err := observer.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	if err := observer.PublishRequest("$SRV.PING", inbox, nil); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for range 2 {
		m, err := sub.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var p micro.Ping
		if err := json.Unmarshal(m.Data, &p); err != nil {
			t.Fatal(err)
		}
		ids[p.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("replicas: %v", ids)
	}
}

// An observer cannot have the coordinator speak into somebody's inbox.
func TestMicroSpeaksToObserversOnly(t *testing.T) {
	in := chattest.Run(t)
	alice := brokertest.User(t, in.Server, "alice")
	heard, err := alice.SubscribeSync(chat.Inbox("alice") + ".>")
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Flush(); err != nil {
		t.Fatal(err)
	}
	observer := brokertest.Observer(t, in.Server)
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		if err := observer.PublishRequest("$SRV."+verb, chat.Inbox("alice")+".x", nil); err != nil {
			t.Fatal(err)
		}
	}
	// What is asked later is answered later, so by now the others would have been answered.
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		inquire[map[string]any](t, observer, "$SRV."+verb)
	}
	if err := alice.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := heard.Pending(); n != 0 {
		t.Errorf("alice hears %d answers", n)
	}
	if got := in.Coord.Ignored(); got != 3 {
		t.Errorf("ignored: %d", got)
	}
}

// Figures are told to whoever keeps them, refusals in the lobby included, which
// nobody else can read.
func TestAnsweredIsTold(t *testing.T) {
	type answer struct{ route, outcome string }
	answers := make(chan answer, 64)
	in := chattest.Run(t, func(c *coord.Config) {
		c.Answered = func(route, outcome string, took time.Duration) {
			if took > 0 {
				answers <- answer{route, outcome}
			}
		}
	})
	in.User("alice")
	guest := in.Guest()
	_, err := guest.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Taken)
	want := map[answer]int{{"anyone-enter", "ok"}: 1, {"presence", "ok"}: 1, {"anyone-enter", "taken"}: 1}
	late := time.After(20 * time.Second)
	for len(want) > 0 {
		select {
		case a := <-answers:
			delete(want, a)
		case <-late:
			t.Fatalf("never told: %v", want)
		}
	}
	if in.Coord.Minted() == 0 || in.Coord.Steps().Committed == 0 || in.Coord.Steps().Revision == 0 {
		t.Errorf("minted %d, steps %+v", in.Coord.Minted(), in.Coord.Steps())
	}
	if online, lost := in.Coord.Online(); online != 1 || lost != 0 {
		t.Errorf("online %d, lost %d", online, lost)
	}
}

// A console with an observer's rights sees everything, and takes nothing from the
// coordinator's own.
func TestConsoleOfAnObserver(t *testing.T) {
	in := chattest.Run(t)
	shared, err := coord.Embed(in.Server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shared.Close)
	stopOwn := show(t, shared.Tap, console.Queue)
	stopFar := show(t, brokertest.Observer(t, in.Server).Conn, "")
	alice, bob := in.User("alice"), in.User("bob")
	s := chattest.Chat(alice, bob)
	if err := alice.Say("hello bob"); err != nil {
		t.Fatal(err)
	}
	for chattest.Wait[chattest.Text](bob).Text != "hello bob" {
	}
	own, far := stopOwn(), stopFar()
	for _, want := range []string{"alice registered (new)", "established: alice, bob", s.Short() + " alice: hello bob"} {
		if !strings.Contains(far, want) || !strings.Contains(own, want) {
			t.Errorf("no %q in\n%s\nor in\n%s", want, far, own)
		}
	}
}

// show runs a console; what it returns ends it and gives what it has shown.
func show(t *testing.T, nc *nats.Conn, queue string) (stop func() string) {
	t.Helper()
	var out bytes.Buffer
	c := console.New(console.Config{Out: &out})
	if err := c.Subscribe(nc, queue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- c.Serve(ctx) }()
	return func() string {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		return out.String()
	}
}
