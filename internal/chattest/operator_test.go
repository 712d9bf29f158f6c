package chattest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/presence/account"
	"natter/session"
)

// operate asks as the operator does.
func operate[Q, R any](t *testing.T, in *chattest.Installation, r chat.Request[Q, R], q Q) (R, error) {
	t.Helper()
	nc := brokertest.Operator(t, in.Server)
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return rpc.CallOnce(ctx, nc.Conn, r, chat.Address{}, q)
}

// stubborn is a connection that comes back for ever, and says when it is up and down.
type stubborn struct {
	*brokertest.Conn
	down, up chan struct{}
}

// clings makes a connection with a ticket that heeds nothing and nobody.
func clings(t *testing.T, in *chattest.Installation, ticket chat.Ticket, key loginKey, inbox string) *stubborn {
	t.Helper()
	s := &stubborn{down: make(chan struct{}, 1000), up: make(chan struct{}, 1000)}
	note := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	s.Conn = brokertest.Dial(t, in.Server, chat.Grant{}, inbox,
		nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, key.Sign), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { note(s.down) }),
		nats.ReconnectHandler(func(*nats.Conn) { note(s.up) }))
	return s
}

// isRefused waits until the server no longer accepts the ticket.
func (s *stubborn) isRefused(t *testing.T) {
	t.Helper()
	eventually(t, "the ticket is refused", func() bool {
		return slices.Contains(s.Refused(), nats.ErrAuthorization.Error())
	})
}

// soon fails unless something happens in the time in which who is banned must be gone.
func soon(t *testing.T, since time.Time, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Until(since.Add(2 * time.Second))):
		t.Errorf("not within 2 s: %s", what)
	}
}

// await waits for what comes for certain.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(timeout):
		t.Fatalf("waited in vain: %s", what)
	}
}

// TestBanInASession: whoever is banned is gone at once, whatever their client does.
func TestBanInASession(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	in.User("carol") // somebody who is not meant

	began := time.Now()
	reply := must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "Bob"}, Reason: " spam\x1b[2J. ", For: time.Hour}))(t)
	if len(reply.Users) != 1 || reply.Users[0] != "bob" || !reply.Until.IsZero() {
		t.Errorf("the operator reads %+v", reply)
	}
	if e := chattest.Wait[client.SignedOut](bob); e.Reason != "spam" {
		t.Errorf("bob reads %q", e.Reason)
	}
	if e := chattest.Wait[session.MemberLeft](alice); e.Name != "bob" || e.Reason != chat.ByOperator {
		t.Errorf("alice is told %+v", e)
	}
	if e := chattest.Wait[session.Ended](alice); e.Session.Reason != chat.ByOperator {
		t.Errorf("alice is told %+v", e)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if bob.Online() {
		t.Error("bob is still connected")
	}
	_, told := enter(t, in, "bob", newLogin(t))
	if told == nil || told.Code != chat.Reserved || told.Text != "The username bob cannot be taken." {
		t.Errorf("another key reads %v", told)
	}
	if alice.Online() != true {
		t.Error("alice is cut off, too")
	}
}

// TestBanOfOneWhoIgnoresIt: neither the user's nor the member's connection outlives it, and
// neither comes back.
func TestBanOfOneWhoIgnoresIt(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, key := in.User("alice"), newLogin(t)
	mallory := intrudeWith(t, in, "mallory", key)
	user := clings(t, in, mallory.ticket, key, chat.Inbox("mallory"))
	s := must(alice.Invite(t.Context(), "mallory"))(t)
	mallory.accepts(s.ID)
	chattest.Wait[session.Opened](alice)
	memberKey := newLogin(t)
	joined := must(ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: memberKey.public}))(t)
	member := clings(t, in, joined.Ticket, memberKey, chat.MemberInbox("mallory", joined.Channel))

	began := time.Now()
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Key: key.public}, Reason: "a\nb"}))(t)
	soon(t, began, "the user's connection is closed", user.down)
	soon(t, began, "the member's connection is closed", member.down)
	chattest.Wait[session.Ended](alice)
	for _, c := range []*stubborn{user, member} {
		c.isRefused(t)
		select {
		case <-c.up:
			t.Error("a connection came back")
		default:
		}
	}
	for _, name := range []string{"mallory", "Mallory2"} {
		if _, told := enter(t, in, name, key); told == nil || told.Code != chat.Banned || told.Text != "You are banned: a b." {
			t.Errorf("as %s mallory reads %v", name, told)
		}
	}
	if users := must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users; len(users) != 1 || users[0].Name != "alice" || users[0].Key == "" {
		t.Errorf("here are %+v", users)
	}
	must(operate(t, in, chat.AdminUnban, chat.UnbanRequest{Target: chat.Target{Key: key.public}}))(t)
	intrudeWith(t, in, "mallory", key)
}

