package transcript_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"natter/chat"
	"natter/session"
	"natter/session/transcript"
)

var began = time.Date(2026, 11, 22, 19, 4, 12, 0, time.UTC)

// aliceAndBob is an open chat of the two.
var aliceAndBob = chat.Session{
	ID: "a1b2c3d4e5f60718293a4b5c6d7e8f90", State: chat.Open, Host: "alice", Class: chat.Transparent, At: began,
	Members: []chat.Member{{Name: "alice"}, {Name: "Bob"}},
}

// folder is a directory that is there already, and private.
func folder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kept")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

const aliceAndBobFile = "20261122-190412-a1b2c3.jsonl"

// keep has alice's keeper take events, and closes it.
func keep(t testing.TB, dir string, events ...any) {
	t.Helper()
	k, err := transcript.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	k.Start("alice", "nats://here:4222", func(err error) { t.Errorf("it cannot be written: %v", err) })
	for _, e := range events {
		k.Take(e)
	}
	k.Close()
}

func bobSays(n uint64, text string) session.Texts {
	return session.Texts{Session: aliceAndBob.ID, From: "Bob", Messages: []chat.Message{{N: n, At: began.Add(time.Duration(n)), Text: text}}}
}

func ended(reason chat.Reason, by ...chat.User) session.Ended {
	s := aliceAndBob
	s.State, s.Reason, s.By = chat.Closed, reason, by
	return session.Ended{Session: s}
}

// story reads a transcript as one word or two per line.
func story(t testing.TB, path string) (lines []string, damaged []int) {
	t.Helper()
	s, err := transcript.Scan(path, func(_ int, l transcript.Line) error {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(l.Kind, " ", l.From, " ", l.Text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, s.Damaged
}

// tells compares a transcript with what it should tell.
func tells(t testing.TB, path string, want ...string) {
	t.Helper()
	lines, damaged := story(t, path)
	if strings.Join(lines, "\n") != strings.Join(want, "\n") || len(damaged) > 0 {
		t.Errorf("%s tells\n%s\n(damaged: %v), not\n%s", filepath.Base(path), strings.Join(lines, "\n"), damaged, strings.Join(want, "\n"))
	}
}

func TestAChat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "transcripts")
	keep(t, dir,
		session.Opened{Session: aliceAndBob},
		transcript.Own{Session: aliceAndBob.ID, At: began, Text: "hello"},
		bobSays(1, "two\nlines"),
		session.Texts{Session: "another", From: "Eve", Messages: []chat.Message{{N: 1, Text: "not here"}}},
		session.Bye{Session: aliceAndBob.ID, From: "Bob"},
		session.Bye{Session: aliceAndBob.ID, From: "Bob", Back: true},
		session.MemberLost{Session: aliceAndBob, Name: "Bob"},
		session.MemberBack{Session: aliceAndBob, Name: "Bob"},
		transcript.OwnBye{Session: aliceAndBob.ID},
		session.NotDelivered{Session: aliceAndBob.ID, Text: "hello", Kept: true},
		session.NotDelivered{Session: aliceAndBob.ID, Text: "hello"},
		ended(chat.ByQuit, "bob"),
		bobSays(2, "too late"),
	)
	path := filepath.Join(dir, aliceAndBobFile)
	tells(t, path, "chat", "said alice hello", "said Bob two\nlines", "bye Bob", "no bye Bob", "lost Bob", "back Bob",
		"bye alice", "failed alice hello", "ended")
	all, err := transcript.List(dir)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	s := all[0]
	if s.Messages != 2 || s.Head.Class != chat.Transparent || s.Head.Me != "alice" || chat.Names(s.Head.Members) != "Bob" ||
		s.Head.Server != "nats://here:4222" || s.Head.Session != aliceAndBob.ID || s.Head.V != 1 {
		t.Errorf("%+v", s)
	}
	private(t, dir, 0o700)
	private(t, path, 0o600)
}

func private(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
		t.Errorf("%s has mode %04o, not %04o", path, got, want)
	}
}

