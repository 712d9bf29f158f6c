//go:build linux

package cmd_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onVolume is a stage whose coordinator keeps its data on a volume of its own.
func onVolume(t *testing.T, mount func(t *testing.T, dir string)) (*stage, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a volume")
	}
	s := &stage{dir: t.TempDir(), actors: map[string]*actor{}}
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, data)
	t.Cleanup(func() {
		s.clear()
		if err := unix.Unmount(data, 0); err != nil {
			t.Errorf("unmount %s: %v", data, err)
		}
	})
	if err := os.Chmod(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return s, data
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Skipf("no volume here: %s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// begin starts the coordinator and returns the URL of its readiness.
func (s *stage) begin(t *testing.T) string {
	t.Helper()
	a, err := s.serve([]string{"--http", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	url := a.find(regexp.MustCompile(`health and figures on (http://\S+)$`))
	if url == nil {
		t.Fatal(a)
	}
	return url[1] + "/readyz"
}

func (s *stage) join(t *testing.T, name string) *actor {
	t.Helper()
	a, err := launch("chatcli", []string{"--plain", "--presence", "visible", name}, s.environ(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.actors[name] = a
	return a
}

func (s *stage) sees(t *testing.T, name, pattern string) {
	t.Helper()
	if a := s.actors[name]; a.find(regexp.MustCompile(pattern)) == nil {
		t.Fatalf("%s does not see %s:\n%s%s", name, pattern, a, &a.err)
	}
}

func (s *stage) types(t *testing.T, name, line string) {
	t.Helper()
	if _, err := io.WriteString(s.actors[name].in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// becomes waits until a page answers with a status, and returns what it says.
func becomes(t *testing.T, url string, status int, within time.Duration) string {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < within; {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode == status {
			t.Logf("%d after %.1f s: %s", status, time.Since(begun).Seconds(), text)
			return string(text)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s is not %d within %s", url, status, within)
	return ""
}

// fill takes all the room that there is.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "somebody-elses")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	for err = nil; err == nil; { // the last bytes as well
		_, err = f.Write([]byte("."))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

// joinUntilRefused has users come until one is refused, and returns those who were
// welcome: what is left of a block may take some. Nobody waits for an answer.
func (s *stage) joinUntilRefused(t *testing.T) (welcome []string) {
	t.Helper()
	for n := range 100 {
		name := fmt.Sprint("guest", n)
		begun := time.Now()
		a := s.join(t, name)
		answer := a.find(regexp.MustCompile(`^(Enter your choice: |! .*)$`))
		took := time.Since(begun)
		if took > 5*time.Second { // 2 s are promised; the machine may be busy, and part of it is the program's start
			t.Errorf("%s is answered after %s", name, took)
		}
		switch {
		case answer == nil:
			t.Fatal(a)
		case answer[1] == "! The server's disk is full; nothing was stored. Try again later.":
			t.Logf("%d were welcome, the next one is refused after %s", n, took)
			return welcome
		case answer[1] != "Enter your choice: ":
			t.Fatalf("%s is told %s", name, answer[1])
		}
		welcome = append(welcome, name)
	}
	t.Fatal("nobody is refused")
	return nil
}

// TestDiskFull fills the volume under a coordinator, and makes room again.
func TestDiskFull(t *testing.T) {
	for name, mount := range map[string]func(*testing.T, string){
		"tmpfs": func(t *testing.T, dir string) { run(t, "mount", "-t", "tmpfs", "-o", "size=64m", "natter-test", dir) },
		"ext4":  func(t *testing.T, dir string) { mountImage(t, newImage(t), dir) },
	} {
		t.Run(name, func(t *testing.T) {
			s, data := onVolume(t, mount)
			ready := s.begin(t)
			s.join(t, "alice")
			s.sees(t, "alice", "^Enter your choice")
			s.join(t, "bob")
			s.sees(t, "bob", "^Enter your choice")
			s.types(t, "alice", "/chat bob")
			s.sees(t, "bob", `Accept\? \(y/n\)`)
			s.types(t, "bob", "y")
			s.sees(t, "alice", "This chat is shown")
			s.sees(t, "bob", "This chat is shown")

			taken := fill(t, data)
			welcome := s.joinUntilRefused(t)
			if text := becomes(t, ready, 503, 10*time.Second); !strings.Contains(text, data) {
				t.Errorf("not ready: %q", text)
			}
			s.sees(t, "coord", `^ERROR    store: The disk of `+data+` is full: .* New registrations are refused\.$`)
			s.types(t, "alice", "words need no disk")
			s.sees(t, "bob", "^alice: words need no disk$")

			if err := os.Remove(taken); err != nil {
				t.Fatal(err)
			}
			becomes(t, ready, 200, 30*time.Second)
			s.sees(t, "alice", `^\* Connected again after [0-9]+ s\. Your chat with bob goes on\.$`)
			s.sees(t, "bob", `^\* Connected again after [0-9]+ s\. Your chat with alice goes on\.$`)
			s.types(t, "alice", "still here")
			s.sees(t, "bob", "^alice: still here$")
			s.join(t, "carol")
			s.sees(t, "carol", "^Enter your choice")
			for _, name := range welcome {
				s.sees(t, name, `^\* Connected again after [0-9]+ s\.$`)
			}
		})
	}
}

// TestDiskFails has the volume answer every write with an error, or be read-only from now on,
// which is what ext4 does by itself when it finds that something is wrong.
func TestDiskFails(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, dir string){"gone": shutDown, "read-only": readOnly} {
		t.Run(name, func(t *testing.T) {
			s, data := onVolume(t, func(t *testing.T, dir string) { mountImage(t, newImage(t), dir) })
			ready := s.begin(t)
			s.join(t, "alice")
			s.sees(t, "alice", "^Enter your choice")
			fail(t, data)
			if text := becomes(t, ready, 503, 10*time.Second); !strings.Contains(text, data) {
				t.Errorf("not ready: %q", text)
			}
			s.join(t, "carol")
			s.sees(t, "carol", `^! The server cannot write to its disk; nothing was stored\. Try again later\.`)
			s.sees(t, "coord", `^ERROR    store: Cannot write to `+data)
		})
	}
}

// shutDown makes a file system one whose disk is gone.
func shutDown(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const shutDown, withoutFlush = 0x8004587d, 2 // of ext4
	flag := uint32(withoutFlush)
	if err := ioctl(f, shutDown, &flag); err != nil {
		t.Skipf("the file system cannot be shut down: %v", err)
	}
}

// readOnly makes it read-only, though files on it are open for writing.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	run(t, "mount", "-o", "remount,abort", dir)
}

// newImage is a file with an ext4 file system.
func newImage(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(96<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-m", "0", image)
	return image
}

func mountImage(t *testing.T, image, dir string) {
	t.Helper()
	run(t, "mount", "-o", "loop,errors=remount-ro", image, dir)
}

func ioctl(f *os.File, request uintptr, arg *uint32) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(arg)))
	if errno != 0 {
		return errno
	}
	return nil
}