// TestKickedMayComeAgain at once, with a ticket that is not void from the beginning.
func TestKickedMayComeAgain(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	key := newLogin(t)
	for range 3 {
		bob := intrudeWith(t, in, "bob", key)
		must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "BOB"}}))(t)
		eventually(t, "bob's connection is closed", func() bool { return !bob.IsConnected() })
		bob.Close()
	}
	_, err := operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "bob"}})
	code(t, "kick who is not here", err, chat.NothingToDo)
}

// TestGroupGoesOn without the one who was signed out.
func TestGroupGoesOn(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, bob, carol := in.User("alice"), in.User("bob"), in.User("carol")
	chattest.Chat(alice, bob, carol)
	must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "bob"}, Reason: "rude"}))(t)
	for _, u := range []*chattest.User{alice, carol} {
		if e := chattest.Wait[session.MemberLeft](u); e.Name != "bob" || e.Reason != chat.ByOperator {
			t.Errorf("%s is told %+v", u.Me(), e)
		}
	}
	converse(t, alice, carol, "without bob")
}

// TestBanSurvivesRestart of the server and of the coordinator, tickets and all.
func TestBanSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := chattest.RunIn(t, dir)
	key := newLogin(t)
	bob := intrudeWith(t, in, "bob", key)
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "bob"}, For: time.Hour}))(t)
	eventually(t, "bob's connection is closed", func() bool { return !bob.IsConnected() })
	bob.Close()
	in.Stop()

	srv := brokertest.RunConfig(t, embedded.Config{DataDir: dir})
	if _, err := nats.Connect(srv.URL(), nats.UserJWT(func() (string, error) { return bob.ticket.JWT, nil }, key.Sign)); err == nil {
		t.Error("before any coordinator runs, bob's ticket is good again")
	}
	srv.Stop()
	in = chattest.RunIn(t, dir)
	if _, told := enter(t, in, "bob", key); told == nil || told.Code != chat.Banned || !strings.HasPrefix(told.Text, "You are banned until 20") {
		t.Errorf("bob reads %v", told)
	}
	bans := must(operate(t, in, chat.AdminBans, chat.AdminRequest{}))(t).Bans
	if len(bans) != 1 || bans[0].Target.Name != "bob" || bans[0].Until.Sub(bans[0].At) != time.Hour {
		t.Errorf("the bans are %+v", bans)
	}
	must(operate(t, in, chat.AdminUnban, chat.UnbanRequest{Target: chat.Target{Name: "BOB"}}))(t)
	_, err := operate(t, in, chat.AdminUnban, chat.UnbanRequest{Target: chat.Target{Name: "bob"}})
	code(t, "unban twice", err, chat.NothingToDo)
	intrudeWith(t, in, "bob", key)
}

// TestBanEnds by itself.
func TestBanEnds(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "bob"}, For: 2 * time.Second}))(t)
	key := newLogin(t)
	if _, told := enter(t, in, "bob", key); told == nil {
		t.Fatal("bob is not banned")
	}
	eventually(t, "the end of the ban", func() bool {
		_, told := enter(t, in, "bob", key)
		return told == nil
	})
	if bans := must(operate(t, in, chat.AdminBans, chat.AdminRequest{}))(t).Bans; len(bans) != 0 {
		t.Errorf("left is %+v", bans)
	}
}

// TestBanOfANetwork keeps its users away, those with a ticket too, and not the operator.
func TestBanOfANetwork(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	key := newLogin(t)
	bob := intrudeWith(t, in, "bob", key)
	must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Network: "127.0.0.1"}}))(t)
	bob.Close()
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Network: "::ffff:127.0.0.0/104"}, Reason: "flood"}))(t)
	if _, told := enter(t, in, "carol", newLogin(t)); told == nil || told.Code != chat.Banned {
		t.Errorf("carol reads %v", told)
	}
	other := newLogin(t)
	kept, err := in.Server.Minter().Mint(other.public, chat.UserGrant("dave"), time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	holdout := clings(t, in, kept, other, chat.Inbox("dave"))
	await(t, "holdout down", holdout.down)
	holdout.isRefused(t)
	must(operate(t, in, chat.AdminUnban, chat.UnbanRequest{Target: chat.Target{Network: "127.0.0.0/8"}}))(t)
	intrudeWith(t, in, "bob", key)
}

