package chattest_test

import (
	"os"
	"path/filepath"
	"testing"

	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
)

// TestBesideATerminal: programs that do one thing come in beside the user's terminal, at
// most four at once. The terminal does not notice, and nobody sees one who has none open.
func TestBesideATerminal(t *testing.T) {
	in := chattest.Run(t)
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
	alice, bob := chattest.Dial(t, cfg, "alice"), in.User("bob")
	side := func(listen bool) (*client.Client, error) {
		c, err := client.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		_, err = c.EnterBeside(t.Context(), "alice", listen)
		return c, err
	}
	ears, err := side(true)
	if err != nil {
		t.Fatal(err)
	}
	var sides []*client.Client
	for range chat.MaxSides - 1 {
		c, err := side(false)
		if err != nil {
			t.Fatal(err)
		}
		sides = append(sides, c)
	}
	eventually(t, "there is room for no more", func() bool { c, err := side(false); c.Close(); return err != nil })
	if err := sides[0].Direct(t.Context(), "bob", "from beside"); err != nil {
		t.Fatal(err)
	}
	if got := chattest.Wait[client.DirectText](bob); got.From != "alice" {
		t.Errorf("bob reads %+v", got)
	}
	if users, err := sides[0].List(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("the list: %v, %v", users, err)
	}
	if err := bob.Direct(t.Context(), "alice", "hello"); err != nil {
		t.Fatal(err)
	}
	for _, u := range []*chattest.User{alice, {Client: ears, T: t}} {
		if got := chattest.Wait[client.DirectText](u); got.Text != "hello" {
			t.Errorf("alice reads %+v", got)
		}
	}
	chattest.Chat(alice, bob)
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := alice.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if users, err := bob.List(t.Context()); err != nil || len(users) != 0 {
		t.Errorf("bob sees %v, %v", users, err)
	}
	if users, err := sides[0].List(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("the list without a terminal: %v, %v", users, err)
	}
	if err := bob.Direct(t.Context(), "alice", "psst"); err == nil {
		t.Error("alice was reached")
	}
}

// TestBesideNobody: only a name that is the key's already has a side.
func TestBesideNobody(t *testing.T) {
	in := chattest.Run(t)
	in.User("alice")
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
	chattest.Dial(t, cfg, "bob")
	for _, name := range []string{"alice", "alcie"} {
		c, err := client.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.EnterBeside(t.Context(), name, false)
		chattest.Code(t, err, chat.NotRegistered)
		c.Close()
	}
	key := newLogin(t)
	other := newLogin(t)
	for name, code := range map[string]chat.Code{"alice": chat.Taken, "alcie": chat.NotRegistered} {
		if _, told := enterWith(t, in, key, chat.EnterRequest{Name: name, Side: other.public}); told == nil || told.Code != code {
			t.Errorf("%s: %+v", name, told)
		}
	}
}

// Whoever hides is answered by those to whom a program beside their terminal writes, and by
// nobody else.
func TestAnswerToWhatWasSentBeside(t *testing.T) {
	in := chattest.Run(t)
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
	alice, bob, carol := chattest.Dial(t, cfg, "alice"), in.User("bob"), in.User("carol")
	if err := alice.SetPresence(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	side, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(side.Close)
	if _, err := side.EnterBeside(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	if err := side.Direct(t.Context(), "Bob", "from beside"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.DirectText](bob)
	if err := bob.Direct(t.Context(), "alice", "hello"); err != nil {
		t.Errorf("bob answers: %v", err)
	}
	if got := chattest.Wait[client.DirectText](alice); got.From != "bob" || got.Text != "hello" {
		t.Errorf("alice reads %+v", got)
	}
	chattest.Code(t, carol.Direct(t.Context(), "alice", "hello"), chat.Unavailable)
	// Nobody else can say to whom alice writes.
	mallory := brokertest.User(t, in.Server, "mallory")
	for _, to := range []chat.User{"alice", "mallory"} {
		if err := rpc.Tell(mallory.Conn, chat.Direct, chat.Address{To: to, User: "mallory"}, chat.DirectMessage{Incarnation: "x", Wrote: "carol"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := mallory.Flush(); err != nil {
		t.Fatal(err)
	}
	chattest.Code(t, carol.Direct(t.Context(), "alice", "hello"), chat.Unavailable)
}

// A client that takes known names only does not take one that is free, with whatever key: the
// coordinator sees to it.
func TestKnownNamesOnly(t *testing.T) {
	in := chattest.Run(t, quiet)
	key := newLogin(t)
	hello := &chat.EnterHello{Terminal: theirs}
	if _, told := enterWith(t, in, key, chat.EnterRequest{Name: "alice", Known: true, Hello: hello}); told == nil || told.Code != chat.NotRegistered {
		t.Errorf("a name that is free: %v", told)
	}
	if acc, _, err := store(t, in).Get(t.Context(), "alice"); err != nil || acc.Key != "" {
		t.Errorf("and yet there is %+v, %v", acc, err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "seed")
	seed := must(key.Seed())(t)
	if err := os.WriteFile(file, seed, 0o600); err != nil { // a key that does not say whose it is
		t.Fatal(err)
	}
	come := func(name string, known bool) error {
		c, err := client.Dial(t.Context(), client.Config{URL: in.Server.URL(), KeyDir: dir, KeyFile: file, Known: known})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err = c.Enter(t.Context(), name); err == nil {
			err = c.Exit(t.Context())
		}
		return err
	}
	chattest.Code(t, come("alcie", true), chat.NotRegistered)
	if err := come("alice", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the name is alice's", func() bool {
		acc, _, err := store(t, in).Get(t.Context(), "alice")
		return err == nil && acc.Taken()
	})
	if err := come("alice", true); err != nil {
		t.Errorf("a name that is known: %v", err)
	}
}
