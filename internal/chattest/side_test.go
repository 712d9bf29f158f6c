package chattest_test

import (
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/client"
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
