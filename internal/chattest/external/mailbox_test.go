package external_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/setup"
	"natter/session"
)

// leader is the server that leads a stream.
func (in *installation) leader(stream string) *process {
	in.t.Helper()
	nc, err := in.keys().Dial(in.urls, setup.Store)
	if err != nil {
		in.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		in.t.Fatal(err)
	}
	s, err := js.Stream(in.t.Context(), stream)
	if err != nil {
		in.t.Fatal(err)
	}
	name := s.CachedInfo().Cluster.Leader
	for i, conf := range in.confs() {
		if text, err := os.ReadFile(conf); err == nil && strings.Contains(string(text), `server_name: "`+name+`"`) {
			return in.servers[i]
		}
	}
	in.t.Fatalf("no server is called %q", name)
	return nil
}

// TestStoredThroughTheLossOfALeader kills the server that leads the stream of the mailboxes,
// with messages in it and more on the way: all are stored, and who was away hears them.
func TestStoredThroughTheLossOfALeader(t *testing.T) { // not beside others: three servers at once are enough
	in := plan(t, 3).run()
	in.coordinator("--grace", "90s")
	in.coordinator("--grace", "90s")
	cfg := client.Config{URL: in.urls, KeyDir: t.TempDir(), Sent: true}
	alice, bob, carol := chattest.Dial(t, cfg, "alice"), chattest.Dial(t, cfg, "bob"), chattest.Dial(t, cfg, "carol")
	chattest.Chat(alice, bob, carol)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	stored := func(n uint64) {
		for e := chattest.Wait[client.Sent](bob); e.N < n || e.State != session.Stored; {
			e = chattest.Wait[client.Sent](bob)
		}
	}
	say := func(from, to int) {
		for i := from; i < to; i++ {
			if err := bob.Say(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(0, 20)
	stored(20)
	leader := in.leader(broker.MailboxesStream)
	say(20, 40)
	leader.kill()
	stored(40)
	if err := insist(func() error { return bob.Leave(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := insist(func() error { _, err := c.Enter(t.Context(), "alice"); return err }); err != nil {
		t.Fatal(err)
	}
	alice = &chattest.User{Client: c, T: t}
	for i := range 40 {
		if e := chattest.Wait[chattest.Text](alice); e.Text != fmt.Sprint(i) || e.From != chat.Name("bob") {
			t.Fatalf("alice hears %q from %s, want %d", e.Text, e.From, i)
		}
	}
	says(t, carol, alice, "bob has left")
	says(t, alice, carol, "I heard")
}
