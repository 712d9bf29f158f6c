package crash_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"natter/broker/embedded"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// serveIn makes the test binary a coordinator: its data directory and address.
const serveIn, serveAt = "NATTER_TEST_DIR", "NATTER_TEST_LISTEN"

// careless makes it one that acknowledges what is not on the disk yet.
const careless = "NATTER_TEST_CARELESS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveIn); dir != "" {
		if err := serve(dir, os.Getenv(serveAt)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(dir, listen string) error {
	srv, err := embedded.Start(embedded.Config{Listen: listen, DataDir: dir, NoSync: os.Getenv(careless) != "", AcceptLoss: os.Getenv(careless) != ""})
	if err != nil {
		return err
	}
	links, err := coord.Embed(srv)
	if err != nil {
		return err
	}
	if _, err := coord.Start(context.Background(), coord.Defaults(), links.Links); err != nil {
		return err
	}
	fmt.Println("ready")
	select {} // until it is killed
}

// server is a coordinator process that can be killed and started again.
type server struct {
	t           *testing.T
	dir, listen string
	cmd         *exec.Cmd
	files       int // that it may have open; 0: as many as this process
}

func start(t *testing.T) *server {
	t.Helper()
	return startWith(t, 0)
}

// startWith starts a server that may have so many files open.
func startWith(t *testing.T, files int) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), listen: l.Addr().String(), files: files}
	_ = l.Close()
	s.again()
	t.Cleanup(s.kill)
	return s
}

// again starts the process and waits until it answers.
func (s *server) again() {
	s.t.Helper()
	s.cmd = exec.Command(os.Args[0])
	if s.files > 0 {
		s.cmd = exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, s.files), os.Args[0])
	}
	s.cmd.Env = append(os.Environ(), serveIn+"="+s.dir, serveAt+"="+s.listen)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		s.t.Fatalf("the coordinator does not start: %v", err)
	}
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) user(name string) *chattest.User {
	s.t.Helper()
	return chattest.Dial(s.t, client.Config{URL: "nats://" + s.listen}, name)
}

// pair is two users in a chat.
func (s *server) pair() (alice, bob *chattest.User) {
	s.t.Helper()
	alice, bob = s.user("alice"), s.user("bob")
	chattest.Chat(alice, bob)
	return alice, bob
}

// TestKillInAChat kills the coordinator and its broker while messages are under way:
// none is lost, none comes twice, and the chat goes on.
func TestKillInAChat(t *testing.T) {
	s := start(t)
	alice, bob := s.pair()
	const messages = 10_000
	sent := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := sayUntilKept(alice, strconv.Itoa(i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range messages {
		if i == messages/3 || i == messages/2 {
			s.kill()
			s.again()
		}
		if got := chattest.Wait[chattest.Text](bob); got.Text != strconv.Itoa(i) {
			t.Fatalf("message %d is %q", i, got.Text)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := bob.Say("all here"); err != nil {
		t.Fatal(err)
	}
	if got := chattest.Wait[chattest.Text](alice); got.Text != "all here" {
		t.Fatalf("alice hears %q", got.Text)
	}
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByQuit {
		t.Fatalf("bob is told %+v", e)
	}
}

// sayUntilKept says something again while too much waits for the connection.
func sayUntilKept(u *chattest.User, text string) error {
	for {
		err := u.Say(text)
		if e, ok := err.(*chat.Error); !ok || e.Code != chat.NotConnected {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-u.T.Context().Done():
			return err
		}
	}
}

// TestKillKeepsNamesAndInvitations kills the coordinator between a question and its
// answer.
func TestKillKeepsNamesAndInvitations(t *testing.T) {
	s := start(t)
	alice, bob := s.user("alice"), s.user("bob")
	invitation, err := alice.Invite(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Invited](bob)
	s.kill()
	chattest.Wait[client.Lost](bob)
	s.again()
	chattest.Wait[client.Connected](bob)
	chattest.Wait[client.Connected](alice)
	if err := bob.Answer(t.Context(), invitation.ID, true); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Opened](alice)
	chattest.Wait[session.Opened](bob)
	if err := alice.Say("still here"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[chattest.Text](bob)
}

// TestQuitWithoutAConnection ends a chat while the server is down: here at once, for the
// other one when it is back, and once.
func TestQuitWithoutAConnection(t *testing.T) {
	s := start(t)
	alice, bob := s.pair()
	s.kill()
	chattest.Wait[client.Lost](alice)
	if err := alice.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[session.Ended](alice)
	if _, open := alice.Chat(); open {
		t.Fatal("alice is still in the chat")
	}
	s.again()
	if e := chattest.Wait[session.Ended](bob); e.Session.Reason != chat.ByQuit {
		t.Fatalf("bob is told %+v", e)
	}
	chattest.Wait[client.Connected](alice)
	chattest.Chat(bob, alice)
}

// TestStoredThroughAKill: what was stored for somebody who is away, of one who is there and
// of one who has left, is still there when the server has been killed in between.
func TestStoredThroughAKill(t *testing.T) {
	s := start(t)
	cfg := client.Config{URL: "nats://" + s.listen, KeyDir: t.TempDir(), Sent: true}
	alice, bob, carol := chattest.Dial(t, cfg, "alice"), chattest.Dial(t, cfg, "bob"), chattest.Dial(t, cfg, "carol")
	chattest.Chat(alice, bob, carol)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	chattest.Wait[session.MemberLost](carol)
	const each = 50
	for i := range each {
		for _, u := range []*chattest.User{bob, carol} {
			if err := u.Say(strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, u := range []*chattest.User{bob, carol} {
		for e := chattest.Wait[client.Sent](u); e.N < each || e.State != session.Stored; {
			e = chattest.Wait[client.Sent](u)
		}
	}
	if err := bob.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.again()
	alice = chattest.Dial(t, cfg, "alice")
	chattest.Wait[session.Opened](alice)
	next := map[chat.Name]int{}
	for range 2 * each {
		e := chattest.Wait[chattest.Text](alice)
		if e.Text != strconv.Itoa(next[e.From]) {
			t.Fatalf("%s says %q, want %d", e.From, e.Text, next[e.From])
		}
		next[e.From]++
	}
	if err := carol.Say("all here?"); err != nil {
		t.Fatal(err)
	}
	if e := chattest.Wait[chattest.Text](alice); e.Text != "all here?" {
		t.Fatalf("alice hears %q", e.Text)
	}
}

// TestLinesWithoutAConnection: a hundred lines are kept and arrive in order; of one more
// its writer reads that it was not kept.
func TestLinesWithoutAConnection(t *testing.T) {
	s := start(t)
	alice, bob := s.pair()
	if err := alice.Say("before"); err != nil {
		t.Fatal(err)
	}
	chattest.Wait[chattest.Text](bob)
	if err := alice.Flush(t.Context()); err != nil { // it waits for nothing more
		t.Fatal(err)
	}
	s.kill()
	chattest.Wait[client.Lost](alice)
	const kept = 100
	said := 0
	for {
		err := alice.Say(strconv.Itoa(said))
		if err == nil {
			said++
			continue
		}
		chattest.Code(t, err, chat.NotConnected)
		if err.Error() != "Not connected; this line was not kept." {
			t.Errorf("%q", err)
		}
		break
	}
	if said != kept {
		t.Errorf("%d lines were kept", said)
	}
	s.again()
	for i := range said {
		if got := chattest.Wait[chattest.Text](bob); got.Text != strconv.Itoa(i) {
			t.Fatalf("line %d is %q", i, got.Text)
		}
	}
}
