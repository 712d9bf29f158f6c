package chattest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/presence/account"
	"natter/session"
)

// rotation is a change of an intruder's key, signed as it must be.
func rotation(t *testing.T, u chat.User, from, to loginKey) chat.RotateRequest {
	t.Helper()
	return chat.RotateRequest{Key: to.public, Signature: must(from.Sign(chat.RotationText(u, to.public)))(t)}
}

// store is the accounts as a coordinator has them.
func store(t *testing.T, in *chattest.Installation) *account.Store {
	t.Helper()
	return must(account.OpenStore(t.Context(), brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox).Conn))(t)
}

// TestManyChangesOfAKey: each costs the servers something, so there is an end to them, and who
// is at it can be signed out like anybody else.
func TestManyChangesOfAKey(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	key := newLogin(t)
	m := intrudeWith(t, in, "mallory", key)
	for range account.MostRotations {
		next := newLogin(t)
		ticket := must(ask(m, chat.Rotate, rotation(t, "mallory", key, next)))(t)
		key = next
		m.Conn = holder(t, in, ticket, key, chat.Inbox("mallory"))
	}
	_, err := ask(m, chat.Rotate, rotation(t, "mallory", key, newLogin(t)))
	code(t, "one change too many", err, chat.Denied)
	cut := m.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "mallory"}}))(t)
	select {
	case <-cut:
	case <-time.After(timeout):
		t.Error("the last key's connection is open")
	}
}

// TestBannedCannotChangeTheKey: nobody gets away from a ban in the moment before it holds.
func TestBannedCannotChangeTheKey(t *testing.T) {
	t.Parallel()
	in := chattest.RunUnrevoking(t, quiet)
	key := newLogin(t)
	m := intrudeWith(t, in, "mallory", key)
	back := clings(t, in, m.ticket, key, chat.Inbox("mallory"))
	m.Conn = back.Conn
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Key: key.public}}))(t)
	for range 5 {
		await(t, "the ticket is good, so the connection comes back", back.up)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		q := must(json.Marshal(rotation(t, "mallory", key, newLogin(t))))(t)
		_, _ = back.RequestWithContext(ctx, chat.Rotate.Subject(chat.Address{User: "mallory"}), q) // it is cut, or reads why
		cancel()
	}
	if r, _, err := store(t, in).Get(t.Context(), "mallory"); err != nil || r.Key != key.public {
		t.Errorf("%v; the account has another key than the banned one: %+v", err, r.Rotation)
	}
}

// TestFormerKeyHearsNoMore: whoever has a copy of a key was able to hear the chats that are
// open. When the owner has changed it they are not, with none of their tickets.
func TestFormerKeyHearsNoMore(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	bob, key, next := in.User("bob"), newLogin(t), newLogin(t)
	alice := intrudeWith(t, in, "alice", key)
	s := must(bob.Invite(t.Context(), "alice"))(t)
	alice.accepts(s.ID)
	chattest.Wait[session.Opened](bob)
	thief, channel := alice.joins(s.ID)
	heard := must(thief.SubscribeSync("chat.session." + channel + ".msg.*"))(t)
	if err := thief.Flush(); err != nil {
		t.Fatal(err)
	}
	ticket := must(ask(alice, chat.Rotate, rotation(t, "alice", key, next)))(t)
	alice.Conn = holder(t, in, ticket, next, chat.Inbox("alice"))
	must(ask(alice, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "alice"}))(t)
	eventually(t, "the chat goes on elsewhere", func() bool {
		all := must(operate(t, in, chat.AdminSessions, chat.AdminRequest{}))(t).Sessions
		return len(all) == 1 && all[0].Channel() != channel
	})
	eventually(t, "bob is there", func() bool { s, ok := bob.Chat(); return ok && s.Channel() != channel })
	if err := bob.Say("for alice alone"); err != nil {
		t.Fatal(err)
	}
	own, _ := alice.joins(s.ID)
	_ = own.Flush()
	if n, _, _ := heard.Pending(); n != 0 {
		t.Errorf("the thief hears %d messages", n)
	}
}

