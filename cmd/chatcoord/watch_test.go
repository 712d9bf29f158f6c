package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/rpc"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/flags"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paper is what a program writes, to be waited for.
type paper struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newPaper() *paper { return &paper{changed: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// await waits until a text has been written.
func (p *paper) await(t *testing.T, want string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !strings.Contains(p.String(), want) {
		select {
		case <-p.changed:
		case <-late:
			t.Fatalf("never wrote %q:\n%s", want, p)
		}
	}
}

// watching is "chatcoord watch" with the flags that are given; out and err are what it
// writes, and end waits for its end.
func watching(t *testing.T, given ...string) (out, err *paper, end func() error) {
	t.Helper()
	out, err = newPaper(), newPaper()
	p := newProgram(out, err)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	p.viewFlags(fs)
	p.reachFlags(fs)
	p.finish(fs)
	if err := fs.Parse(given); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.watch(ctx) }()
	return out, err, func() error {
		cancel()
		return <-ended
	}
}

// act writes an action to the audit log, as a coordinator does.
func act(t *testing.T, srv *embedded.Server, text string) {
	t.Helper()
	nc, err := srv.Dial("coordinator", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := rpc.Tell(nc, chat.AuditAction, chat.Address{}, chat.Audit{Event: "user.registered", Text: text}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Watching needs no more than the server's address and the observer's credentials, and
// goes on after the server was away.
func TestWatch(t *testing.T) {
	cfg := embedded.Config{DataDir: filepath.Join(t.TempDir(), "data")}
	srv := brokertest.RunConfig(t, cfg)
	out, err, end := watching(t, "--server", srv.URL(), "--data-dir", cfg.DataDir)
	err.await(t, "* Watching "+srv.URL()+". Ctrl+C ends it.\n")
	act(t, srv, "alice registered")
	out.await(t, " ACTION   alice registered\n")

	cfg.Listen = srv.Addr()
	srv.Stop()
	err.await(t, "! Connection lost. Trying again; what happens until then is not shown.\n")
	srv = brokertest.RunConfig(t, cfg)
	err.await(t, "* Connection is back.\n")
	act(t, srv, "bob registered")
	out.await(t, " ACTION   bob registered\n")
	if failure := end(); failure != nil {
		t.Error(failure)
	}
	if n := strings.Count(err.String(), "\n"); n != 3 {
		t.Errorf("%d lines on standard error:\n%s", n, err)
	}
}

func TestWatchForPrograms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	srv := brokertest.RunIn(t, dir)
	out, err, end := watching(t, "--server", srv.URL(), "--creds", filepath.Join(dir, "observer.creds"), "--log-format", "json")
	err.await(t, "Watching")
	act(t, srv, "alice registered")
	out.await(t, `"event":"user.registered"`)
	if failure := end(); failure != nil || !strings.HasPrefix(out.String(), "{") {
		t.Errorf("%v\n%s", failure, out)
	}
}

// Who has the credentials for the audit log sees what is done, and is told that they see no more.
func TestWatchTheAuditLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	srv := brokertest.RunIn(t, dir)
	creds := filepath.Join(dir, "audit.creds")
	out, err, end := watching(t, "--server", srv.URL(), "--creds", creds, "--show", "actions")
	err.await(t, "Watching")
	act(t, srv, "alice registered")
	out.await(t, " ACTION   alice registered\n")
	if failure := end(); failure != nil {
		t.Error(failure)
	}
	var stdout, stderr bytes.Buffer
	got := run([]string{"watch", "--server", srv.URL(), "--creds", creds}, &stdout, &stderr)
	if got != flags.ExitDenied || !strings.Contains(stderr.String(), "--show actions") {
		t.Errorf("exit code %d\n%s", got, &stderr)
	}
}

func TestWatchRefused(t *testing.T) {
	dir, other := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "other")
	srv := brokertest.RunIn(t, dir)
	brokertest.RunIn(t, other)
	for name, test := range map[string]struct {
		given []string
		want  int
	}{
		"no credentials":       {[]string{"--data-dir", t.TempDir()}, flags.ExitDenied},
		"another's":            {[]string{"--data-dir", other}, flags.ExitDenied},
		"not for watching":     {[]string{"--creds", filepath.Join(dir, "operator.creds")}, flags.ExitDenied},
		"nobody listens there": {[]string{"--data-dir", dir, "--server", "nats://127.0.0.1:1"}, flags.ExitUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--server", srv.URL()}, test.given...)
			if len(test.given) > 2 {
				args = test.given
			}
			var out, err bytes.Buffer
			if got := run(append([]string{"watch"}, args...), &out, &err); got != test.want || strings.Count(err.String(), "\n") != 1 {
				t.Errorf("exit code %d, want %d\n%s", got, test.want, &err)
			}
		})
	}
}

// Wrong flags are found before anything is started.
func TestHTTPFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--pprof"}, {"--http", "8080"}, {"--http", "0.0.0.0:8080", "--pprof"}, {"--http", ":8080", "--pprof"}, {"--http", "example.org:8080", "--pprof"},
	} {
		var out, err bytes.Buffer
		if got := run(append(args, "--ephemeral", "--listen", "127.0.0.1:0"), &out, &err); got != flags.ExitUsage || out.Len() != 0 {
			t.Errorf("%q: exit code %d\n%s%s", args, got, &out, &err)
		}
	}
}

// TestPasswordsAreNotShown: whether a URL can be understood or not, nobody reads its password.
func TestPasswordsAreNotShown(t *testing.T) {
	in, ierr := ticket.NewInstallation()
	if ierr != nil {
		t.Fatal(ierr)
	}
	made, ierr := in.ChatMinter().NewCreds(chat.LobbyGrant(), 0, time.Now())
	if ierr != nil {
		t.Fatal(ierr)
	}
	text, ierr := ticket.FormatCreds(made.JWT, made.Key)
	if ierr != nil {
		t.Fatal(ierr)
	}
	creds := filepath.Join(t.TempDir(), "creds")
	if err := os.WriteFile(creds, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"nats://u:secret@127.0.0.1:1", "nats://u:secret@h:1:2", "u:secret@h:1:2"} {
		for _, args := range [][]string{{"users", "--creds", creds}, {"watch", "--creds", creds}, {"--print-config"}} {
			var out, err bytes.Buffer
			run(append(args, "--server", url), &out, &err)
			if all := out.String() + err.String(); strings.Contains(all, "secret") || !strings.Contains(all, "xxxxx@") {
				t.Errorf("%q of %s:\n%s", args, url, all)
			}
		}
	}
	var out, err bytes.Buffer
	if got := run([]string{"--ephemeral", "--listen", "127.0.0.1:-1"}, &out, &err); got != flags.ExitUsage || out.Len() != 0 {
		t.Errorf("a negative port: exit code %d\n%s%s", got, &out, &err)
	}
}
