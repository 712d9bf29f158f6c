//go:build faults

package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// F28: a backup is made while users chat and register, everything is lost, and the backup goes
// into an empty place. Everybody is known who was welcome before it was begun.
func TestF28Restored(t *testing.T) {
	for where, install := range map[string]func(*testing.T) *servers{"embedded": alone, "cluster": three} {
		t.Run(where, func(t *testing.T) { row(t, install, restored) })
	}
}

func restored(t *testing.T, s *servers) {
	guests, pair := coming(t, s, "guest"), talking(t, s, "alice", "bob", 0, 0)
	zoe := zoeWith(t, s)
	guests.enough(10)
	first := guests.names()
	older := s.backUp(t, "older")
	guests.enough(len(first) + 10)
	begun := guests.names()
	newer := s.backUp(t, "newer")
	guests.served(time.Now())
	late := cast(t, s, "nina")[0]
	changed(t, zoe)
	guests.stop()
	for _, stop := range pair.stop {
		stop()
	}
	at := s.restore(t, newer)
	for _, a := range pair.two {
		if c, _ := told[client.Connected](a, at); c.Chat == nil || c.Chat.State != chat.Closed {
			t.Errorf("%s is told of the chat: %+v", a.name, c.Chat)
		}
		told[session.Ended](a, at)
	}
	if out, _ := told[client.SignedOut](late, at); !strings.Contains(out.Reason, "does not know nina") {
		t.Errorf("nina, who came after the backup, is told %q", out.Reason)
	}
	guests.known(begun)
	newerThanServer(t, s, zoe, guests, nil)
	s.restore(t, older)
	guests.known(first)
	newerThanServer(t, s, zoe, guests, begun)
}

// zoeWith is somebody who has a key of her own.
func zoeWith(t *testing.T, s *servers) *actor {
	t.Helper()
	zoe := newActor(t, s, "zoe")
	must(t, zoe.live())
	must(t, zoe.Exit(t.Context()))
	return zoe
}

// changed gives somebody another key, which no backup knows.
func changed(t *testing.T, a *actor) {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{URL: strings.Join(a.urls, ","), KeyDir: a.keys})
	must(t, err)
	defer c.Close()
	_, err = c.Rotate(t.Context(), a.name)
	must(t, err)
}

// newerThanServer has users come of whom the server knows less than they do. They come in, or
// are told why not.
func newerThanServer(t *testing.T, s *servers, changed *actor, guests *newcomers, later []string) {
	t.Helper()
	_, err := enters(t.Context(), s.urls(), changed.keys, changed.name, askFor)
	if t.Logf("who has changed the key is told: %v", err); err == nil {
		t.Error("a key that the server does not know opens the name")
	}
	plain(t, []error{err})
	for _, name := range later[:min(len(later), 5)] {
		if _, err := enters(t.Context(), guests.urls, guests.keys, name, askFor); err != nil {
			t.Logf("%s is told: %v", name, err)
			plain(t, []error{err})
		}
	}
}

// place says where the state is that a verb is about.
func (s *servers) place() []string {
	if s.keys == "" {
		return []string{"--data-dir", s.data}
	}
	return s.where()
}

// backUp makes a backup of what runs.
func (s *servers) backUp(t *testing.T, name string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	args := append([]string{"backup", file}, s.place()...)
	if s.keys == "" {
		args = append(args, "--server", s.urls())
	}
	verb(t, args...)
	verb(t, "verify", file)
	return file
}

// restore loses everything and brings a backup back. It returns when everything was lost.
func (s *servers) restore(t *testing.T, file string) (at time.Time) {
	t.Helper()
	for _, p := range s.all() {
		p.end(syscall.SIGKILL)
	}
	at = time.Now()
	must(t, os.Rename(s.data, fmt.Sprintf("%s.lost-%d", s.data, at.UnixNano())))
	if s.keys != "" {
		start(s.brokers...)
		verb(t, append([]string{"restore", file}, s.place()...)...)
		start(s.replicas...)
		return at
	}
	verb(t, append([]string{"restore", file}, s.place()...)...)
	start(s.brokers...)
	return at
}

// verb runs a verb of chatcoord.
func verb(t *testing.T, args ...string) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), chatcoord, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("chatcoord %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	t.Logf("chatcoord %s: %s", args[0], strings.TrimSpace(string(text)))
}
