package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/keyfile"
	"natter/presence/account"
)

// rotate changes the key of a regular and returns where the former one is kept.
func rotate(t *testing.T, cfg client.Config) string {
	t.Helper()
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	backup, err := c.Rotate(t.Context(), cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	return backup
}

// returns lets a regular in by the lobby, as the account's owner.
func returns(t *testing.T, cfg client.Config) {
	t.Helper()
	name := cfg.Name
	cfg.Name = "" // no kept ticket
	c := dial(t, cfg, false)
	w, err := c.Enter(t.Context(), name)
	if err != nil || !w.Returning {
		t.Fatalf("%+v, %v", w, err)
	}
	if err := c.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// refused has the lobby turn a key down.
func refused(t *testing.T, in *chattest.Installation, path, name string) {
	t.Helper()
	c := dial(t, client.Config{URL: in.Server.URL(), KeyFile: path, Log: in.Config.Log}, false)
	_, err := c.Enter(t.Context(), name)
	chattest.Code(t, err, chat.Taken)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, data)
}

func TestRotate(t *testing.T) {
	for name, passphrase := range map[string]string{"open": "", "protected": "correct horse"} {
		t.Run(name, func(t *testing.T) {
			in := chattest.Run(t)
			cfg := protected(t, in, "alice", passphrase)
			cfg.Passphrase = passphrase
			before := read(t, keyOf(cfg), passphrase)
			stolen := client.Config{URL: cfg.URL, KeyDir: t.TempDir(), Name: "alice", Passphrase: passphrase, Log: cfg.Log}
			copyFile(t, keyOf(cfg), keyOf(stolen))
			copyFile(t, filepath.Join(cfg.KeyDir, "alice.ticket"), filepath.Join(stolen.KeyDir, "alice.ticket"))

			backup := rotate(t, cfg)
			after := read(t, keyOf(cfg), passphrase)
			if after.PublicLogin() == before.PublicLogin() || after.PublicIdentity() != before.PublicIdentity() || after.Next != nil || after.Passphrase != passphrase {
				t.Fatalf("%+v became %+v", before.Key, after.Key)
			}
			if b := read(t, backup, passphrase); b.PublicLogin() != before.PublicLogin() || b.Next != nil {
				t.Fatalf("kept is %+v", b.Key)
			}
			ticket := filepath.Join(t.TempDir(), "alice.ticket")
			copyFile(t, filepath.Join(stolen.KeyDir, "alice.ticket"), ticket)
			for { // who changed the key had to hear the answer first
				copyFile(t, ticket, filepath.Join(stolen.KeyDir, "alice.ticket"))
				c, err := client.Dial(t.Context(), stolen)
				if err != nil {
					t.Fatal(err)
				}
				late := c.AtOnce()
				c.Close()
				if !late {
					break
				}
			}
			_, err := dial(t, stolen, false).Enter(t.Context(), "alice")
			chattest.Code(t, err, chat.Taken)
			if w, err := dial(t, cfg, true).Enter(t.Context(), "alice"); err != nil || !w.Returning {
				t.Fatalf("with the new ticket: %+v, %v", w, err)
			}
		})
	}
}

// Who is here with the old key goes on with the new one: the chat, too.
func TestRotateOfSomebodyWhoIsHere(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	alice, bob := chattest.Dial(t, cfg, "alice"), in.User("bob")
	chattest.Chat(alice, bob)
	notices := heard(t, in, "chat.user.alice.server")
	rotate(t, cfg)
	m, err := notices.NextMsg(20 * time.Second)
	if err != nil || !strings.Contains(string(m.Data), `"signed_out":{"by":`) {
		t.Fatalf("the other terminal is told %v, %v", m, err)
	}
	alice.Close()
	c := dial(t, cfg, true)
	if w, err := c.Enter(t.Context(), "alice"); err != nil || w.Presence != chat.Visible {
		t.Fatalf("%+v, %v", w, err)
	}
	chattest.Wait[chattest.Text](func() *chattest.User {
		if err := bob.Say("still here?"); err != nil {
			t.Fatal(err)
		}
		return &chattest.User{Client: c, T: t}
	}())
}

// keeps reports whether there is a ticket of the key that the file has.
func keeps(t *testing.T, cfg client.Config) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cfg.KeyDir, "alice.ticket"))
	return err == nil && strings.Contains(string(text), read(t, keyOf(cfg), "").PublicLogin())
}

