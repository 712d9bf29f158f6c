package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a server with a coordinator's connection, two members and a console.
type stage struct {
	coordinator, tap *brokertest.Conn
	alice, bob       *brokertest.Conn
	out              bytes.Buffer // to be read after stop
	cancel           context.CancelFunc
	served           chan error
}

func raise(t *testing.T, cfg Config) *stage {
	t.Helper()
	srv := brokertest.Run(t)
	s := &stage{
		coordinator: brokertest.Dial(t, srv, chat.StoringGrant(), chat.StoreInbox),
		tap:         brokertest.Dial(t, srv, chat.TappingGrant(), "_IN.console"),
		alice:       brokertest.Member(t, srv, "alice", sid),
		bob:         brokertest.Member(t, srv, "bob", sid),
		served:      make(chan error, 1),
	}
	cfg.Out, cfg.Location = &s.out, time.UTC
	cfg.Now = func() time.Time { return time.Time{} }
	c := New(cfg)
	if err := c.Subscribe(s.tap.Conn, Queue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() { s.served <- c.Serve(ctx) }()
	return s
}

// stop lets the console show what it has and returns it.
func (s *stage) stop(t *testing.T) string {
	t.Helper()
	s.cancel()
	if err := <-s.served; err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(s.out.String(), "00:00:00.000 ", "")
}

func (s *stage) act(t *testing.T, r chat.Notice[chat.Audit], event, text string) {
	t.Helper()
	a := chat.Audit{Kind: r.Kind, Event: event, Text: text, Session: sid, Channel: sid, Users: []chat.Name{"Alice", "bob"}}
	if err := rpc.Tell(s.coordinator.Conn, r, chat.Address{}, a); err != nil {
		t.Fatal(err)
	}
	flush(t, s.coordinator)
}

func (s *stage) say(t *testing.T, c *brokertest.Conn, u chat.User, n uint64, text string) {
	t.Helper()
	if err := c.Publish(chat.Said.Subject(chat.Address{User: u, Session: sid}), frame(n, text)); err != nil {
		t.Fatal(err)
	}
	flush(t, c)
}

func flush(t *testing.T, c *brokertest.Conn) {
	t.Helper()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Requests, actions and messages come out in the order in which the broker got
// them, whoever sent them, and what was sent before the stop is shown.
func TestOrderAcrossConnections(t *testing.T) {
	s := raise(t, Config{})
	s.act(t, chat.AuditAction, "session.start", "session 7f3a9c established: Alice, bob (transparent)")
	s.say(t, s.alice, "alice", 1, "hello")
	s.say(t, s.bob, "bob", 1, "hi\nthere")
	s.say(t, s.alice, "alice", 1, "hello")
	s.act(t, chat.AuditRequest, "session.end", "Alice ends session 7f3a9c (Quit)")
	s.say(t, s.bob, "bob", 2, "wait")
	s.act(t, chat.AuditAction, "session.end", "session 7f3a9c ended: quit by Alice, 1.0 s")
	want := `ACTION   session 7f3a9c established: Alice, bob (transparent)
MESSAGE  7f3a9c Alice: hello
MESSAGE  7f3a9c bob: hi
MESSAGE  7f3a9c bob: there
REQUEST  Alice ends session 7f3a9c (Quit)
MESSAGE  7f3a9c bob: wait
ACTION   session 7f3a9c ended: quit by Alice, 1.0 s, 3 messages
`
	if got := s.stop(t); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestJSONLines(t *testing.T) {
	s := raise(t, Config{JSON: true})
	s.say(t, s.bob, "bob", 1, "a\x1b[2Jb")
	var line struct{ Kind, Event, Session, From, Text, Level, Time string }
	if err := json.Unmarshal([]byte(s.stop(t)), &line); err != nil {
		t.Fatal(err)
	}
	line.Time = ""
	if want := (struct{ Kind, Event, Session, From, Text, Level, Time string }{"message", "message", "7f3a9c", "bob", "a\x1b[2Jb", "INFO", ""}); line != want {
		t.Errorf("got %+v", line)
	}
}

// What the client library drops because the console is slow is counted too. A console that shares
// the lines counts what it was to show.
func TestDroppedByTheClient(t *testing.T) {
	for _, shared := range []bool{false, true} {
		srv := brokertest.Run(t)
		coordinator := brokertest.Dial(t, srv, chat.StoringGrant(), chat.StoreInbox)
		tap := brokertest.Dial(t, srv, chat.TappingGrant(), "_IN.console")
		var out bytes.Buffer
		c := New(Config{Out: &out, Shared: shared})
		c.arrived = make(chan *nats.Msg, 5)
		if err := c.Subscribe(tap.Conn, Queue); err != nil {
			t.Fatal(err)
		}
		for n := range 12 {
			if err := rpc.Tell(coordinator.Conn, chat.AuditAction, chat.Address{}, chat.Audit{Text: fmt.Sprint("x", n)}); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, coordinator)
		flush(t, tap) // everything has arrived: five wait, the others were dropped
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Serve(ctx); err != nil {
			t.Fatal(err)
		}
		lost := 7
		if shared {
			lost = 10 // each message came twice
		}
		said := fmt.Sprintf("console is behind: %d messages of the broker not read, so lines may be missing", lost)
		if got := strings.Count(out.String(), "ACTION   x"); got != 12-lost || !strings.Contains(out.String(), said) || c.Dropped() != uint64(lost) {
			t.Errorf("shared: %t, got\n%s", shared, out.String())
		}
	}
}

// A console without the right to listen says so instead of showing nothing.
func TestNotPermitted(t *testing.T) {
	srv := brokertest.Run(t)
	nc := brokertest.User(t, srv, "alice")
	if err := New(Config{}).Run(t.Context(), nc.Conn, Queue); err == nil || !strings.Contains(err.Error(), "ermission") {
		t.Errorf("got %v", err)
	}
}

// A connection that is closed under the console is not waited for.
func TestConnectionClosed(t *testing.T) {
	s := raise(t, Config{})
	s.tap.Close()
	if err := <-s.served; err == nil {
		t.Error("no error")
	}
	s.cancel()
}
