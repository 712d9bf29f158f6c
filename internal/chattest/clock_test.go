package chattest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
	"natter/internal/chattest"
	"natter/presence/account"
)

const (
	aDay  = 24 * time.Hour
	month = 31 * aDay
)

// keeping is an installation on which no coordinator runs, and a way to its records.
func keeping(t *testing.T) (*chattest.Installation, jetstream.JetStream) {
	t.Helper()
	in := chattest.RunIn(t, t.TempDir())
	in.StopCoordinator()
	nc := must(in.Server.Dial("storing", chat.StoringGrant(), chat.StoreInbox))(t)
	t.Cleanup(nc.Close)
	return in, must(jetstream.New(nc))(t)
}

// keep puts a record in the place of the one that there is.
func keep(t *testing.T, js jetstream.JetStream, kindAndKey string, record any) {
	t.Helper()
	must(js.Publish(t.Context(), chat.StateRoot+"."+kindAndKey, must(json.Marshal(record))(t)))(t)
}

// stored reads an account.
func stored(t *testing.T, js jetstream.JetStream, u chat.User) (r account.Record) {
	t.Helper()
	data, _, err := broker.Last(t.Context(), js.Conn(), broker.AccountsStream, chat.StateRoot+".account."+string(u))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// saysOfClock waits until the audit log has said something of the clock.
func saysOfClock(t *testing.T, js jetstream.JetStream, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cons := must(js.OrderedConsumer(ctx, broker.AuditStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"chat.audit.error"}}))(t)
	msgs := must(cons.Messages())(t)
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatalf("nothing is said of %q: %v", what, err)
		}
		if strings.Contains(string(m.Data()), "clock: ") && strings.Contains(string(m.Data()), what) {
			return
		}
	}
}

// TestStartFarAhead: the data are a month old by the clock of a start. Nobody loses a name, and
// no ban ends, before the operator says that the clock is right, and for a day after that.
func TestStartFarAhead(t *testing.T) {
	t.Parallel()
	in, js := keeping(t)
	now := time.Now()
	alice, banned, invited := newLogin(t), newLogin(t), chat.PassID("pass")
	ago := now.Add(-month)
	keep(t, js, "account.alice", account.Record{Name: "alice", Key: alice.public, Created: ago, LastLogin: ago})
	keep(t, js, "ban.key-"+banned.public, account.Ban{Ban: chat.Ban{Target: chat.Target{Key: banned.public}, At: ago, Until: now.Add(-aDay)}})
	keep(t, js, "pass."+invited, account.Pass{Uses: 1, Made: ago, Until: now.Add(-account.PassKept - time.Hour)})
	keep(t, js, "clock.newest", account.Known{Newest: ago})
	holds := func(when string) {
		t.Helper()
		if _, told := enter(t, in, "alice", newLogin(t)); told == nil {
			t.Errorf("%s, a stranger gets the name", when)
		}
		if _, told := enter(t, in, "mallory", banned); told == nil || told.Code != chat.Banned {
			t.Errorf("%s, who is banned is told %v", when, told)
		}
		if data, _, err := broker.Last(t.Context(), js.Conn(), broker.LiveStream, chat.StateRoot+".pass."+invited); err != nil || strings.Contains(string(data), "gone") {
			t.Errorf("%s, the pass is %s, %v", when, data, err)
		}
		if reply := must(operate(t, in, chat.AdminBans, chat.AdminRequest{}))(t); len(reply.Bans) != 1 {
			t.Errorf("%s, there are %d bans", when, len(reply.Bans))
		}
	}
	in.Start()
	saysOfClock(t, js, "--clock-ok")
	holds("after the start")
	in.StopCoordinator()
	in.Start()
	holds("after another start")
	in.StopCoordinator()

	in.Config.ClockOK = true
	in.Start()
	saysOfClock(t, js, "says that it is right")
	holds("on the day that the operator says so")
	in.StopCoordinator()
	in.Config.ClockOK = false
	in.Start()
	holds("after another start on that day")
	if _, told := enterWith(t, in, alice, chat.EnterRequest{Name: "alice"}); told != nil {
		t.Errorf("the owner is told %v", told)
	}
	in.StopCoordinator()

	keep(t, js, "clock.newest", account.Known{Newest: now}) // the day is over
	in.Start()
	if _, told := enter(t, in, "alice", newLogin(t)); told != nil {
		t.Errorf("nobody gets the name: %v", told)
	}
	eventually(t, "the ban ends", func() bool {
		return len(must(operate(t, in, chat.AdminBans, chat.AdminRequest{}))(t).Bans) == 0
	})
}

// TestStartFarBehind: the data are of a time that is still to come by the clock of a start. What
// is done meanwhile is not lost when the clock is set right.
func TestStartFarBehind(t *testing.T) {
	t.Parallel()
	in, js := keeping(t)
	alice, future := newLogin(t), time.Now().Add(month)
	keep(t, js, "account.alice", account.Record{Name: "alice", Key: alice.public, Created: future, LastLogin: future})
	keep(t, js, "clock.newest", account.Known{Newest: future})
	in.Start()
	saysOfClock(t, js, "earlier than the newest time")
	intrudeWith(t, in, "Alice", alice)
	intrude(t, in, "bob")
	for _, u := range []chat.User{"alice", "bob"} {
		if r := stored(t, js, u); r.LastLogin.Before(future) {
			t.Errorf("%s was here last at %s, says the account", u, r.LastLogin)
		}
	}
	must(operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Name: "carol"}, For: time.Hour}))(t)
	bans := must(operate(t, in, chat.AdminBans, chat.AdminRequest{}))(t).Bans
	if len(bans) != 1 || bans[0].Until.Before(future.Add(59*time.Minute)) {
		t.Errorf("banned: %+v", bans)
	}
	in.StopCoordinator()
	in.Config.ClockOK = true // the data were wrong, not the clock
	in.Start()
	in.StopCoordinator()
	in.Config.ClockOK = false
	in.Start()
	intrude(t, in, "dave")
	if r := stored(t, js, "dave"); r.LastLogin.After(time.Now()) {
		t.Errorf("dave was here last at %s, says the account", r.LastLogin)
	}
}

// TestNewestTimeLost: without a record of it, the newest time is that of the accounts.
func TestNewestTimeLost(t *testing.T) {
	t.Parallel()
	in, js := keeping(t)
	ago := time.Now().Add(-month)
	keep(t, js, "account.alice", account.Record{Name: "alice", Key: newLogin(t).public, Created: ago, LastLogin: ago})
	live := must(js.Stream(t.Context(), broker.LiveStream))(t)
	if err := live.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.Start()
	saysOfClock(t, js, "later than the newest time")
	if _, told := enter(t, in, "alice", newLogin(t)); told == nil {
		t.Error("a stranger gets the name")
	}
}
