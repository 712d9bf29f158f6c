package keyfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"natter/internal/keyfile"
)

// tmpfs is a disk of a few kilobytes.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("a disk of its own cannot be made here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room for another byte.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filling"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// With the disk full nothing is made and nothing is lost.
func TestDiskFull(t *testing.T) {
	dir := tmpfs(t, "size=16k,mode=700")
	k, _ := made(t)
	f := &keyfile.File{Key: k, Path: filepath.Join(dir, "alice.key")}
	if err := f.Create(); err != nil {
		t.Fatal(err)
	}
	before := content(t, f.Path)
	fill(t, dir)
	if _, err := keyfile.Change(t.Context(), f.Path, "", addNext); !errors.Is(err, syscall.ENOSPC) && (err == nil || !bytes.Contains([]byte(err.Error()), []byte("no space left"))) {
		t.Fatalf("changed: %v", err)
	}
	if !bytes.Equal(content(t, f.Path), before) {
		t.Fatal("the key has changed")
	}
	other := &keyfile.File{Key: k, Path: filepath.Join(dir, "bob.key")}
	if err := other.Create(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("made: %v", err)
	}
	if _, err := os.Lstat(other.Path); err == nil {
		t.Fatal("half of it is there")
	}
	if err := os.Remove(filepath.Join(dir, "filling")); err != nil {
		t.Fatal(err)
	}
	if changed, err := keyfile.Change(t.Context(), f.Path, "", addNext); err != nil || changed.Next == nil {
		t.Fatalf("with room again: %v", err)
	}
}

// Where nothing may be written, that is what the error says.
func TestReadOnly(t *testing.T) {
	dir := tmpfs(t, "size=16k,mode=700")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=16k"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "alice.key"), filepath.Join(dir, "new", "alice.key")} {
		if _, err := keyfile.Lock(t.Context(), path); !errors.Is(err, keyfile.ErrReadOnly) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
