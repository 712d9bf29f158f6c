package backup_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/backup"
	"natter/internal/coord"
	"natter/internal/private"
)

// TestCutRestoreIsRefused: whatever a restore has left when it was cut short, it is named by a
// start, by verify and by the next restore, and can be begun again.
func TestCutRestoreIsRefused(t *testing.T) {
	c := restorable(t)
	for name, cut := range map[string]func(dir string) error{
		"in the beginning": func(dir string) error { return os.MkdirAll(filepath.Join(dir, embedded.Restoring, "keys"), 0o700) },
		"before it is moved": func(dir string) error {
			return c.IntoDir(t.Context(), filepath.Join(dir, embedded.Restoring), false)
		},
		"before the keys are moved": func(dir string) error {
			aside := filepath.Join(dir, embedded.Restoring)
			return errors.Join(c.IntoDir(t.Context(), dir, false), os.Mkdir(aside, 0o700), os.Rename(filepath.Join(dir, "keys"), filepath.Join(aside, "keys")))
		},
		"at the end": func(dir string) error {
			return errors.Join(c.IntoDir(t.Context(), dir, false), os.Mkdir(filepath.Join(dir, embedded.Restoring), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := cut(dir); err != nil {
				t.Fatal(err)
			}
			_, started := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir, AcceptLoss: true})
			for what, err := range map[string]error{
				"a start": started, "verify": embedded.Verify(dir, nil), "a restore": c.IntoDir(t.Context(), dir, false),
			} {
				if !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), filepath.Join(dir, embedded.Restoring)) || !strings.Contains(err.Error(), "restore --again") {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := c.IntoDir(t.Context(), dir, true); err != nil {
				t.Fatal(err)
			}
			if err := embedded.Verify(dir, nil); err != nil {
				t.Error(err)
			}
			nc := store(t, brokertest.RunIn(t, dir))
			if got := records(t, nc, broker.AccountsStream); len(got) != 2 {
				t.Errorf("accounts: %v", got)
			}
		})
	}
}

// What is not of a restore is not removed to begin again.
func TestAgainRemovesNothingElse(t *testing.T) {
	c := restorable(t)
	whole, other := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "other")
	if err := c.IntoDir(t.Context(), whole, false); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(other, embedded.Restoring), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{whole, other} {
		if err := c.IntoDir(t.Context(), dir, true); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := embedded.Verify(whole, nil); err != nil {
		t.Error(err)
	}
}

// TestCutRestoreIntoServer: the same for an existing NATS server.
func TestCutRestoreIntoServer(t *testing.T) {
	c := restorable(t)
	srv := brokertest.RunIn(t, t.TempDir())
	nc := store(t, srv)
	if _, err := c.Begin(t.Context(), nc, 1); err != nil {
		t.Fatal(err)
	}
	links, err := coord.Embed(srv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(links.Close)
	start := func() error {
		running, err := coord.Start(t.Context(), coord.Defaults(), links.Links)
		if err == nil {
			running.Stop()
		}
		return err
	}
	for what, err := range map[string]error{"a coordinator": start(), "a restore": c.Into(t.Context(), nc, false)} {
		if err == nil || !strings.Contains(err.Error(), "restore --again") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := c.Into(t.Context(), nc, true); err != nil {
		t.Fatal(err)
	}
	if err := start(); err != nil {
		t.Error(err)
	}
	before := records(t, nc, broker.AccountsStream)
	if len(before) != 2 {
		t.Errorf("accounts: %v", before)
	}
	if err := c.Into(t.Context(), nc, true); !errors.Is(err, &chat.Error{Code: chat.Taken}) {
		t.Errorf("again, though it came to its end: %v", err)
	}
	if after := records(t, nc, broker.AccountsStream); !maps.Equal(before, after) {
		t.Errorf("accounts: %v, before %v", after, before)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	live, err := js.Stream(t.Context(), broker.LiveStream)
	if err != nil {
		t.Fatal(err)
	}
	if last := live.CachedInfo().State.LastSeq; last < c.Revision+1<<31 {
		t.Errorf("revision %d, of the backup %d", last, c.Revision)
	}
}

// What a backup has left that was cut short is found, whatever its directory is called.
func TestLeftByBackup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]c")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "natter.backup")
	if left := backup.Left(file); len(left) > 0 {
		t.Error(left)
	}
	if err := os.WriteFile(filepath.Join(dir, ".backup-123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if left := backup.Left(file); len(left) != 1 {
		t.Error(left)
	}
}
