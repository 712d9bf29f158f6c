//go:build faults && linux

package faults_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"natter/broker"
	"natter/client"
	"natter/session"
)

// disk is a file system in a file, which a power cut can be tried on.
type disk struct {
	t          *testing.T
	image, dir string
	mounted    bool
}

func newDisk(t *testing.T, image, dir string) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	d := &disk{t: t, image: image, dir: dir}
	system(t, "truncate", "-s", "192M", image)
	system(t, "mkfs.ext4", "-q", image)
	must(t, os.MkdirAll(dir, 0o700))
	t.Cleanup(d.umount)
	d.mount()
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	system(d.t, "mount", "-o", "loop", d.image, d.dir)
	d.mounted = true
	must(d.t, os.Chmod(d.dir, 0o700))
}

func (d *disk) umount() {
	if !d.mounted {
		return
	}
	if text, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v: %s", err, text)
	}
	d.mounted = false
}

// keep copies what is on the disk in this moment; what is only in memory is not.
func (d *disk) keep() {
	d.t.Helper()
	system(d.t, "cp", "--sparse=always", d.image, d.image+".later")
}

// lose goes back to the copy.
func (d *disk) lose() {
	d.t.Helper()
	d.umount()
	must(d.t, os.Rename(d.image+".later", d.image))
	d.mount()
}

func system(t *testing.T, program string, args ...string) {
	t.Helper()
	if text, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, text)
	}
}

// onDisks is three servers with a disk each.
func onDisks(t *testing.T) (*servers, []*disk) {
	t.Helper()
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	var disks []*disk
	for n := 1; n <= 3; n++ {
		disks = append(disks, newDisk(t, filepath.Join(dir, fmt.Sprint("image-", n)), filepath.Join(store, fmt.Sprint("natter-", n))))
	}
	l := layout{store: store, grace: "120s"}
	if *plant == "careless" {
		l.written = func(dir string) { careless(t, dir) }
	}
	return l.begin(t), disks
}

// careless has the servers acknowledge what is not on their disks yet, as NATS does by itself.
func careless(t *testing.T, dir string) {
	t.Helper()
	confs, err := filepath.Glob(filepath.Join(dir, "node-*.conf"))
	must(t, err)
	for _, conf := range confs {
		text, err := os.ReadFile(conf)
		must(t, err)
		must(t, os.WriteFile(conf, bytes.ReplaceAll(text, []byte("sync_interval: always"), []byte("sync_interval: 2m")), 0o600))
	}
}

// cutPower takes the power from servers in one moment. What they have not brought to their
// disks is lost.
func cutPower(all []*program, disks []*disk) {
	for _, p := range all {
		p.signal(syscall.SIGSTOP)
	}
	for _, d := range disks {
		d.keep()
	}
	for _, p := range all {
		p.kill()
	}
	for _, d := range disks {
		d.lose()
	}
}

// farewell is somebody who talks to one who is away, and dies.
type farewell struct {
	from, to *actor
	stop     func() int
}

func away(t *testing.T, s *servers) *farewell {
	t.Helper()
	f := &farewell{from: newActorAt(t, s, 0, "carol"), to: newActorAt(t, s, 1, "dave")}
	must(t, f.from.live())
	must(t, f.to.live())
	together(t, f.from, f.to)
	at := f.to.dies()
	f.stop = chatter(t, f.from)
	stored(t, f.from, at)
	return f
}

// dies returns what was stored before, as the sender was told.
func (f *farewell) dies() (sure []string) {
	f.stop()
	f.from.dies()
	f.from.mu.Lock()
	defer f.from.mu.Unlock()
	for _, s := range f.from.told {
		if e, ok := s.event.(session.Sent); ok && e.State == session.Stored {
			sure = append(sure, e.Text)
		}
	}
	return sure
}

// arrives fails unless who was away hears all of it.
func (f *farewell) arrives(sure []string) {
	f.to.t.Helper()
	must(f.to.t, f.to.live())
	for at := (time.Time{}); len(f.to.heard()) < len(sure); {
		_, at = told[client.Texts](f.to, at)
	}
	heard := f.to.heard()
	if first := complete(f.to.t, f.to.name, heard, len(heard)); first != 0 {
		f.to.t.Errorf("number %d is the first that is there", first)
	}
	f.to.t.Logf("%d messages were stored, %d are there", len(sure), len(heard))
}

// F10: the power of all three servers is cut at once, under load, every other time with that of
// the coordinators. What was acknowledged is there, and the chats go on.
func TestF10PowerCut(t *testing.T) {
	plays(t, func(t *testing.T, n int) {
		s, disks := onDisks(t)
		powerCut(t, s, disks, n%2 == 1)
	})
}

// F08: the same of one server, with the coordinator in it.
func TestF08PowerCut(t *testing.T) {
	plays(t, func(t *testing.T, _ int) {
		dir := t.TempDir()
		d := newDisk(t, filepath.Join(dir, "image"), filepath.Join(dir, "store"))
		s := embeddedPlan(t, chatcoord, filepath.Join(d.dir, "data"))
		args := s.brokers[0].args
		args[slices.Index(args, "--grace")+1] = "120s"
		powerCut(t, begin(t, s), []*disk{d}, false)
	})
}

func powerCut(t *testing.T, s *servers, disks []*disk, all bool) {
	guests, chat, kept := coming(t, s, "guest"), talking(t, s, "alice", "bob", 0, 1), away(t, s)
	guests.enough(10)
	<-time.After(rand.N(2 * time.Second))
	cutPower(s.brokers, disks)
	if all {
		for _, p := range s.replicas {
			p.kill()
		}
	}
	sure := kept.dies()
	up := time.Now()
	start(s.brokers...)
	if all {
		start(s.replicas...)
	}
	promised(t, "stored again", guests.served(up).Sub(up), timeout)
	kept.arrives(sure)
	recovered(t, s, guests, chat)
}

// overIn is how long a full disk of one server may keep the others from storing.
const overIn = 30 * time.Second

// fill takes all the room on the disk, until it is given back.
func (d *disk) fill() (free func()) {
	d.t.Helper()
	path := filepath.Join(d.dir, "somebody-elses")
	_ = exec.Command("dd", "if=/dev/zero", "of="+path, "bs=64k").Run() // ends with an error, when all is taken
	return func() { must(d.t, os.Remove(path)) }
}

// F23: the disk of the server that leads LIVE is full. The others go on, and it is one of them
// again when it has room and is started anew.
func TestF23OneDiskFull(t *testing.T) {
	plays(t, func(t *testing.T, _ int) {
		s, disks := onDisks(t)
		lead := s.leader(t, broker.LiveStream)
		guests, chat := coming(t, s, "guest"), talking(t, s, "alice", "bob", lead, lead+1)
		guests.enough(5)
		free := disks[lead].fill()
		at := time.Now()
		promised(t, "stored again", guests.served(at.Add(atOnce)).Sub(at), overIn)
		for _, a := range chat.two {
			promised(t, a.name+" hears nothing for", silence(a, at), atOnce)
		}
		free()
		s.brokers[lead].end(syscall.SIGTERM)
		s.brokers[lead].start()
		recovered(t, s, guests, chat)
	})
}