// A client that is started again goes on in the same file. What it is told again is not
// written again; what only has the number of something else is.
func TestGoingOn(t *testing.T) {
	dir := folder(t)
	keep(t, dir, session.Opened{Session: aliceAndBob}, bobSays(1, "one"), bobSays(2, "two"))
	renumbered := bobSays(2, "two, by a client of bob's that counts anew")
	renumbered.Messages[0].At = renumbered.Messages[0].At.Add(time.Minute)
	keep(t, dir, session.Opened{Session: aliceAndBob}, bobSays(2, "two"), bobSays(3, "three"), renumbered, ended(chat.ByBye))
	tells(t, filepath.Join(dir, aliceAndBobFile), "chat", "said Bob one", "said Bob two", "resumed", "said Bob three",
		"said Bob two, by a client of bob's that counts anew", "ended")
}

// Files of the same name that are about something else are left alone.
func TestSameNames(t *testing.T) {
	dir := folder(t)
	other := aliceAndBob
	other.ID = aliceAndBob.Short() + "ffffffffffffffffffffffffff"
	keep(t, dir, session.Opened{Session: aliceAndBob}, transcript.DirectMessage{From: "Bob", To: "alice", Text: "hi"})
	keep(t, dir, session.Opened{Session: other})
	k, err := transcript.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	k.Start("carol", "nats://here:4222", nil)
	k.Take(transcript.DirectMessage{From: "carol", To: "bob", Text: "hi, too"})
	k.Close()
	keep(t, dir, transcript.DirectMessage{From: "alice", To: "bob", Text: "again"})
	tells(t, filepath.Join(dir, aliceAndBobFile), "chat")
	tells(t, filepath.Join(dir, "20261122-190412-a1b2c3-2.jsonl"), "chat")
	tells(t, filepath.Join(dir, "direct-bob.jsonl"), "direct", "said Bob hi", "said alice again")
	tells(t, filepath.Join(dir, "direct-bob-2.jsonl"), "direct", "said carol hi, too")
}

// More correspondents than files that are open at once.
func TestManyCorrespondents(t *testing.T) {
	dir := folder(t)
	var events []any
	for range 2 {
		for i := range 40 {
			events = append(events, transcript.DirectMessage{From: chat.Name(fmt.Sprintf("u%d", i)), Text: "hi"})
		}
	}
	keep(t, dir, events...)
	for i := range 40 {
		tells(t, filepath.Join(dir, fmt.Sprintf("direct-u%d.jsonl", i)), "direct", fmt.Sprintf("said u%d hi", i), fmt.Sprintf("said u%d hi", i))
	}
}

// A crash can tear a file anywhere: at most one line is lost, and the next one begins
// on its own.
func TestTornAnywhere(t *testing.T) {
	dir := folder(t)
	keep(t, dir, session.Opened{Session: aliceAndBob}, bobSays(1, "one"), bobSays(2, "tw\u00f6"))
	whole, err := os.ReadFile(filepath.Join(dir, aliceAndBobFile))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		dir := folder(t)
		path := filepath.Join(dir, aliceAndBobFile)
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		keep(t, dir, session.Opened{Session: aliceAndBob}, bobSays(1, "one"), bobSays(2, "tw\u00f6"), bobSays(3, "three"))
		lines, damaged := story(t, path)
		if len(damaged) > 1 {
			t.Fatalf("torn at %d: damaged lines %v", cut, damaged)
		}
		for _, want := range []string{"chat", "said Bob one", "said Bob tw\u00f6", "said Bob three"} {
			if n := strings.Count("\n"+strings.Join(lines, "\n")+"\n", "\n"+want+"\n"); n != 1 {
				t.Fatalf("torn at %d: %q is told %d times:\n%s", cut, want, n, strings.Join(lines, "\n"))
			}
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Fatalf("torn at %d: %d files", cut, len(files))
		}
	}
}

