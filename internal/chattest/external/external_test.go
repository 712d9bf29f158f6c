package external_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/doctor"
	"natter/session"
)

// user is a visible user at the installation.
func (in *installation) user(name string) *chattest.User {
	in.t.Helper()
	return chattest.Dial(in.t, client.Config{URL: in.urls}, name)
}

// eventually is a user who asks for the name until somebody answers: streams that have
// lost their leader need seconds for another one.
func (in *installation) eventually(name string) *chattest.User {
	in.t.Helper()
	c, err := client.Dial(in.t.Context(), client.Config{URL: in.urls, KeyDir: in.t.TempDir()})
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(c.Close)
	if err := insist(func() error { _, err := c.Enter(in.t.Context(), name); return err }); err != nil {
		in.t.Fatalf("%s enters: %v", name, err)
	}
	if err := insist(func() error { return c.SetPresence(in.t.Context(), true) }); err != nil {
		in.t.Fatalf("%s becomes visible: %v", name, err)
	}
	return &chattest.User{Client: c, T: in.t}
}

// insist asks again as long as nobody answers in time, as a person would.
func insist(ask func() error) error {
	for late := time.Now().Add(timeout); ; {
		err := ask()
		if !errors.Is(err, &chat.Error{Code: chat.Timeout}) || time.Now().After(late) {
			return err
		}
	}
}

// says has one say something and the other read it.
func says(t *testing.T, from, to *chattest.User, text string) {
	t.Helper()
	if err := from.Say(text); err != nil {
		t.Fatalf("%s says %q: %v", from.Me(), text, err)
	}
	for {
		if m := chattest.Wait[chattest.Text](to); m.Text == text {
			return
		}
	}
}

// healthy fails unless doctor finds everything in order.
func (in *installation) healthy(says ...string) {
	in.t.Helper()
	text, code := verb(in.t, "doctor", "--server", in.urls, "--keys", in.dir, "--json")
	var findings []doctor.Finding
	if err := json.Unmarshal([]byte(text), &findings); code != 0 || err != nil {
		in.t.Fatalf("doctor: exit code %d, %v:\n%s", code, err, text)
	}
	for _, f := range findings {
		if f.Level != doctor.OK {
			in.t.Errorf("doctor: %+v", f)
		}
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			in.t.Errorf("doctor does not say %q:\n%s", s, text)
		}
	}
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	in := plan(t, 1).run()
	in.healthy("none yet")
	first, second := in.coordinator(), in.coordinator()
	alice, bob := in.user("alice"), in.user("bob")
	chattest.Chat(alice, bob)
	says(t, alice, bob, "hello on one server")
	says(t, bob, alice, "hello back")
	in.healthy("4, with 1 replica")

	text, code := verb(t, "users", "--server", in.urls, "--keys", in.dir)
	if code != 0 || !strings.Contains(text, "alice") || !strings.Contains(text, "busy") {
		t.Errorf("users: exit code %d:\n%s", code, text)
	}
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](bob)
	first.kill()
	second.kill()
	a, _ := first.output()
	b, _ := second.output()
	if !strings.Contains(a+b, "hello on one server") { // twice if it was sent again
		t.Errorf("no console shows the message:\n%s\n%s", a, b)
	}
	if n := strings.Count(a+b, "alice registered"); n != 1 {
		t.Errorf("the consoles show %d times that alice registered:\n%s\n%s", n, a, b)
	}
}

// TestServerRestart: the server goes and comes back under coordinators and users.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	in := plan(t, 1).run()
	in.coordinator()
	alice, bob := in.user("alice"), in.user("bob")
	chattest.Chat(alice, bob)
	in.servers[0].kill()
	chattest.Wait[client.Lost](alice)
	in.servers = nil
	in.run()
	says(t, alice, bob, "still here")
}

func TestThreeServers(t *testing.T) {
	t.Parallel()
	in := plan(t, 3).run()
	in.coordinator()
	in.coordinator()
	alice, bob := in.user("alice"), in.user("bob")
	chattest.Chat(alice, bob)
	says(t, alice, bob, "hello on three servers")
	in.healthy("3 servers answer", "4, with 3 replicas")
	in.servers[2].kill()
	says(t, alice, bob, "hello on two")
	says(t, bob, alice, "and back")
	carol := in.eventually("carol")
	var entries []chat.Entry
	err := insist(func() (err error) {
		entries, err = carol.List(t.Context())
		return err
	})
	if err != nil || len(entries) != 2 {
		t.Errorf("carol sees %v, %v", entries, err)
	}
}

// TestSentinelByHand: a server without default_sentinel lets in who brings it.
func TestSentinelByHand(t *testing.T) {
	t.Parallel()
	in := plan(t, 1)
	in.change("accounts.conf", "default_sentinel:", "# default_sentinel:")
	in.run().coordinator()
	sentinel := filepath.Join(in.dir, "sentinel.jwt")
	alice := chattest.Dial(t, client.Config{URL: in.urls, Creds: sentinel}, "alice")
	if alice.Me() != "alice" {
		t.Errorf("entered as %s", alice.Me())
	}
	_, err := client.Dial(t.Context(), client.Config{URL: in.urls})
	chattest.Code(t, err, chat.Denied)
	text, err := os.ReadFile(sentinel)
	if err != nil {
		t.Fatal(err)
	}
	decorated := filepath.Join(t.TempDir(), "lobby.creds")
	write(t, decorated, "-----BEGIN NATS USER JWT-----\n"+string(text)+"------END NATS USER JWT------\n")
	chattest.Dial(t, client.Config{URL: in.urls, Creds: decorated}, "bob")
	write(t, decorated, "no credentials")
	_, err = client.Dial(t.Context(), client.Config{URL: in.urls, Creds: decorated})
	chattest.Code(t, err, chat.Arguments)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