// TestFormerKeyIsNobody: where tickets cannot be void, the former key's one opens a connection,
// and is not its owner's.
func TestFormerKeyIsNobody(t *testing.T) {
	t.Parallel()
	in := chattest.RunUnrevoking(t, quiet)
	key, next := newLogin(t), newLogin(t)
	alice := intrudeWith(t, in, "alice", key)
	must(ask(alice, chat.Rotate, rotation(t, "alice", key, next)))(t)
	eventually(t, "the connection is cut", func() bool { return !alice.IsConnected() })
	alice.Close()
	alice.Conn = holder(t, in, alice.ticket, key, chat.Inbox("alice"))
	told := alice.raw(chat.Hello.Route, nil, must(json.Marshal(chat.HelloRequest{Proto: chat.Proto, Name: "alice"}))(t))
	if told == nil || told.Code != chat.Timeout {
		t.Errorf("the former key's hello: %v", told)
	}
	for _, u := range must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users {
		if !u.Lost {
			t.Errorf("%s counts as here", u.Name)
		}
	}
}

// TestChangeOfAKeyIsFinished by whoever its owner asks next, if the coordinator has ended
// behind the first step of it.
func TestChangeOfAKeyIsFinished(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	key, next := newLogin(t), newLogin(t)
	alice := intrudeWith(t, in, "alice", key)
	former := clings(t, in, alice.ticket, key, chat.Inbox("alice"))
	must(store(t, in).Update(t.Context(), "alice", func(r account.Record) (account.Record, error) {
		return account.Rotate(r, next.public, rotation(t, "alice", key, next).Signature, time.Now())
	}))(t)
	intrudeWith(t, in, "alice", next)
	await(t, "the former key's connection is cut", former.down)
	former.isRefused(t)
}

// TestAPassIsForOneName: its key may try many, and have tickets for many at once, but not take
// them, for itself or for others.
func TestAPassIsForOneName(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet, invitedOnly)
	link, key := pass(t, in, chat.PassRequest{}), newLogin(t)
	conns := map[chat.User]*intruder{}
	for _, u := range []chat.User{"ann", "ben", "cat"} {
		ticket, told := enterWith(t, in, key, chat.EnterRequest{Name: string(u), Pass: chat.ShowPass(link, key.public)})
		if told != nil {
			t.Fatalf("%s: %v", u, told)
		}
		conns[u] = &intruder{t: t, in: in, user: u, key: key, ticket: ticket, Conn: holder(t, in, ticket, key, chat.Inbox(u))}
	}
	must(ask(conns["ben"], chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "ben"}))(t)
	for _, u := range []chat.User{"ann", "cat"} {
		_, err := ask(conns[u], chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: chat.Name(u)})
		code(t, string(u), err, chat.Denied)
	}
	if _, told := enterWith(t, in, key, chat.EnterRequest{Name: "ann", Hello: &chat.EnterHello{Terminal: theirs}, Pass: chat.ShowPass(link, key.public)}); told == nil || told.Code != chat.Denied {
		t.Errorf("another one in the lobby: %v", told)
	}
	if _, told := enterWith(t, in, key, chat.EnterRequest{Name: "dan", Hello: &chat.EnterHello{Terminal: "t"}, Pass: chat.ShowPass(link, key.public)}); told == nil || told.Code != chat.Denied {
		t.Errorf("one more: %v", told)
	}
	if _, told := enterWith(t, in, key, chat.EnterRequest{Name: "ben", Hello: &chat.EnterHello{Terminal: "t"}, Takeover: true}); told != nil {
		t.Errorf("who was invited comes again: %v", told)
	}
}

// TestBanOfAReservedName is none of the key that somebody has reserved it for and not
// taken.
func TestBanOfAReservedName(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	key := newLogin(t)
	alice := intrudeWith(t, in, "alice", key)
	if _, told := enterWith(t, in, key, chat.EnterRequest{Name: "villain"}); told != nil {
		t.Fatal(told)
	}
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "villain"}}))(t)
	if _, told := enterWith(t, in, key, chat.EnterRequest{Name: "alice", Hello: &chat.EnterHello{Terminal: "t"}, Takeover: true}); told != nil {
		t.Errorf("alice: %v", told)
	}
	if !alice.IsConnected() {
		t.Error("alice is cut off")
	}
}

