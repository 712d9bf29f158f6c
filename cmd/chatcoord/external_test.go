package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"natter/internal/flags"
	"natter/internal/setup"
)

// nowhere is a NATS server that is not there, and keys for it.
func nowhere(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := setup.Init(setup.Plan{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return []string{"--server", "nats://127.0.0.1:1", "--keys", dir}
}

// A server that does not come is waited for, and then the end says so.
func TestWaitServer(t *testing.T) {
	there := nowhere(t)
	var out, err bytes.Buffer
	begun := time.Now()
	if got := run(append(there, "--wait-server", "600ms"), &out, &err); got != flags.ExitUnreachable {
		t.Errorf("exit code %d\n%s", got, &err)
	}
	if waited := time.Since(begun); waited < 600*time.Millisecond {
		t.Errorf("waited %s", waited)
	}
	if n := strings.Count(err.String(), "waiting for the NATS server"); n != 1 {
		t.Errorf("said %d times that it waits:\n%s", n, &err)
	}
}

// A signal ends the wait, and is no failure.
func TestWaitServerEndsAtASignal(t *testing.T) {
	there := nowhere(t)
	p := newProgram(io.Discard, io.Discard)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	p.register(fs)
	if err := fs.Parse(append(there, "--wait-server", "1h")); err != nil {
		t.Fatal(err)
	}
	told := make(chan os.Signal, 1)
	told <- syscall.SIGTERM
	if err := p.serveExternal(slog.New(slog.DiscardHandler), told); err != nil {
		t.Error(err)
	}
}

func TestWaitServerIsForAnother(t *testing.T) {
	var out, err bytes.Buffer
	if got := run([]string{"--wait-server", "1s", "--ephemeral", "--listen", "127.0.0.1:0"}, &out, &err); got != flags.ExitUsage || out.Len() != 0 {
		t.Errorf("exit code %d\n%s%s", got, &out, &err)
	}
}