// Two clients of one name write to one file at once: no line is torn, none is lost.
func TestTwoWriters(t *testing.T) {
	const lines = 300
	dir := folder(t)
	keep(t, dir, session.Opened{Session: aliceAndBob})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			var events []any
			events = append(events, session.Opened{Session: aliceAndBob})
			for n := range lines {
				text := fmt.Sprintf("%d/%d %s", i, n, strings.Repeat("x", n*20))
				events = append(events, transcript.Own{Session: aliceAndBob.ID, Text: text})
			}
			keep(t, dir, events...)
		})
	}
	wg.Wait()
	told, damaged := story(t, filepath.Join(dir, aliceAndBobFile))
	seen := map[string]bool{}
	for _, l := range told {
		seen[l] = true
	}
	if want := 1 + 2 + 2*lines; len(told) != want || len(damaged) > 0 {
		t.Errorf("%d lines, not %d; damaged: %v", len(told), want, damaged)
	}
	for i := range 2 {
		for n := range lines {
			if l := fmt.Sprintf("said alice %d/%d %s", i, n, strings.Repeat("x", n*20)); !seen[strings.TrimSpace(l)] {
				t.Fatalf("line %d of writer %d is missing", n, i)
			}
		}
	}
}

// Nobody's chat may wait for a file: the reason is told once, and the file says later
// how many lines are missing.
func TestAFileThatCannotBeWritten(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, aliceAndBobFile)
	if err := os.Mkdir(path, 0o700); err != nil { // cannot be opened as a file
		t.Fatal(err)
	}
	k, err := transcript.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 10)
	k.Start("alice", "nats://here:4222", func(err error) { told <- err })
	k.Take(session.Opened{Session: aliceAndBob})
	k.Take(bobSays(1, "one"))
	k.Take(bobSays(2, "two"))
	k.Take(transcript.DirectMessage{From: "Bob", Text: "three"})
	<-told
	for { // the direct message is written behind the two that are not
		if _, err := os.Stat(filepath.Join(dir, "direct-bob.jsonl")); err == nil {
			break
		}
		runtime.Gosched()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	k.Take(bobSays(3, "four"))
	k.Close()
	if len(told) > 0 {
		t.Errorf("told again: %v", <-told)
	}
	tells(t, path, "chat", "missing", "said Bob four")
	_, err = transcript.Scan(path, func(_ int, l transcript.Line) error {
		if l.Kind == transcript.Missing && l.Count != 2 {
			return fmt.Errorf("%d lines are missing, not 2", l.Count)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNoKeeperKeepsNothing(t *testing.T) {
	var k *transcript.Keeper
	k.Start("alice", "", nil)
	k.Take(bobSays(1, "one"))
	k.Close()
}

func TestForeignDirectories(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps rights elsewhere")
	}
	dir := folder(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := transcript.Open(dir)
	if e := (*chat.Error)(nil); !errors.As(err, &e) || !strings.Contains(e.Text, "chmod 700") {
		t.Errorf("others can read it: %v", err)
	}
}

// What a server calls a session cannot lead out of the directory.
func TestHostileSession(t *testing.T) {
	dir := folder(t)
	s := aliceAndBob
	s.ID = "../../etc"
	keep(t, filepath.Join(dir, "in"), session.Opened{Session: s}, ended(chat.ByQuit))
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("there is more than the directory: %v", files)
	}
	tells(t, filepath.Join(dir, "in", "20261122-190412-______.jsonl"), "chat")
}

// A hostile text is kept as it was sent, and not even cat can be harmed by it.
func TestHostileText(t *testing.T) {
	dir := folder(t)
	hostile := "\x1b[2J\x1b]52;c;aGk=\a \u009b31m \u202egnp \x7f \U000e0041 \ufeff\u2028 <b>&\n{\"v\":1,\"kind\":\"ended\"}\nend"
	keep(t, dir, session.Opened{Session: aliceAndBob}, bobSays(1, hostile))
	path := filepath.Join(dir, aliceAndBobFile)
	tells(t, path, "chat", "said Bob "+hostile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		if shown := chat.Clean(string(l)); shown != string(l) {
			t.Errorf("cat shows %q of %q", shown, l)
		}
	}
}