// TestOfficeBehindOneAddress: a server restarts, and so many come back from there at once.
func TestOfficeBehindOneAddress(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, limited)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if _, told := enter(t, in, "u"+strings.ToLower(newLogin(t).public[1:10]), newLogin(t)); told != nil {
					t.Error(told)
				}
			}
		})
	}
	all.Wait()
	if n := in.Coord.Refused()["lobby"]; n != 0 {
		t.Errorf("%d were slowed down", n)
	}
}

// refusals counts how often a client notes that its ticket is not accepted.
type refusals struct {
	slog.Handler
	seen chan struct{}
}

func (r refusals) Handle(_ context.Context, l slog.Record) error {
	l.Attrs(func(a slog.Attr) bool {
		if l.Message == "connection" && a.Key == "err" && strings.Contains(a.Value.String(), "uthorization") {
			r.seen <- struct{}{}
		}
		return true
	})
	return nil
}

func (r refusals) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r refusals) Enabled(context.Context, slog.Level) bool { return true }

// TestTicketOverWhileTheCoordinatorIsAway: the client comes back by itself, and asks the
// coordinator that is back once, not as often as the server has refused it.
func TestTicketOverWhileTheCoordinatorIsAway(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	r := refusals{slog.DiscardHandler, make(chan struct{}, 1<<10)}
	alice := chattest.Dial(t, client.Config{URL: in.Server.URL(), Log: slog.New(r)}, "alice")
	void := map[string]time.Time{}
	for _, u := range must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users {
		void[u.Key] = time.Now()
	}
	in.StopCoordinator()
	if err := in.Server.Revoke(t.Context(), void, nil); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		await(t, "a refusal by the server", r.seen)
	}
	in.Start()
	chattest.Wait[client.Connected](alice)
	if n := in.Coord.Minted(); n > 3 {
		t.Errorf("%d tickets were asked for", n)
	}
}

// TestAPassIsNotHeard by observers, who hear what is asked in the lobby.
func TestAPassIsNotHeard(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet, invitedOnly)
	heard := listenTo(t, in)
	link := pass(t, in, chat.PassRequest{Uses: 9})
	heard.heard(t) // the operator's own answer has it
	if _, err := guest(t, in, "", link).Enter(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, m := range heard.heard(t) {
		if strings.Contains(string(m.Data), link) {
			t.Errorf("the pass on %s", m.Subject)
		}
		var q chat.EnterRequest
		if m.Subject == chat.Enter.Subject(chat.Address{}) && json.Unmarshal(m.Data, &q) == nil {
			shown = q.Pass
		}
	}
	if _, told := enterWith(t, in, newLogin(t), chat.EnterRequest{Name: "mallory", Pass: shown}); shown == "" || told == nil || told.Code != chat.Denied {
		t.Errorf("%q is good for another one: %v", shown, told)
	}
}

// TestManyBans do not make it slow to look whom they mean, and there are answers to all of
// the operator's questions.
func TestManyBans(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	alice := in.User("alice")
	const n = 1500
	reason := strings.Repeat("<", account.MaxReason) // which JSON writes as \u003c
	var all sync.WaitGroup
	operator := brokertest.Operator(t, in.Server)
	for part := range 10 {
		all.Go(func() {
			for i := range n / 10 {
				q := chat.BanRequest{Target: chat.Target{Network: fmt.Sprintf("10.%d.%d.0/24", part, i)}, Reason: reason}
				if _, err := rpc.CallOnce(t.Context(), operator.Conn, chat.AdminBan, chat.Address{}, q); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "mallory"}}))(t)
	var words []string
	for q, more := (chat.AdminRequest{}), true; more; {
		reply := must(operate(t, in, chat.AdminBans, q))(t)
		for _, b := range reply.Bans {
			words = append(words, account.Word(b.Target))
		}
		q.After, more = words[len(words)-1], reply.More
	}
	if !slices.IsSorted(words) || len(slices.Compact(words)) != n+1 {
		t.Errorf("%d bans are listed", len(words))
	}
	if !alice.Online() {
		t.Error("alice is thrown out")
	}
}