// TestInheritance: who takes a name that was freed shares nothing with who had it.
func TestInheritance(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, key := in.User("alice"), newLogin(t)
	before := intrudeWith(t, in, "bob", key)
	former := clings(t, in, before.ticket, key, chat.Inbox("bob"))
	ears := map[string]*nats.Subscription{}
	for _, subject := range chat.UserGrant("bob").Subscribe {
		sub := must(former.SubscribeSync(subject))(t)
		ears[subject] = sub
	}
	if err := former.Flush(); err != nil {
		t.Fatal(err)
	}
	reply := must(operate(t, in, chat.AdminFree, chat.FreeRequest{Name: "Bob", Reason: "moved"}))(t)
	if time.Until(reply.Free) > 0 {
		t.Errorf("bob is free at %v only", reply.Free)
	}
	await(t, "former down", former.down)
	for subject, sub := range ears {
		for n, _, _ := sub.Pending(); n > 0; n-- {
			m := must(sub.NextMsg(time.Second))(t)
			if !strings.HasSuffix(m.Subject, ".server") {
				t.Errorf("on %s the former bob has got %s", subject, m.Subject)
			}
		}
	}

	keys := t.TempDir()
	heir := chattest.Dial(t, client.Config{URL: in.Server.URL(), KeyDir: keys}, "bob")
	if err := alice.Direct(t.Context(), "bob", "for the new one"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.DirectText](heir)
	chattest.Chat(alice, heir)
	former.isRefused(t)
	for subject, sub := range ears {
		if n, _, _ := sub.Pending(); n != 0 {
			t.Errorf("on %s the former bob has got %d messages of the new one's", subject, n)
		}
	}
	if _, told := enter(t, in, "BOB", key); told == nil {
		t.Error("the former bob is let in as the new one")
	}
}

// TestStolenTicket: without its key a ticket opens nothing.
func TestStolenTicket(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	bob := intrude(t, in, "bob")
	thief := newLogin(t)
	for what, sign := range map[string]nats.SignatureHandler{
		"another key":  thief.Sign,
		"no signature": func([]byte) ([]byte, error) { return nil, nil },
	} {
		nc, err := nats.Connect(in.Server.URL(), nats.UserJWT(func() (string, error) { return bob.ticket.JWT, nil }, sign))
		if err == nil {
			nc.Close()
			t.Errorf("bob's ticket is good with %s", what)
		}
	}
}

// TestTicketRevokedUnheard: a client that has not heard why its connection was cut asks in
// the lobby, and gives up if that refuses for good.
func TestTicketRevokedUnheard(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, bob := in.User("alice"), in.User("bob")
	void := map[string]time.Time{}
	for _, u := range must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users {
		void[u.Key] = time.Now()
	}
	store := must(account.OpenStore(t.Context(), brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox).Conn))(t)
	must(store.Update(t.Context(), "bob", func(r account.Record) (account.Record, error) {
		return account.Delete(r, "bob", time.Now(), time.Now())
	}))(t)
	if err := in.Server.Revoke(t.Context(), void, nil); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Connected](alice)
	if e := chattest.Wait[client.SignedOut](bob); !strings.HasPrefix(e.Reason, "That name was used before") {
		t.Errorf("bob reads %q", e.Reason)
	}
}

// TestDeletedName is nobody's, however it is written, until it is freed.
func TestDeletedName(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	bob := in.User("bob")
	must(operate(t, in, chat.AdminDelete, chat.DeleteRequest{Name: "bob"}))(t)
	chattest.Wait[client.SignedOut](bob)
	for name, want := range map[string]chat.Code{
		"bob": chat.Reserved, "BOB": chat.Reserved, "bOb": chat.Reserved,
		"b\u043eb": chat.Invalid, "bob\u200b": chat.Invalid, "ｂob": chat.Invalid, "bob ": chat.Invalid, "B\u00d6B": chat.Invalid,
	} {
		if _, told := enter(t, in, name, newLogin(t)); told == nil || told.Code != want {
			t.Errorf("%q: %v, want %s", name, told, want)
		}
	}
	must(operate(t, in, chat.AdminFree, chat.FreeRequest{Name: "BoB"}))(t)
	in.User("Bob")
	_, err := operate(t, in, chat.AdminFree, chat.FreeRequest{Name: "nora"})
	code(t, "free the name of nobody", err, chat.NothingToDo)
}

