package external_test

import (
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/client"
	"natter/session"
)

// kept makes a user whose ticket outlives the client.
func (in *installation) kept(dir, name string) *chattest.User {
	in.t.Helper()
	return chattest.Dial(in.t, client.Config{URL: in.urls, KeyDir: dir, Name: name}, name)
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
			alice, bob := in.user("alice"), in.kept(t.TempDir(), "bob")
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
			text, code = verb(t, "free", "bob", "--server", in.urls, "--keys", in.dir)
			if code != 0 || text != "The username bob is free.\n" {
				t.Errorf("exit code %d: %q", code, text)
			}
			in.healthy()
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
	text, code = verb(t, "free", "bob", "--server", in.urls, "--keys", in.dir)
	if code != 0 || !strings.HasPrefix(text, "The username bob is free from 20") {
		t.Errorf("exit code %d: %q", code, text)
	}
}
