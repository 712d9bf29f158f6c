package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
)

// mostGrown is how much the heap of this process may grow by what a hostile coordinator sends,
// in bytes. The server's is in it, and what is on the way; chatcli ends itself when its own has 96 MB.
const mostGrown = 150 << 20

// hostile is a coordinator that lets everybody in, and then answers and tells what it likes.
type hostile struct {
	t   *testing.T
	srv *embedded.Server
	nc  *nats.Conn

	answers sync.Map // from a kind of request to a func(m *nats.Msg)
	asked   atomic.Int64
	mute    atomic.Bool // says nothing but a ticket in the lobby
}

// answering has requests of a kind answered by a function.
func (h *hostile) answering(kind string, answer func(m *nats.Msg)) { h.answers.Store(kind, answer) }

func beHostile(t *testing.T) *hostile {
	t.Helper()
	srv := brokertest.Run(t)
	nc, err := srv.Dial("hostile", chat.Grant{Publish: []string{">"}, Subscribe: []string{">"}}, "_IN.coordinator")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	h := &hostile{t: t, srv: srv, nc: nc}
	for subject, take := range map[string]nats.MsgHandler{
		chat.Enter.Subject(chat.Address{}): h.enter,
		"chat.coord.*.*": func(m *nats.Msg) {
			h.asked.Add(1)
			kind := strings.Split(m.Subject, ".")[2]
			if answer, ok := h.answers.Load(kind); ok {
				answer.(func(*nats.Msg))(m)
				return
			}
			h.answer(m, chat.Done{})
		},
	} {
		if _, err := nc.Subscribe(subject, take); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hostile) answer(m *nats.Msg, reply any) {
	data, err := json.Marshal(reply)
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		h.t.Error(err)
	}
}

// enter lets somebody in.
func (h *hostile) enter(m *nats.Msg) {
	var q chat.EnterRequest
	if err := json.Unmarshal(m.Data, &q); err != nil {
		h.t.Error(err)
		return
	}
	u := chat.Name(q.Name).User()
	key, grant := q.Key, chat.UserGrant(u)
	if q.Side != "" {
		key, grant = q.Side, chat.SideGrant(u)
	}
	ticket, err := h.srv.Minter().Mint(key, grant, time.Hour, time.Now())
	if err != nil {
		h.t.Error(err)
		return
	}
	hello := &chat.HelloReply{
		Returning: true, Revision: 1, Installation: "i", Came: 1, Now: time.Now(), Presence: chat.Visible,
		Rules: chat.Rules{MaxText: chat.MaxText, Grace: time.Minute, InviteTimeout: time.Minute, MaxGroup: chat.MaxGroup},
	}
	if h.mute.Load() {
		hello = nil
	}
	reply, err := json.Marshal(chat.EnterReply{Ticket: ticket, Hello: hello})
	if err != nil {
		h.t.Error(err)
		return
	}
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		h.t.Error(err)
		return
	}
	from, _ := seal.PublicKey()
	box, err := seal.Seal(reply, q.Seal)
	if err != nil {
		h.t.Error(err)
		return
	}
	h.answer(m, chat.Sealed{From: from, Box: box})
}

// user is alice, who reads no events.
func (h *hostile) user() *chattest.User {
	h.t.Helper()
	c := dial(h.t, client.Config{URL: h.srv.URL()}, false)
	if _, err := c.Enter(h.t.Context(), "alice"); err != nil {
		h.t.Fatal(err)
	}
	return &chattest.User{Client: c, T: h.t}
}

