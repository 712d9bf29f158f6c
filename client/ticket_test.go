package client_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/presence/account"
	"natter/session"
)

// regular has been here before, and the program has ended a moment ago: the first ticket of a new
// name is too short to be kept.
func regular(t *testing.T, in *chattest.Installation, name string) client.Config {
	t.Helper()
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Name: name, Log: in.Config.Log}
	if err := chattest.Dial(t, cfg, name).Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends(t, in, chattest.Dial(t, cfg, name).Client)
	return cfg
}

// ends has a client's program end: the user is lost.
func ends(t *testing.T, in *chattest.Installation, c *client.Client) {
	t.Helper()
	actions := heard(t, in, "chat.audit.action")
	c.Close()
	for {
		m, err := actions.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m.Data, []byte(`"user.lost"`)) {
			return
		}
	}
}

func dial(t *testing.T, cfg client.Config, atOnce bool) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if c.AtOnce() != atOnce {
		t.Fatalf("without the lobby: %v", c.AtOnce())
	}
	return c
}

func TestAKeptTicketNeedsNoLobby(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	file := filepath.Join(cfg.KeyDir, "alice.ticket")
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("the ticket is kept as %v, %v", info, err)
	}
	c := dial(t, cfg, true)
	w, err := c.Enter(t.Context(), "Alice")
	if err != nil || !w.Returning || w.Name != "Alice" {
		t.Fatalf("%+v, %v", w, err)
	}
	if err := c.SetPresence(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	chattest.Chat(&chattest.User{Client: c, T: t}, in.User("bob"))
}

func TestAKeptTicketIsForOneName(t *testing.T) {
	in := chattest.Run(t)
	c := dial(t, regular(t, in, "alice"), true)
	if w, err := c.Enter(t.Context(), "carol"); err != nil || w.Name != "carol" {
		t.Fatalf("%+v, %v", w, err)
	}
	in.User("alice2") // and nobody is left at the other name's connection
}

// What the server or the coordinator does not want is replaced in the lobby.
func TestAKeptTicketThatIsNoGood(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string){
		"refused": func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			end := bytes.LastIndexByte(data, '.') + 1 // the signature comes behind the last dot
			for i := range 8 {
				data[end+i] = 'A'
			}
			write(t, file, data)
		},
		"not a ticket": func(t *testing.T, file string) { write(t, file, []byte("{}")) },
		"torn":         func(t *testing.T, file string) { write(t, file, nil) },
		"gone": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := chattest.Run(t)
			cfg := regular(t, in, "alice")
			spoil(t, filepath.Join(cfg.KeyDir, "alice.ticket"))
			c := dial(t, cfg, false)
			if w, err := c.Enter(t.Context(), "alice"); err != nil || !w.Returning {
				t.Fatalf("%+v, %v", w, err)
			}
			ends(t, in, c)
			dial(t, cfg, true) // the new ticket has taken its place
		})
	}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A ticket does not bring a name back that is another key's by now. The coordinator makes
// no ticket that outlives its owner's right to the name, so here it is the record of the
// last login that is changed.
func TestAKeptTicketForANameThatIsTaken(t *testing.T) {
	in := chattest.RunUnrevoking(t)
	cfg := regular(t, in, "alice")
	file := filepath.Join(cfg.KeyDir, "alice.ticket")
	ticket, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := chattest.Dial(t, cfg, "alice").Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a ticket that was given back is kept: %v", err)
	}
	write(t, file, ticket)
	lapse(t, in, "alice")
	other := in.User("alice")
	c := dial(t, cfg, true)
	_, err = c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Taken)
	if w, err := c.Enter(t.Context(), "alice2"); err != nil || w.Name != "alice2" {
		t.Fatalf("another name: %+v, %v", w, err)
	}
	stillTalks(t, in, other)
}

// lapse has a name not been used for long.
func lapse(t *testing.T, in *chattest.Installation, u chat.User) {
	t.Helper()
	store := accounts(t, in)
	_, err := store.Update(t.Context(), u, func(r account.Record) (account.Record, error) {
		r.LastLogin = r.LastLogin.Add(-2 * chat.NameTTL)
		return r, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nor does it let somebody in twice.
func TestAKeptTicketOfSomebodyWhoIsHere(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	first := chattest.Dial(t, cfg, "alice")
	c := dial(t, cfg, true)
	_, err := c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.SignedIn)
	stillTalks(t, in, first)
}

func stillTalks(t *testing.T, in *chattest.Installation, u *chattest.User) {
	t.Helper()
	bob := in.User("bob")
	chattest.Chat(bob, u)
	if err := u.Quit(context.Background()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](bob)
}
