//go:build faults && linux

package faults_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"natter/broker"
)

// endIn is how long a server may take to end when it is told to, though its disk has failed.
const endIn = 15 * time.Second

// F24: the disk of the server that leads LIVE fails. The others go on, and it is one of them
// again when its disk is repaired and it is started again.
func TestF24OneDiskFails(t *testing.T) {
	for name, fail := range map[string]func(*disk){"gone": (*disk).shutDown, "read-only": (*disk).abort} {
		t.Run(name, func(t *testing.T) { plays(t, func(t *testing.T, _ int) { oneDiskFails(t, fail) }) })
	}
}

func oneDiskFails(t *testing.T, fail func(*disk)) {
	s, disks := onDisks(t)
	lead := s.leader(t, broker.LiveStream)
	guests, near, far := coming(t, s, "guest"), talking(t, s, "alice", "bob", lead, lead+1), talking(t, s, "carol", "dave", lead+1, lead+2)
	guests.enough(5)
	fail(disks[lead])
	at := time.Now()
	promised(t, "stored again", guests.served(at.Add(atOnce)).Sub(at), overIn)
	for _, a := range append(near.two, far.two...) {
		promised(t, a.name+" hears nothing for", silence(a, at), atOnce)
	}
	end := time.Now()
	s.brokers[lead].end(syscall.SIGTERM)
	promised(t, "the server's end", time.Since(end), endIn)
	disks[lead].repair()
	s.brokers[lead].start()
	s.settled()
	needed(t, s, lead, guests)
	recovered(t, s, guests, near, far)
}

// needed has a server be one of two that are left, which store only if both are sound.
func needed(t *testing.T, s *servers, n int, guests *newcomers) {
	t.Helper()
	other := s.brokers[(n+1)%len(s.brokers)]
	other.end(syscall.SIGTERM)
	at := time.Now()
	promised(t, "stored by two of which it is one", guests.served(at).Sub(at), leaderIn)
	other.start()
}

// shutDown makes the disk one that is gone: nothing can be read or written.
func (d *disk) shutDown() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	must(d.t, err)
	defer f.Close()
	const shutDown, withoutFlush = 0x8004587d, 2 // of ext4
	flag := uint32(withoutFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutDown, uintptr(unsafe.Pointer(&flag))); errno != 0 {
		d.t.Skipf("the file system cannot be shut down: %v", errno)
	}
}

// abort makes it read-only while files on it are open for writing, as ext4 does by itself when
// it finds that something is wrong.
func (d *disk) abort() {
	d.t.Helper()
	system(d.t, "mount", "-o", "remount,abort", d.dir)
}

// repair repairs the file system, as one does before it is used again.
func (d *disk) repair() {
	d.t.Helper()
	d.umount()
	const repaired = 1
	text, err := exec.Command("e2fsck", "-fy", d.image).CombinedOutput()
	if e, ok := err.(*exec.ExitError); err != nil && !(ok && e.ExitCode() == repaired) {
		d.t.Fatalf("e2fsck: %v: %s", err, text)
	}
	d.mount()
}
