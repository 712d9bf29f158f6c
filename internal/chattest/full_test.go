package chattest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/presence/account"
	"natter/session"
)

// A stream at its limit refuses who is new, at once and with a reason; what is there can
// still change.
func TestStreamsAtTheirLimit(t *testing.T) {
	for _, stream := range []string{broker.AccountsStream, broker.LiveStream} {
		for limit, lower := range map[string]func(*jetstream.StreamConfig, jetstream.StreamState){
			"messages": func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxMsgs = int64(s.Msgs) },
			"bytes":    func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxBytes = int64(s.Bytes) },
		} {
			t.Run(stream+" "+limit, func(t *testing.T) {
				in := chattest.Run(t)
				alice, bob := in.User("alice"), in.User("bob")
				if stream == broker.AccountsStream {
					chattest.Chat(alice, bob)
				}
				limitStream(t, in, stream, lower)
				carol, err := client.Dial(t.Context(), client.Config{URL: in.Server.URL()})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(carol.Close)
				begun := time.Now()
				_, err = carol.Enter(t.Context(), "carol")
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("answered after %s", took)
				}
				chattest.Code(t, err, chat.Full)
				if want := map[string]string{broker.AccountsStream: noNames, broker.LiveStream: broker.ErrAtLimit.Text}[stream]; err.Error() != want {
					t.Errorf("carol is told %q", err)
				}
				if err := alice.SetPresence(t.Context(), false); err != nil && stream == broker.LiveStream && limit == "messages" {
					t.Errorf("alice hides: %v", err)
				}
				if stream == broker.AccountsStream {
					if err := alice.Say("hello"); err != nil {
						t.Error(err)
					}
					chattest.Wait[chattest.Text](bob)
					if err := alice.Quit(t.Context()); err != nil {
						t.Error(err)
					}
					chattest.Wait[session.Ended](bob)
				}
			})
		}
	}
}

const noNames = "No new username can be taken: the server has no room for another account. Users who have one can come in. Try again later, or ask the server's operator to make room."

// Where ACCOUNTS is at its limit, who asks for a new name is told so, and so is the operator. When
// there is room again, because a name was freed or the limit was raised, names can be taken, and
// the operator is told that, too.
func TestFullAccountsRecover(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet)
	alice, bob := newLogin(t), newLogin(t)
	for name, key := range map[string]loginKey{"alice": alice, "bob": bob} {
		if _, told := enter(t, in, name, key); told != nil {
			t.Fatal(told)
		}
		must(store(t, in).Update(t.Context(), chat.User(name), func(r account.Record) (account.Record, error) {
			return account.Login(r, r.Name, time.Now())
		}))(t)
	}
	x := examine(t, in)
	audit := func(text string) int { return strings.Count(x.stream(broker.AuditStream), text) }
	told := func(full bool, lines int) {
		t.Helper()
		const line, again = "store: ACCOUNTS is at its limit: new usernames are refused. Free names that nobody needs (chatcoord free NAME), or raise the limit (", "ACCOUNTS has room again: "
		eventually(t, "the console says so", func() bool { return audit(line) == lines && (full || audit(again) == lines) })
		if s := in.Coord.AtLimit(); (len(s) == 1 && strings.HasPrefix(s[0], "ACCOUNTS is at its limit")) != full {
			t.Errorf("/readyz says %q", s)
		}
		if s := in.Coord.Streams()[broker.AccountsStream]; s.Full != full {
			t.Errorf("the figure is of %+v", s)
		}
		if err := in.Coord.Health(); err != nil {
			t.Errorf("users who have a name can come, and yet: %v", err)
		}
	}
	refused := func() {
		t.Helper()
		if _, e := enter(t, in, "carol", newLogin(t)); e == nil || e.Code != chat.Full || e.Text != noNames {
			t.Errorf("carol is told %v", e)
		}
		for name, key := range map[string]loginKey{"alice": alice, "carol": bob} {
			if _, e := enterWith(t, in, key, chat.EnterRequest{Name: name}); (e == nil) != (name == "alice") {
				t.Errorf("%s, whose key is known: %v", name, e)
			}
		}
	}
	taken := func(name string) {
		t.Helper()
		if _, e := enter(t, in, name, newLogin(t)); e != nil {
			t.Errorf("%s, when there is room: %v", name, e)
		}
	}

	limitStream(t, in, broker.AccountsStream, func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxMsgs = int64(s.Msgs) })
	refused()
	told(true, 1)
	if _, err := rpc.Call(t.Context(), brokertest.Operator(t, in.Server).Conn, chat.AdminFree, chat.Address{}, chat.FreeRequest{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	var revision uint64
	eventually(t, "the freed name has left", func() bool { // but for its tombstone, which goes after a minute
		r, at, err := store(t, in).Get(t.Context(), "bob")
		revision = at
		return err == nil && at > 0 && r.Name == ""
	})
	if err := store(t, in).Purge(t.Context(), "bob", revision); err != nil {
		t.Fatal(err)
	}
	told(false, 1)
	taken("carol")

	told(true, 2)
	limitStream(t, in, broker.AccountsStream, func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxMsgs, c.MaxBytes = 1000, int64(s.Bytes) })
	if _, e := enter(t, in, "dora", newLogin(t)); e == nil || e.Text != noNames {
		t.Errorf("dora is told %v", e)
	}
	limitStream(t, in, broker.AccountsStream, func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxBytes = 1 << 20 })
	told(false, 2)
	taken("dora")
}

func limitStream(t *testing.T, in *chattest.Installation, stream string, lower func(*jetstream.StreamConfig, jetstream.StreamState)) {
	t.Helper()
	links, err := coord.Embed(in.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer links.Close()
	js, err := jetstream.New(links.Store)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	lower(&cfg, s.CachedInfo().State)
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}
