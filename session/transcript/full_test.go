//go:build linux

package transcript_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"natter/session"
	"natter/session/transcript"
)

// A disk that hangs: whoever speaks does not wait for it. What is too much to remember is
// counted. The disk is a pipe here, of which nothing can be read.
func TestHangingDisk(t *testing.T) {
	const many = 200_000 // more than thrice what is remembered
	dir := folder(t)
	pipe := filepath.Join(dir, aliceAndBobFile)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("a pipe cannot be made: %v", err)
	}
	k, err := transcript.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 10)
	k.Start("alice", "nats://here:4222", func(err error) { told <- err })
	k.Take(session.Opened{Session: aliceAndBob})
	for n := range uint64(many) {
		k.Take(bobSays(n+1, "hi"))
	}
	other := transcript.Line{Kind: transcript.Chat, Session: "another"}
	if err := os.WriteFile(pipe, other.Encode(), 0); err != nil { // it is somebody else's: -2 is taken
		t.Fatal(err)
	}
	if err := <-told; !strings.Contains(err.Error(), "too slow") {
		t.Errorf("the reason is %v", err)
	}
	for range 4 { // each waits a few seconds, if that many lines take so long here
		k.Close()
	}
	said, missing := 0, 0
	_, err = transcript.Scan(strings.Replace(pipe, ".jsonl", "-2.jsonl", 1), func(_ int, l transcript.Line) error {
		missing += l.Count
		if l.Kind == transcript.Said {
			said++
		}
		return nil
	})
	if err != nil || missing == 0 || said+missing != many {
		t.Errorf("%d said, %d missing, %v", said, missing, err)
	}
}

// A disk that is full, for real: the chat is not held up, the user is told once, and
// when there is room again the file goes on, without a torn line but one.
func TestFullDisk(t *testing.T) {
	dir := folder(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("a tiny file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	k, err := transcript.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 10)
	k.Start("alice", "nats://here:4222", func(err error) { told <- err })
	k.Take(session.Opened{Session: aliceAndBob})
	for n := range uint64(20) {
		k.Take(bobSays(n+1, strings.Repeat("x", 7000)))
	}
	if err := <-told; !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the reason is %v", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	k.Take(bobSays(21, "there is room again"))
	k.Close()
	if len(told) > 0 {
		t.Errorf("told again: %v", <-told)
	}
	path := filepath.Join(dir, aliceAndBobFile)
	said, missing := 0, 0
	s, err := transcript.Scan(path, func(_ int, l transcript.Line) error {
		switch l.Kind {
		case transcript.Said:
			said++
		case transcript.Missing:
			missing += l.Count
		}
		return nil
	})
	if err != nil || missing == 0 || said+missing != 21 || s.Bad > 1 {
		t.Errorf("%d said, %d missing, damaged: %v, %v", said, missing, s.Damaged, err)
	}
}
