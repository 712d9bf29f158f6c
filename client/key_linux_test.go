package client_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"natter/client"
	"natter/internal/chattest"
)

// In a home where nothing may be written one can chat, and hears that the key is not kept.
func TestReadOnlyHome(t *testing.T) {
	dir := volume(t, syscall.MS_RDONLY, "size=16k")
	in := chattest.Run(t)
	for name, dir := range map[string]string{"alice": dir, "bob": filepath.Join(dir, "chatcli")} {
		c := dial(t, client.Config{URL: in.Server.URL(), KeyDir: dir, Log: in.Config.Log}, false)
		w, err := c.Enter(t.Context(), name)
		if err != nil || w.KeyFile != "" || w.Unkept == nil || !strings.Contains(w.Unkept.Error(), "read-only file system") {
			t.Fatalf("%+v, %v", w, err)
		}
		if err := c.SetPresence(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
}

// With the disk full no name is taken that would be lost.
func TestNoRoomForAKey(t *testing.T) {
	dir := volume(t, 0, "size=4k,nr_inodes=1") // room for the directory itself
	in := chattest.Run(t)
	c := dial(t, client.Config{URL: in.Server.URL(), KeyDir: dir, Log: in.Config.Log}, false)
	_, err := c.Enter(t.Context(), "alice")
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatal(err)
	}
	if r := accountOf(t, in, "alice"); r.Key != "" && r.Taken() {
		t.Fatalf("taken: %+v", r)
	}
	in.User("alice") // whose it can be at once
}

// Where nobody could think again, no name is taken whose key cannot be kept.
func TestNoNameWithoutItsKey(t *testing.T) {
	dir := volume(t, syscall.MS_RDONLY, "size=16k")
	in := chattest.Run(t)
	c := dial(t, client.Config{URL: in.Server.URL(), KeyDir: dir, MustKeep: true, Log: in.Config.Log}, false)
	if _, err := c.Enter(t.Context(), "alice"); err == nil || !strings.HasSuffix(err.Error(), "read-only file system; the username alice was not taken, because its key would be lost. Name a place for it: --key FILE.") {
		t.Fatal(err)
	}
	if r := accountOf(t, in, "alice"); r.Key != "" {
		t.Fatalf("taken: %+v", r)
	}
}

// volume returns the directory of a file system in memory, until the test ends.
func volume(t *testing.T, flags uintptr, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skip("a disk of its own cannot be made here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
