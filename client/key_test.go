package client_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/keyfile"
)

// protected is a regular whose key has a passphrase.
func protected(t *testing.T, in *chattest.Installation, name, passphrase string) client.Config {
	t.Helper()
	cfg := regular(t, in, name)
	_, err := keyfile.Change(t.Context(), keyOf(cfg), "", func(f *keyfile.File) error { f.Passphrase = passphrase; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func keyOf(cfg client.Config) string { return filepath.Join(cfg.KeyDir, cfg.Name+".key") }

func read(t *testing.T, path, passphrase string) *keyfile.File {
	t.Helper()
	f, err := keyfile.Read(path, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAProtectedKeyIsUnlocked(t *testing.T) {
	in := chattest.Run(t)
	c := dial(t, protected(t, in, "alice", "correct horse"), false)
	_, err := c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Auth)
	for _, wrong := range []string{"", "x"} {
		chattest.Code(t, c.Unlock("alice", wrong), chat.Auth)
	}
	_, err = c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Auth)
	if err := c.Unlock("alice", "correct horse"); err != nil {
		t.Fatal(err)
	}
	if w, err := c.Enter(t.Context(), "alice"); err != nil || !w.Returning {
		t.Fatalf("%+v, %v", w, err)
	}
}

func TestAProtectedKeyWithItsPassphrase(t *testing.T) {
	in := chattest.Run(t)
	cfg := protected(t, in, "alice", "correct horse")
	cfg.Passphrase = "correct horse"
	c := dial(t, cfg, true)
	if w, err := c.Enter(t.Context(), "alice"); err != nil || !w.Returning {
		t.Fatalf("%+v, %v", w, err)
	}
	cfg.Passphrase = "x"
	c = dial(t, cfg, false)
	_, err := c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Denied)
}

// The seed of a login key, as files were, goes on as a key with an identity.
func TestABareSeedBecomesAKey(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	before := read(t, keyOf(cfg), "")
	seed, err := before.Login.Seed()
	if err != nil {
		t.Fatal(err)
	}
	write(t, keyOf(cfg), seed)
	for range 2 {
		c := dial(t, cfg, true)
		if w, err := c.Enter(t.Context(), "alice"); err != nil || !w.Returning {
			t.Fatalf("%+v, %v", w, err)
		}
		ends(t, in, c)
		after := read(t, keyOf(cfg), "")
		if after.PublicLogin() != before.PublicLogin() || after.Name != "alice" || after.PublicIdentity() == "" {
			t.Fatalf("%+v", after.Key)
		}
	}
}

// A key that is somebody's is not used for another name.
func TestAKeyIsOfOneName(t *testing.T) {
	in := chattest.Run(t)
	cfg := regular(t, in, "alice")
	cfg.KeyFile, cfg.Name = keyOf(cfg), ""
	c := dial(t, cfg, false)
	_, err := c.Enter(t.Context(), "bob")
	chattest.Code(t, err, chat.Denied)
	if w, err := c.Enter(t.Context(), "alice"); err != nil || !w.Returning {
		t.Fatalf("%+v, %v", w, err)
	}
}

// Several runs with one new name and one home: somebody gets it, and the key in the file
// is the one that it belongs to.
func TestSeveralMakeOneKey(t *testing.T) {
	in := chattest.Run(t)
	for i := range 10 {
		name := fmt.Sprint("alice", i)
		cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
		entered := make(chan *client.Client, 4)
		var wg sync.WaitGroup
		for range cap(entered) {
			c := dial(t, cfg, false)
			wg.Go(func() {
				_, err := c.Enter(t.Context(), name)
				if err == nil {
					entered <- c
				} else if !errors.Is(err, &chat.Error{Code: chat.Taken}) && !errors.Is(err, &chat.Error{Code: chat.SignedIn}) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(entered)
		if len(entered) == 0 {
			t.Fatal("nobody is in")
		}
		for c := range entered {
			_ = c.Exit(t.Context()) // the name is gone with the first
		}
		if w, err := dial(t, cfg, false).Enter(t.Context(), name); err != nil || !w.Returning {
			t.Fatalf("%+v, %v", w, err)
		}
	}
}

func TestAKeyIsNotMadeForANameThatIsTaken(t *testing.T) {
	in := chattest.Run(t)
	in.User("alice")
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
	c := dial(t, cfg, false)
	_, err := c.Enter(t.Context(), "alice")
	chattest.Code(t, err, chat.Taken)
	if left, err := os.ReadDir(cfg.KeyDir); err != nil || len(left) != 0 {
		t.Fatalf("%v, %v", left, err)
	}
}
