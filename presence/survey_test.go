package presence_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/presence"
)

// TestSurveyIsWhole: all who are connected are found by a replica that starts later, and stay
// when others leave.
func TestSurveyIsWhole(t *testing.T) {
	srv := brokertest.Run(t)
	var early, late []*brokertest.Conn
	for i := range 150 {
		early = append(early, brokertest.User(t, srv, chat.User(fmt.Sprintf("early%d", i))))
	}
	for i := range 150 {
		late = append(late, brokertest.User(t, srv, chat.User(fmt.Sprintf("late%d", i))))
	}
	system, err := srv.DialSystem("test", chat.SystemGrant(srv.ChatAccount()), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(system.Close)
	var mu sync.Mutex
	gone := map[string]bool{}
	l, err := presence.NewLiveness(system, srv.ChatAccount(), func(key string) {
		mu.Lock()
		defer mu.Unlock()
		gone[key] = true
	}, func(presence.Link) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Survey(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(early, late...) {
		if !l.Connected(c.Key) {
			t.Fatal("a user who came before is not found")
		}
	}
	for _, c := range early {
		c.Close()
	}
	l.SurveyOwn(t.Context())
	mu.Lock()
	defer mu.Unlock()
	for _, c := range late {
		if gone[c.Key] || !l.Connected(c.Key) {
			t.Fatal("a user who is here is taken for gone")
		}
	}
}

// TestSurveyWaitsForAServerThatIsSlow: one that everybody is connected to is not passed over,
// or taken for dead, because its machine has much to do.
func TestSurveyWaitsForAServerThatIsSlow(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	slow, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Close)
	answer := func(subject string, wait time.Duration, text string) {
		t.Helper()
		_, err := slow.Subscribe(subject, func(m *nats.Msg) {
			time.AfterFunc(wait, func() { _ = m.Respond([]byte(text)) })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	answer("$SYS.REQ.SERVER.PING.IDZ", 700*time.Millisecond, `{"id":"`+srv.ID()+`"}`)
	answer("$SYS.REQ.SERVER."+srv.ID()+".CONNZ", 0, `{"data":{"connections":[]}}`)
	if err := slow.Flush(); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l, err := presence.NewLiveness(nc, "A", func(string) {}, func(presence.Link) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Survey(t.Context()); err != nil {
		t.Errorf("the survey: %v", err)
	}
}
