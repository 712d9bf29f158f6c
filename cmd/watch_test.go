//go:build !windows

package cmd_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// troupe starts programs that are stopped with the test.
func troupe(t *testing.T, program string, args ...string) *actor {
	t.Helper()
	a, err := launch(program, args, []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TZ=UTC"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.stop)
	return a
}

// errs waits for something on a program's standard error.
func (a *actor) errs(want string) bool {
	late := time.After(timeout)
	for {
		text, changed := a.err.read()
		if strings.Contains(text, want) {
			return true
		}
		select {
		case <-changed:
		case <-a.ended:
			return strings.Contains(a.err.String(), want)
		case <-late:
			return false
		}
	}
}

// Whoever has the observer's credentials sees on their screen what the console shows.
func TestWatchAndHealth(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	coord := troupe(t, "chatcoord", "--listen", "127.0.0.1:0", "--data-dir", data, "--http", "127.0.0.1:0")
	at := coord.find(regexp.MustCompile(`ready: embedded broker on (nats://\S+), `))
	web := coord.find(regexp.MustCompile(`SERVER   health and figures on (http://\S+)`))
	if at == nil || web == nil {
		t.Fatalf("chatcoord is not ready:\n%s%s", coord, &coord.err)
	}
	watch := troupe(t, "chatcoord", "watch", "--server", at[1], "--data-dir", data)
	if !watch.errs("* Watching " + at[1] + ". Ctrl+C ends it.\n") {
		t.Fatalf("it does not watch:\n%s", &watch.err)
	}
	alice := troupe(t, "chatcli", "--plain", "--server", at[1], "--presence", "visible", "alice")
	if watch.find(regexp.MustCompile(`ACTION   alice registered \(new\)`)) == nil || !alice.see(menu...) {
		t.Fatalf("alice is not seen:\n%s", watch)
	}
	for path, want := range map[string]string{"/readyz": "The coordinator serves.\n", "/metrics": "\nnatter_users_online 1\n", "/debug/pprof/": "404 page not found\n"} {
		if got := body(t, web[1]+path); !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	for _, s := range []struct {
		*actor
		syscall.Signal
	}{{watch, syscall.SIGINT}, {coord, syscall.SIGTERM}} {
		if err := s.cmd.Process.Signal(s.Signal); err != nil {
			t.Fatal(err)
		}
		if got := s.exit(); got != "0" {
			t.Errorf("after %s it exits with %s:\n%s", s.Signal, got, &s.err)
		}
	}
}

func body(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestHTTPAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := troupe(t, "chatcoord", "--listen", "127.0.0.1:0", "--ephemeral", "--http", l.Addr().String())
	if got := a.exit(); got != "6" || strings.Count(a.err.String(), "\n") != 1 {
		t.Errorf("it exits with %s:\n%s%s", got, a, &a.err)
	}
}
