//go:build !windows

package source

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSpecial: what is neither a file nor a directory is refused, without waiting for anybody.
func TestSpecial(t *testing.T) {
	dir := t.TempDir()
	pipe, socket := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, word := range map[string]string{pipe: "a pipe", socket: "a socket", os.DevNull: "a device"} {
		_, err := New(path)
		sentence(t, err, ErrUnread, path, word, "standard input")
	}
	_, err = New(dir)
	sentence(t, err, ErrUnread, "a pipe", "a socket")
}

// TestBecomesPipe: a file that has become a pipe is another file.
func TestBecomesPipe(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a"), []byte("A"))
	s := newSource(t, path)
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read(0, 1)
	sentence(t, err, ErrChanged, "another file")
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.Chmod(write(t, filepath.Join(dir, name), []byte("x")), 0o200); err != nil {
			t.Fatal(err)
		}
	}
	_, err := New(dir)
	sentence(t, err, ErrUnread, "a", "b", "c", "permission denied")
}
