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
	h.guest("erin")
	for _, disk := range []string{"full", "readonly"} {
		for _, args := range [][]string{{"zoe"}, {"--plain"}, {"list", "--new", "--name", "zoe"}, {"listen", "--new", "--name", "zoe"}, {"send", "--new", "--name", "zoe", "erin", "hello"}} {
			zoe := exec.Command("chatcli", append([]string{"--presence", "visible"}, args...)...)
			zoe.Env = append(h.environ(disk), "HOME="+filepath.Join(h.dir, disk))
			zoe.Stdin = strings.NewReader("zoe\n") // a name for whom asks
			if out, err := zoe.CombinedOutput(); err == nil || strings.Contains(string(out), "Welcome") || !strings.HasPrefix(string(out), "chatcli: Cannot write ") {
				t.Errorf("%s, %q: a name is taken: %v\n%s", disk, args, err, out)
			}
		}
	}
	// Somebody at a terminal is asked for the name below the warning, and can take it all the same.
	yves := h.runs("yves", exec.Command("env", "HOME="+filepath.Join(h.dir, "readonly"), "chatcli", "--presence", "visible", "yves"))
	yves.expect("so name a place for its key: --key FILE\r\n")
	yves.expect("Enter your username: ")
	yves.press("yves\r")
	yves.expect("* Welcome, yves. ")
	yves.expect(choice)
	yves.press("3\r")
	yves.exits("0")
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

// TestFilesOnAFullDisk: a file that a verb cannot write whole is not there, and the verb says so.
func TestFilesOnAFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a volume")
	}
	h := open(t)
	words := filepath.Join(h.dir, "words")
	h.guest("bob")
	alice := h.guest("alice", "--transcript", words)
	h.types(alice, "@bob hello\n")
	h.sees(alice, "to bob (direct): hello")
	h.types(alice, "3\n")
	alice.exit()
	full := h.volume(t, "full", "size=16k")
	for _, line := range []string{
		"chatcli key export alice FULL/copy", "chatcli transcript export all --transcript WORDS -o FULL/export",
		"chatcoord backup FULL/backup --data-dir DATA --server nats://ADDRESS", "chatcoord init --external --out FULL/keys",
	} {
		args := strings.Fields(strings.NewReplacer("FULL", full, "WORDS", words, "DATA", filepath.Join(h.dir, "data"), "ADDRESS", h.listen).Replace(line))
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = h.environ("alice")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no space left on device") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	left, err := filepath.Glob(filepath.Join(full, "*"))
	if err != nil || len(left) != 1 { // what fills it
		t.Errorf("these are left: %q, %v", left, err)
	}
}
