package crash_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"natter/client"
)

var powerCuts = flag.Int("powercuts", 3, "how often the power is cut")

var killFor = flag.Duration("killfor", 0, "how long it is killed again and again")

// TestPowerCut cuts the power while users register: everybody who was welcome is known
// afterwards, under the same key.
func TestPowerCut(t *testing.T) {
	all := 0
	for n := range *powerCuts {
		acked, lost := cutPower(t)
		all += acked
		if len(lost) > 0 {
			t.Errorf("cut %d: %d of %d are lost: %v", n, len(lost), acked, lost)
		}
	}
	t.Logf("%d cuts, %d were welcome", *powerCuts, all)
}

// TestKillIsNoDamage kills a server again and again while users come and go: each start
// finds all that it should, and everybody who was welcome is known in the end.
func TestKillIsNoDamage(t *testing.T) {
	s, keys := start(t), t.TempDir()
	var names []string
	n := 0
	for begun := time.Now(); n < 3 || time.Since(begun) < *killFor; n++ {
		names = append(names, register(t, s, keys, fmt.Sprintf("kill%d", n), 5+rand.IntN(30))...)
		s.kill()
		s.again()
	}
	for _, name := range names {
		if known, err := comes(t.Context(), s, keys, name); err != nil || !known {
			t.Errorf("%s: known %t, %v", name, known, err)
		}
	}
	t.Logf("%d kills, %d were welcome", n, len(names))
}

// The same with a server that does not wait for the disk shows that the cut is one.
func TestPowerCutIsOne(t *testing.T) {
	t.Setenv(careless, "yes")
	acked, lost := cutPower(t)
	t.Logf("without sync %d of %d are lost", len(lost), acked)
	if len(lost) == 0 {
		t.Error("nothing is lost: this is no power cut")
	}
}

// cutPower lets users register with a server on a file system of its own, stops the
// server, keeps what the disk holds in this moment, and starts another one on that. It
// returns how many had been told that they are welcome, and whom of them nobody knows.
func cutPower(t *testing.T) (acked int, lost []string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	dir := t.TempDir()
	image, later := filepath.Join(dir, "image"), filepath.Join(dir, "later")
	system(t, "truncate", "-s", "96M", image)
	system(t, "mkfs.ext4", "-q", image)
	s := start(t)
	s.kill()
	umount := mount(t, image, s.dir)
	s.again()
	keys := t.TempDir() // on another disk
	names := register(t, s, keys, "cut", 20+rand.IntN(60))

	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	system(t, "cp", "--sparse=always", image, later)
	s.kill()
	umount()
	defer mount(t, later, s.dir)()
	s.again()
	for _, name := range names {
		switch known, err := comes(t.Context(), s, keys, name); {
		case err != nil:
			lost = append(lost, fmt.Sprintf("%s (%v)", name, err))
		case !known:
			lost = append(lost, name)
		}
	}
	s.kill()
	return len(names), lost
}

// register has users come until enough are welcome, and goes on with others while it
// returns their names.
func register(t *testing.T, s *server, keys, prefix string, enough int) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	welcome := make(chan string)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("%s-%d-%d", prefix, worker, n)
				if _, err := comes(ctx, s, keys, name); err != nil {
					return
				}
				select {
				case welcome <- name:
				case <-ctx.Done():
				}
			}
		})
	}
	var names []string
	for late := time.After(30 * time.Second); len(names) < enough; {
		select {
		case name := <-welcome:
			names = append(names, name)
		case <-late:
			t.Fatal("too few are welcome")
		}
	}
	return names
}

// comes has one user come, and go, perhaps without a word. known says that the name was theirs.
func comes(ctx context.Context, s *server, keys, name string) (known bool, err error) {
	c, err := client.Dial(ctx, client.Config{URL: "nats://" + s.listen, KeyDir: keys})
	if err != nil {
		return false, err
	}
	defer c.Close()
	reply, err := c.Enter(ctx, name)
	if err == nil && rand.IntN(2) == 0 {
		_ = c.Exit(ctx) // if the server has stopped, it is as without a word
	}
	return reply.Returning, err
}

// mount returns what unmounts again, now or with the test.
func mount(t *testing.T, image, dir string) func() {
	t.Helper()
	system(t, "mount", "-o", "loop", image, dir)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Error(err)
	}
	umount := sync.OnceFunc(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	t.Cleanup(umount)
	return umount
}

func system(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}
