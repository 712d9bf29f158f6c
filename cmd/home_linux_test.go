package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHomeThatKeepsNothing: where no key can be kept, every verb that might take a name says
// so before it asks the server for anything; and with a full disk it takes none.
func TestHomeThatKeepsNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a volume")
	}
	h := open(t)
	for _, disk := range []struct{ name, options, cause string }{
		{"readonly", "ro,size=64k", "read-only file system"},
		{"full", "size=16k", "no space left on device"},
	} {
		home := h.volume(t, disk.name, disk.options)
		for _, args := range [][]string{{"alice"}, {"list", "--name", "bob"}, {"listen", "--name", "carol"}, {"send", "--name", "dave", "erin", "hello"}} {
			cmd := exec.Command("chatcli", append(args, "--server", "nats://127.0.0.1:1")...) // where nobody is
			cmd.Env = append(h.environ(disk.name), "HOME="+home)
			out, _ := cmd.CombinedOutput()
			first, rest, _ := strings.Cut(string(out), "\n")
			if !strings.HasPrefix(first, "chatcli: Cannot write "+home+"/") || !strings.HasSuffix(first, disk.cause+"; a new name would be lost at the end, so name a place for its key: --key FILE") {
				t.Errorf("%s, %q: it says\n%s", disk.name, args, out)
			}
			if !strings.HasPrefix(rest, "chatcli: cannot reach nats://127.0.0.1:1: ") {
				t.Errorf("%s, %q: it says next\n%s", disk.name, args, rest)
			}
		}
	}
	zoe := exec.Command("chatcli", "--plain", "--presence", "visible", "zoe")
	zoe.Env = append(h.environ("full"), "HOME="+filepath.Join(h.dir, "full"))
	if out, err := zoe.CombinedOutput(); err == nil || strings.Contains(string(out), "Welcome") {
		t.Errorf("with a full disk a name is taken: %v\n%s", err, out)
	}
	for _, l := range h.actors["coord"].lines() {
		if regexp.MustCompile(`username zoe|zoe registered`).MatchString(l) {
			t.Errorf("the server was asked: %s", l)
		}
	}
}

// volume mounts a volume for a home, and fills it if it can be written.
func (h *house) volume(t *testing.T, name, options string) string {
	t.Helper()
	home := filepath.Join(h.dir, name)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", options, "tmpfs", home)
	t.Cleanup(func() {
		if err := unix.Unmount(home, 0); err != nil {
			t.Errorf("unmount %s: %v", home, err)
		}
	})
	if f, err := os.Create(filepath.Join(home, "filling")); err == nil {
		for err == nil {
			_, err = f.Write(make([]byte, 512))
		}
		f.Close()
	}
	return home
}
