package embedded_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"natter/broker/embedded"
)

// A credentials file that is removed is written anew by the next start, and copies of it are void
// from then on, whatever is removed or damaged later.
func TestCopiesOfCredsAreVoid(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Stop()
	copied := t.TempDir()
	names := []string{"observer.creds", "audit.creds", "operator.creds"}
	keep := func(name, as string) string {
		t.Helper()
		path := filepath.Join(copied, as)
		write(t, path, read(t, filepath.Join(dir, name)))
		return path
	}
	var former []string
	again := func(want string, spoil func(path string)) {
		t.Helper()
		for _, name := range names {
			former = append(former, keep(name, name+want))
			spoil(filepath.Join(dir, name))
		}
		var log bytes.Buffer
		srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Stop()
		if n := strings.Count(log.String(), want); n != len(names) {
			t.Errorf("%d lines say %q: %s", n, want, &log)
		}
		for _, path := range former {
			if nc, err := nats.Connect(srv.URL(), nats.UserCredentials(path)); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s: %v", path, err)
				nc.Close()
			}
		}
		for _, name := range names {
			connect(t, srv, nats.UserCredentials(filepath.Join(dir, name)))
		}
	}
	again("removed", func(path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
	again("damaged", func(path string) { write(t, path, "") })
	again("void", func(path string) { write(t, path, read(t, filepath.Join(copied, filepath.Base(path)+"removed"))) })

	issued := filepath.Join(dir, "issued.json")
	whole := read(t, issued)
	write(t, issued, "x")
	srv := start(t, dir)
	for _, name := range names {
		connect(t, srv, nats.UserCredentials(filepath.Join(dir, name)))
	}
	if read(t, issued) != whole {
		t.Errorf("the list is %s", read(t, issued))
	}
}