// TestWithoutRevocation: a name stays reserved as long as a ticket of its former owner is
// good, and a ban holds all the same.
func TestWithoutRevocation(t *testing.T) {
	t.Parallel()
	in := chattest.RunUnrevoking(t)
	key := newLogin(t)
	bob := intrudeWith(t, in, "bob", key)
	reply := must(operate(t, in, chat.AdminFree, chat.FreeRequest{Name: "bob"}))(t)
	if left := time.Until(reply.Free); left < chat.MemberTicketTTL-time.Minute {
		t.Errorf("bob is free in %v already", left)
	}
	for what, other := range map[string]loginKey{"another": newLogin(t), "the former owner": key} {
		if _, told := enter(t, in, "bob", other); told == nil || told.Text != "The username bob is not free yet." {
			t.Errorf("%s reads %v", what, told)
		}
	}
	bob.Close()
	back := clings(t, in, bob.ticket, key, chat.Inbox("bob")) // the ticket is good
	bob.Conn = back.Conn
	_, err := ask(bob, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "bob"})
	code(t, "hello with the former ticket", err, chat.ForeignKey)

	kick := must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Key: key.public}}))(t)
	if kick.Until.IsZero() {
		t.Errorf("the operator reads %+v", kick)
	}
	await(t, "back down", back.down)
	await(t, "back up", back.up)
	await(t, "back down", back.down) // thrown out again as often as it comes
}

// TestOtherReplicaFinishes: every replica knows of a ban, whichever was asked.
func TestOtherReplicaFinishes(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, func(c *coord.Config) { c.Shared = true })
	in.Start()
	for range 4 { // of two replicas
		key := newLogin(t)
		bob := intrudeWith(t, in, "bob", key)
		must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Key: key.public}}))(t)
		eventually(t, "bob's connection is closed", func() bool { return !bob.IsConnected() })
		bob.Close()
		for range 4 {
			if _, told := enter(t, in, "bob2", key); told == nil || told.Code != chat.Banned {
				t.Errorf("bob reads %v", told)
			}
		}
		must(operate(t, in, chat.AdminFree, chat.FreeRequest{Name: "bob"}))(t)
	}
}

// TestTicketToASessionThatWasNotUsed: who was signed out cannot use it afterwards.
func TestTicketToASessionThatWasNotUsed(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	alice, mallory := in.User("alice"), intrude(t, in, "mallory")
	s := must(alice.Invite(t.Context(), "mallory"))(t)
	mallory.accepts(s.ID)
	key := newLogin(t)
	joined := must(ask(mallory, chat.Join, chat.JoinRequest{Session: s.ID, Key: key.public}))(t)
	must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "mallory"}}))(t)
	member := clings(t, in, joined.Ticket, key, chat.MemberInbox("mallory", joined.Channel))
	await(t, "the connection is closed", member.down)
	member.isRefused(t)
}

// TestOthersRevoke what the replica that was asked could not.
func TestOthersRevoke(t *testing.T) {
	t.Parallel()
	in := chattest.RunUnrevoking(t, func(c *coord.Config) { c.Shared = true })
	bob := intrude(t, in, "bob")
	former := clings(t, in, bob.ticket, bob.key, chat.Inbox("bob"))
	reply := must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "bob"}}))(t)
	if reply.Until.IsZero() {
		t.Error("it was void at once")
	}
	await(t, "the connection is cut", former.down)
	await(t, "it comes back", former.up)
	in.Unrevoking = false
	in.Start()
	former.isRefused(t)

	dave := intrude(t, in, "dave")
	former = clings(t, in, dave.ticket, dave.key, chat.Inbox("dave"))
	must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "dave"}}))(t) // whichever is asked
	former.isRefused(t)
}

// TestKickIsSeen: who is signed out was here until then.
func TestKickIsSeen(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t)
	in.User("bob")
	nc := must(in.Server.Dial("store", chat.StoringGrant(), chat.StoreInbox))(t)
	defer nc.Close()
	store := must(account.OpenStore(t.Context(), nc))(t)
	must(store.Update(t.Context(), "bob", func(r account.Record) (account.Record, error) {
		r.LastLogin = r.LastLogin.Add(-2 * time.Hour)
		return r, nil
	}))(t)
	must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "bob"}}))(t)
	if r, _, err := store.Get(t.Context(), "bob"); err != nil || time.Since(r.LastLogin) > time.Hour {
		t.Errorf("the account says %v, %v", r.LastLogin, err)
	}
}
