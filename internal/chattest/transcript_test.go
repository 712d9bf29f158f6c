package chattest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"natter/client"
	"natter/internal/chattest"
	"natter/session"
	"natter/session/transcript"
)

// kept is a user who keeps transcripts. Their key is kept as well, so that they can come
// again.
func kept(in *chattest.Installation, name, dir string) *chattest.User {
	in.T.Helper()
	k, err := transcript.Open(filepath.Join(dir, "kept"))
	if err != nil {
		in.T.Fatal(err)
	}
	return chattest.Dial(in.T, client.Config{URL: in.Server.URL(), Log: in.Config.Log, KeyDir: dir, Transcript: k}, name)
}

// transcribed is all that the one transcript of a directory says.
func transcribed(t *testing.T, dir string) []string {
	t.Helper()
	all, err := transcript.List(filepath.Join(dir, "kept"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d transcripts, %v", len(all), err)
	}
	var lines []string
	_, err = transcript.Scan(all[0].File, func(_ int, l transcript.Line) error {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(l.Kind, " ", l.From, " ", l.Text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// What is said is in both transcripts once and in order, whether the program goes on or
// is started again in between.
func TestTranscriptOfAChat(t *testing.T) {
	in := chattest.Run(t)
	mine, his := t.TempDir(), t.TempDir()
	alice, bob := kept(in, "alice", mine), kept(in, "bob", his)
	chattest.Chat(alice, bob)
	say(t, alice, bob, "one")
	say(t, bob, alice, "two")
	alice.Close() // without a word
	chattest.Wait[session.MemberLost](bob)
	if err := bob.Say("three, meanwhile"); err != nil {
		t.Fatal(err)
	}
	alice = kept(in, "alice", mine)
	chattest.Wait[chattest.Text](alice)
	say(t, alice, bob, "four")
	if err := bob.Bye(); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.Bye](alice)
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	chattest.Wait[session.Ended](bob)
	alice.Close()
	bob.Close()
	same(t, transcribed(t, mine), "chat", "said alice one", "said bob two", "resumed", "said bob three, meanwhile",
		"said alice four", "bye bob", "ended")
	same(t, transcribed(t, his), "chat", "said alice one", "said bob two", "lost alice", "said bob three, meanwhile", "back alice",
		"said alice four", "bye bob", "ended")
}

// Of what did not arrive the transcript says so.
func TestTranscriptOfALoss(t *testing.T) {
	in := chattest.Run(t)
	mine := t.TempDir()
	alice, bob := kept(in, "alice", mine), in.User("bob")
	chattest.Chat(alice, bob)
	bob.Close()
	chattest.Wait[session.MemberLost](alice)
	if err := alice.Say("are you there?"); err != nil {
		t.Fatal(err)
	}
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	alice.Close()
	same(t, transcribed(t, mine), "chat", "lost bob", "said alice are you there?", "failed alice are you there?", "ended")
}

func TestTranscriptOfDirectMessages(t *testing.T) {
	in := chattest.Run(t)
	mine := t.TempDir()
	alice, bob := kept(in, "alice", mine), in.User("bob")
	if err := alice.Direct(t.Context(), "BOB", "hello"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[client.DirectText](bob)
	if err := bob.Direct(t.Context(), "alice", "hi"); err != nil {
		t.Fatal(err)
	}
	bob.Close()
	if err := alice.Direct(t.Context(), "bob", "still there?"); err == nil {
		t.Error("it arrived")
	}
	alice.Close()
	same(t, transcribed(t, mine), "direct", "said alice hello", "said bob hi", "failed alice still there?")
}

func say(t *testing.T, from, to *chattest.User, text string) {
	t.Helper()
	if err := from.Say(text); err != nil {
		t.Fatal(err)
	}
	for chattest.Wait[chattest.Text](to).Text != text {
	}
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the transcript tells\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