// heard is what an observer hears.
func heard(t *testing.T, in *chattest.Installation, subject string) *nats.Subscription {
	t.Helper()
	nc, err := in.Server.Dial("observer", chat.ObserverGrant("_INBOX.O"), "_INBOX.O")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(subject)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// A crash at any step is recovered from: the file has both keys until it is known which
// one the server has.
func TestRotateAfterACrash(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, cfg client.Config){
		"before the server hears of it": func(t *testing.T, cfg client.Config) { prepare(t, cfg) },
		"before its answer is written": func(t *testing.T, cfg client.Config) {
			prepare(t, cfg)
			prepared := filepath.Join(t.TempDir(), "prepared")
			copyFile(t, keyOf(cfg), prepared)
			copyFile(t, filepath.Join(cfg.KeyDir, "alice.ticket"), prepared+".ticket")
			rotate(t, cfg)
			copyFile(t, prepared, keyOf(cfg))
			copyFile(t, prepared+".ticket", filepath.Join(cfg.KeyDir, "alice.ticket"))
		},
		"after it is written": func(t *testing.T, cfg client.Config) { rotate(t, cfg) },
	} {
		for then, do := range map[string]func(t *testing.T, cfg client.Config){
			"enter by the lobby": returns,
			"enter with the kept ticket, if there is one": func(t *testing.T, cfg client.Config) {
				c := dial(t, cfg, keeps(t, cfg))
				if w, err := c.Enter(t.Context(), "alice"); err != nil || !w.Returning {
					t.Fatalf("%+v, %v", w, err)
				}
				if err := c.Exit(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			"rotate again": func(t *testing.T, cfg client.Config) { rotate(t, cfg) },
			"rotate again by the lobby": func(t *testing.T, cfg client.Config) {
				_ = os.Remove(filepath.Join(cfg.KeyDir, "alice.ticket"))
				rotate(t, cfg)
			},
		} {
			t.Run(name+", "+then, func(t *testing.T) {
				in := chattest.Run(t)
				cfg := regular(t, in, "alice")
				crash(t, cfg)
				do(t, cfg)
				returns(t, cfg)
				backup := rotate(t, cfg)
				returns(t, cfg)
				refused(t, in, backup, "alice")
				if read(t, keyOf(cfg), "").Next != nil {
					t.Error("a key is left over")
				}
			})
		}
	}
}

// prepare does the first step of a change of keys, and no more.
func prepare(t *testing.T, cfg client.Config) {
	t.Helper()
	_, err := keyfile.Change(t.Context(), keyOf(cfg), "", func(f *keyfile.File) (err error) {
		f.Next, err = nkeys.CreateUser()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The server changes a key only for who has the present one.
func TestRotateIsSigned(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	login := read(t, keyOf(cfg), "").Login
	before := accountOf(t, in, "alice")
	next, _ := nkeys.CreateUser()
	public, _ := next.PublicKey()
	sign := func(k nkeys.KeyPair, text []byte) []byte {
		s, err := k.Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	c := dial(t, cfg, true)
	for name, q := range map[string]chat.RotateRequest{
		"by nobody":        {Key: public},
		"by the new key":   {Key: public, Signature: sign(next, chat.RotationText("alice", public))},
		"for another name": {Key: public, Signature: sign(login, chat.RotationText("bob", public))},
		"for another key":  {Key: public, Signature: sign(login, chat.RotationText("alice", before.Key))},
		"as a bare text":   {Key: public, Signature: sign(login, []byte(public))},
		"the same key":     {Key: before.Key, Signature: sign(login, chat.RotationText("alice", before.Key))},
		"no key":           {Key: "U", Signature: sign(login, chat.RotationText("alice", "U"))},
	} {
		err := c.AskRotate(t.Context(), q)
		var told *chat.Error
		if !errors.As(err, &told) || told.Code != chat.Denied && told.Code != chat.Arguments {
			t.Errorf("signed %s: %v", name, err)
		}
	}
	if after := accountOf(t, in, "alice"); after.Key != before.Key || after.Rotation != nil {
		t.Fatalf("%+v", after)
	}
	good := chat.RotateRequest{Key: public, Signature: sign(login, chat.RotationText("alice", public))}
	var twice sync.WaitGroup
	for range 2 { // an answer that was lost is asked for again
		twice.Go(func() {
			if err := c.AskRotate(t.Context(), good); err != nil {
				t.Error(err)
			}
		})
	}
	twice.Wait()
	after := accountOf(t, in, "alice")
	if after.Key != public || after.Rotation == nil || after.Rotation.From != before.Key {
		t.Fatalf("%+v", after)
	}
	if old, err := nkeys.FromPublicKey(before.Key); err != nil || old.Verify(chat.RotationText("alice", public), after.Rotation.Signature) != nil {
		t.Error("the proof that is kept is none")
	}
}

// accounts opens the store of accounts, until the test ends.
func accounts(t *testing.T, in *chattest.Installation) *account.Store {
	t.Helper()
	nc, err := in.Server.Dial("store", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	store, err := account.OpenStore(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func accountOf(t *testing.T, in *chattest.Installation, u chat.User) account.Record {
	t.Helper()
	store := accounts(t, in)
	r, _, err := store.Get(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
