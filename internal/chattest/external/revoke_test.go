package external_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/keyfile"
	"natter/session"
)

// refusesTicket waits until no server takes a ticket that was kept.
func (in *installation) refusesTicket(dir, name string) {
	in.t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name+".ticket"))
	var kept struct{ Ticket chat.Ticket }
	if err = errors.Join(err, json.Unmarshal(text, &kept)); err != nil {
		in.t.Fatal(err)
	}
	key, err := keyfile.Read(filepath.Join(dir, name+keyfile.Ending), "")
	if err != nil {
		in.t.Fatal(err)
	}
	for url := range strings.SplitSeq(in.urls, ",") {
		for late := time.Now().Add(timeout); ; {
			nc, err := nats.Connect(url, nats.UserJWT(func() (string, error) { return kept.Ticket.JWT, nil }, key.Login.Sign))
			if errors.Is(err, nats.ErrAuthorization) {
				break
			}
			if err == nil {
				nc.Close()
			}
			if time.Now().After(late) {
				in.t.Fatalf("%s takes a ticket that is void: %v", url, err)
			}
		}
	}
}

// TestBanOnServersThatAreNotOurs: the operator's deputy makes tickets void, on every server,
// whichever coordinator is asked; and they stay so when the servers start again.
func TestBanOnServersThatAreNotOurs(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string]int{"one server": 1, "three servers": 3} {
		t.Run(name, func(t *testing.T) {
			in := plan(t, nodes).run()
			in.coordinator()
			in.coordinator()
			keys := t.TempDir()
			cfg := client.Config{URL: in.urls, KeyDir: keys}
			if err := chattest.Dial(t, cfg, "bob").Exit(t.Context()); err != nil {
				t.Fatal(err)
			}
			alice, bob := in.user("alice"), chattest.Dial(t, cfg, "bob") // with a ticket that is good for long
			chattest.Chat(alice, bob)
			began := time.Now()
			text, code := verb(t, "ban", "bob", "--reason", "spam", "--server", in.urls, "--keys", in.dir)
			if code != 0 || text != "bob is banned; signed out: bob.\n" {
				t.Errorf("exit code %d: %q after %v", code, text, time.Since(began))
			}
			if e := chattest.Wait[client.SignedOut](bob); e.Reason != "spam" {
				t.Errorf("bob reads %q", e.Reason)
			}
			if e := chattest.Wait[session.Ended](alice); e.Session.Reason != chat.ByOperator {
				t.Errorf("alice is told %+v", e)
			}
			text, code = verb(t, "free", "bob", "--yes", "--server", in.urls, "--keys", in.dir)
			if code != 0 || text != "The username bob is free.\n" {
				t.Errorf("exit code %d: %q", code, text)
			}
			in.refusesTicket(keys, "bob")
			for _, s := range in.servers {
				s.kill()
			}
			in.servers = nil
			in.run().refusesTicket(keys, "bob")
		})
	}
}

// TestBanWithoutADeputy cuts, refuses, and says what it cannot do.
func TestBanWithoutADeputy(t *testing.T) {
	t.Parallel()
	in := plan(t, 1)
	in.remove("operator-signing.nk")
	in.run().coordinator()
	bob := in.user("bob")
	text, code := verb(t, "ban", "bob", "--server", in.urls, "--keys", in.dir)
	if code != 0 || !strings.HasPrefix(text, "bob is banned; signed out: bob. Tickets cannot be revoked here") {
		t.Errorf("exit code %d: %q", code, text)
	}
	chattest.Wait[client.SignedOut](bob)
	text, code = verb(t, "free", "bob", "--yes", "--server", in.urls, "--keys", in.dir)
	if code != 0 || !strings.HasPrefix(text, "The username bob is free from 20") {
		t.Errorf("exit code %d: %q", code, text)
	}
}