// sends sends a notice many times, as fast as the client takes them.
func (h *hostile) sends(kind string, times int, data func(n int) []byte) {
	h.t.Helper()
	const atOnce = 1 << 20 // what is under way takes memory of this process, too
	for n, sent := 0, 0; n < times; n++ {
		one := data(n)
		if err := h.nc.Publish("chat.user.alice."+kind, one); err != nil {
			h.t.Fatal(err)
		}
		if sent += len(one); sent > atOnce {
			sent = 0
			if err := h.nc.Flush(); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	if err := h.nc.Flush(); err != nil {
		h.t.Fatal(err)
	}
}

// live is how many bytes of the heap are in use.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func sessionOf(n int, members string) []byte {
	return fmt.Appendf(nil, `{"session":{"id":"%032x","state":"proposed","host":"bob","members":[%s{"name":"bob"},{"name":"alice"}]},"revision":%d,"installation":"i"}`, n, members, n+2)
}

// TestAHostileCoordinator sends what no coordinator does, after everything was in order at the
// beginning.
func TestAHostileCoordinator(t *testing.T) {
	const mega = 1 << 20
	many := func(thing string, bytesOf int) []byte { return bytes.Repeat([]byte(thing+","), bytesOf/(len(thing)+1)) }
	for what, do := range map[string]func(h *hostile, alice *chattest.User){
		"invitations without end": func(h *hostile, _ *chattest.User) {
			h.sends("session", 200_000, func(n int) []byte { return sessionOf(n, "") })
		},
		"invitations of thousands": func(h *hostile, _ *chattest.User) {
			crowd := string(many(`{"name":"m"}`, mega/2))
			h.sends("session", 400, func(n int) []byte { return sessionOf(n, crowd) })
		},
		"sessions of nobody": func(h *hostile, _ *chattest.User) {
			crowd := string(many(`{}`, mega-1024))
			h.sends("session", 200, func(n int) []byte { return sessionOf(n, crowd) })
		},
		"presence": func(h *hostile, _ *chattest.User) {
			data := append(append([]byte(`{"changed":[`), many(`{}`, mega-1024)...), `{}],"revision":2}`...)
			h.sends("presence", 200, func(int) []byte { return data })
			h.sends("presence", 200_000, func(n int) []byte { return fmt.Appendf(nil, `{"gone":["u%d"],"revision":2}`, n) })
		},
		"events": func(h *hostile, _ *chattest.User) {
			h.sends("held", 300_000, func(int) []byte { return []byte(`{"invitations":1}`) })
			h.sends("server", 300_000, func(int) []byte { return []byte(`{"stopping":true}`) })
		},
		"not JSON": func(h *hostile, _ *chattest.User) {
			deep := bytes.Repeat([]byte(`[`), mega-1024)
			for _, kind := range []string{"session", "presence", "held", "server", "unheard-of"} {
				h.sends(kind, 50, func(int) []byte { return deep })
			}
		},
		"lists": func(h *hostile, alice *chattest.User) {
			for _, entry := range []string{`{}`, `0`, `""`, `{"with":["",""]}`} {
				data := append(append([]byte(`{"users":[`), many(entry, mega-1024)...), entry+`],"revision":2}`...)
				h.answering("list", func(m *nats.Msg) { _ = m.Respond(data) })
				for range 10 {
					if users, err := alice.List(t.Context()); err == nil {
						t.Errorf("%d users are taken", len(users))
					}
				}
			}
		},
		"mailbox": func(h *hostile, alice *chattest.User) {
			text := strings.Repeat("x", 8<<10)
			h.answering("fetch", func(m *nats.Msg) {
				var q chat.FetchRequest
				_ = json.Unmarshal(m.Data, &q)
				h.answer(m, chat.FetchReply{Left: 1})
				for n := q.Have + 1; n <= q.Have+500; n++ {
					data, _ := json.Marshal(chat.StoredMessages{Messages: []chat.Message{{N: n, Text: text}}})
					_ = h.nc.PublishMsg(&nats.Msg{Subject: q.Inbox, Data: data, Header: nats.Header{"Nats-Subject": {"natter.state.mailbox.s.alice.bob"}, "Nats-Sequence": {fmt.Sprint(n)}}})
				}
				_ = h.nc.PublishMsg(&nats.Msg{Subject: q.Inbox, Header: nats.Header{"Status": {"204"}}})
			})
			h.answering("join", func(m *nats.Msg) {
				var q chat.JoinRequest
				_ = json.Unmarshal(m.Data, &q)
				ticket, _ := h.srv.Minter().Mint(q.Key, chat.MemberGrant("alice", q.Session), time.Hour, time.Now())
				h.answer(m, chat.JoinReply{Ticket: ticket, Channel: q.Session, Incarnation: 1})
			})
			h.sends("session", 1, func(int) []byte { return bytes.Replace(sessionOf(1, ""), []byte("proposed"), []byte("open"), 1) })
			for late, begun := time.After(5*time.Second), h.asked.Load(); ; {
				select {
				case <-late:
					if h.asked.Load() == begun {
						t.Error("nothing was asked for")
					}
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		},
		"open chats": func(h *hostile, alice *chattest.User) {
			var sessions []string
			for n := range 1000 {
				sessions = append(sessions, fmt.Sprintf(`{"id":"%032x","state":"open","host":"bob","members":[{"name":"bob"},{"name":"alice"}]}`, n))
			}
			hello := fmt.Appendf(nil, `{"returning":true,"revision":9,"came":9,"installation":"j","sessions":[%s]}`, strings.Join(sessions, ","))
			h.answering("hello", func(m *nats.Msg) { _ = m.Respond(hello) })
			before := runtime.NumGoroutine()
			h.sends("server", 20, func(int) []byte { return []byte(`{"unknown":true}`) })
			_ = alice.SetPresence(t.Context(), false)
			<-time.After(2 * time.Second)
			if n := runtime.NumGoroutine() - before; n > 500 {
				t.Errorf("%d more goroutines", n)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := beHostile(t)
			alice := h.user()
			h.t = t
			before := live()
			var top atomic.Int64
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for tick := time.NewTicker(100 * time.Millisecond); ; {
					select {
					case <-tick.C:
						if now := live() - before; now > top.Load() {
							top.Store(now)
						}
					case <-stop:
						tick.Stop()
						return
					}
				}
			}()
			do(h, alice)
			close(stop)
			<-stopped
			grown := max(top.Load(), live()-before)
			t.Logf("the heap has grown by %d MB", grown>>20)
			if grown > mostGrown {
				t.Errorf("the heap has grown by %d MB", grown>>20)
			}
		})
	}
}

// TestBesideWithoutAHello: a ticket without the answer to a hello lets nobody in beside their
// terminals.
func TestBesideWithoutAHello(t *testing.T) {
	h := beHostile(t)
	cfg := client.Config{URL: h.srv.URL(), KeyDir: t.TempDir()}
	if _, err := dial(t, cfg, false).Enter(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	h.mute.Store(true)
	_, err := dial(t, cfg, false).EnterBeside(t.Context(), "alice", false)
	chattest.Code(t, err, chat.Internal)
}
