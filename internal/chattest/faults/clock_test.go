//go:build faults && linux

package faults_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The programs with a wall clock that a test can set, built once. The product has no hook
// for that: they are built with a time package that is the toolchain's, but for a line in
// Now. Its monotonic clock, and with it every timer, stays as it is.
var skewed struct{ chatcoord, chatcli, natsServer string }

func buildSkewed(t *testing.T) {
	t.Helper()
	if skewed.chatcoord != "" {
		return
	}
	dir, err := os.MkdirTemp("", "natter-clocks-")
	must(t, err)
	cmd := exec.Command("go", "build", "-overlay", overlay(t, dir), "-o", dir+string(filepath.Separator),
		"natter/cmd/chatcoord", "natter/cmd/chatcli", "github.com/nats-io/nats-server/v2")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
	}
	skewed.chatcoord, skewed.chatcli = filepath.Join(dir, "chatcoord"), filepath.Join(dir, "chatcli")
	skewed.natsServer = filepath.Join(dir, "nats-server")
}

const (
	reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	skewing = reading + "\tsec += skew()\n"
)

// skew maps the file that a clock is, so that reading it costs nothing and needs no call
// into the system.
const skew = `package time

import (
	"syscall"
	"unsafe"
)

var ahead = mapped()

func skew() int64 {
	if ahead == nil {
		return 0
	}
	return *ahead
}

func mapped() *int64 {
	path, _ := syscall.Getenv("` + clockVariable + `")
	if path == "" {
		return nil
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("there is no clock " + path)
	}
	defer syscall.Close(fd)
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("the clock cannot be read: " + path)
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}
`

// overlay writes the changed time package and returns the file that names it.
func overlay(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	must(t, err)
	original := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	must(t, err)
	if strings.Count(string(text), reading) != 1 {
		t.Fatalf("%s reads the clock in another way; here it should be changed", original)
	}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	replace := map[string]string{
		original: file("time.go", strings.Replace(string(text), reading, skewing, 1)),
		filepath.Join(filepath.Dir(original), "skew.go"): file("skew.go", skew),
	}
	names, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	return file("overlay.json", string(names))
}

const clockVariable = "NATTER_TEST_CLOCK"

// clock is a machine's wall clock, which can be set while programs run by it. It is a file
// with what it is ahead of ours.
type clock struct {
	t    *testing.T
	file string
	by   time.Duration
}

func newClock(t *testing.T) *clock {
	t.Helper()
	c := &clock{t: t, file: filepath.Join(t.TempDir(), "clock")}
	c.set(0)
	return c
}

// set makes the clock be ahead of ours by so much.
func (c *clock) set(by time.Duration) {
	c.t.Helper()
	c.by = by
	f, err := os.OpenFile(c.file, os.O_WRONLY|os.O_CREATE, 0o600)
	must(c.t, err)
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by/time.Second)), 0)
	must(c.t, err)
	must(c.t, f.Close())
}

// jumps sets the clock on from where it stands, or back.
func (c *clock) jumps(by time.Duration) { c.set(c.by + by) }

func (c *clock) env() string { return clockVariable + "=" + c.file }

// at is how far a clock is ahead that says another time of day than ours.
func at(moment string) time.Duration {
	t, err := time.Parse(time.DateOnly, moment)
	if err != nil {
		panic(err)
	}
	return time.Until(t)
}
