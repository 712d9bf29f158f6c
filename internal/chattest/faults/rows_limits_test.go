//go:build faults && linux

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// group is a control group: what is started in it may not use more than it is given.
type group struct {
	t    *testing.T
	dirs []string // one for each controller, or one for all
}

// newGroup is of version 1 or 2 of control groups, whichever the machine has. It must not
// lie within one that has processes, so the test has to be root at the root of them.
func newGroup(t *testing.T) *group {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("control groups need root; TestLittleRoom limits memory without one")
	}
	g := &group{t: t}
	name := fmt.Sprintf("natter-faults-%d-%d", os.Getpid(), time.Now().UnixNano())
	for _, controller := range []string{"memory", "cpu", ""} {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, "cgroup.procs")); err != nil {
			continue
		}
		if controller == "" && len(g.dirs) > 0 {
			break
		}
		dir := filepath.Join("/sys/fs/cgroup", controller, name)
		must(t, os.Mkdir(dir, 0o755))
		t.Cleanup(func() { eventuallyRemoved(t, dir) })
		g.dirs = append(g.dirs, dir)
	}
	return g
}

// eventuallyRemoved: the kernel lets go of a group a moment after its last process.
func eventuallyRemoved(t *testing.T, dir string) {
	late := time.Now().Add(timeout)
	for os.Remove(dir) != nil {
		if time.Now().After(late) {
			t.Errorf("%s is still used", dir)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// set writes a limit by its name in version 1 or 2.
func (g *group) set(one, oneValue, two, twoValue string) {
	g.t.Helper()
	for _, dir := range g.dirs {
		for file, value := range map[string]string{one: oneValue, two: twoValue} {
			path := filepath.Join(dir, file)
			if _, err := os.Stat(path); err == nil {
				must(g.t, os.WriteFile(path, []byte(value), 0o644))
				return
			}
		}
	}
	g.t.Fatalf("neither %s nor %s is there", one, two)
}

func (g *group) memory(bytes int) {
	g.set("memory.limit_in_bytes", strconv.Itoa(bytes), "memory.max", strconv.Itoa(bytes))
}

func (g *group) percentOfCPU(n int) {
	const period = 100_000
	g.set("cpu.cfs_quota_us", strconv.Itoa(n*period/100), "cpu.max", fmt.Sprintf("%d %d", n*period/100, period))
}

// command is how something is started in the group.
func (g *group) command(path string, args ...string) (string, []string) {
	enter := ""
	for _, dir := range g.dirs {
		enter += fmt.Sprintf("echo $$ > %s/cgroup.procs && ", dir)
	}
	return "sh", append([]string{"-c", enter + `exec "$@"`, "sh", path}, args...)
}

// within is an embedded server in a group.
func (g *group) within() *servers {
	s := embeddedPlan(g.t, chatcoord, filepath.Join(g.t.TempDir(), "data"))
	s.brokers[0].path, s.brokers[0].args = g.command(s.brokers[0].path, s.brokers[0].args...)
	return s
}

// crowded has pairs come in and chat until there is no more room, which must be said in words.
func crowded(t *testing.T, s *servers) (all []*actor) {
	t.Helper()
	for n := 0; ; n++ {
		a := newActor(t, s, fmt.Sprintf("user%d", n))
		err := a.live()
		if told := (*chat.Error)(nil); errors.As(err, &told) && told.Code == chat.Full && strings.HasPrefix(told.Text, "The server is full (") {
			t.Logf("%d users: %s", len(all), told.Text)
			return all[:len(all)/2*2]
		}
		must(t, err)
		if all = append(all, a); n%2 == 1 {
			together(t, all[n-1:]...)
		}
	}
}

// kills has the kernel kill the program for the sake of another one that wants its memory.
func (g *group) kills(p *program) {
	g.t.Helper()
	must(g.t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.cmd.Process.Pid), []byte("1000"), 0o644))
	path, args := g.command("sh", "-c", "head -c 60m /dev/zero | tail -n 1 >/dev/null")
	eater := exec.Command(path, args...)
	must(g.t, eater.Start())
	defer func() { _ = eater.Wait() }() // it may have been killed as well
	select {
	case <-p.ended:
	case <-time.After(timeout):
		g.t.Fatalf("%s is not killed", p.name)
	}
}

// F27: 64 MB of memory. Who is not let in is told so; the others live on while they all talk,
// and after the kernel has killed the coordinator for the sake of another process.
func TestF27LittleMemory(t *testing.T) {
	var g *group
	row(t, func(t *testing.T) *servers {
		g = newGroup(t)
		g.memory(64 << 20)
		return begin(t, g.within())
	}, func(t *testing.T, s *servers) {
		all := crowded(t, s)
		if len(all) < 100 {
			t.Errorf("only %d users", len(all))
		}
		var stop []func() int
		for n := 0; n < len(all); n += 2 {
			stop = append(stop, chatter(t, all[n]))
		}
		<-time.After(10 * time.Second)
		for _, a := range all {
			if k := counts[client.Lost](a); k > 0 {
				t.Errorf("%s has lost the connection %d times", a.name, k)
			}
		}
		at := time.Now()
		g.kills(s.brokers[0])
		s.brokers[0].start()
		up := time.Now()
		for _, a := range all {
			_, back := told[client.Connected](a, at)
			if took := back.Sub(up); took > backIn {
				t.Errorf("%s is back after %s", a.name, took)
			}
		}
		for i, stop := range stop {
			said, other := stop(), all[2*i+1]
			flushed(t, all[2*i])
			undisturbed(t, other)
			must(t, all[2*i].Quit(t.Context()))
			told[session.Ended](other, at)
			complete(t, other.name, other.heard(), said)
		}
	})
}

// F27: a tenth of a processor. Everything takes longer, and nobody is dropped.
func TestF27LittleCPU(t *testing.T) {
	row(t, func(t *testing.T) *servers {
		g := newGroup(t)
		g.percentOfCPU(10)
		return begin(t, g.within())
	}, func(t *testing.T, s *servers) {
		one, other := talking(t, s, "alice", "bob", 0, 0), talking(t, s, "carol", "dave", 0, 0)
		new := coming(t, s, "new")
		<-time.After(20 * time.Second)
		new.stop()
		one.over()
		other.over()
		for _, err := range new.refused {
			if told := (*chat.Error)(nil); !errors.As(err, &told) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("somebody new is told %v", err)
			}
		}
		t.Logf("%d came and went, %d were refused", len(new.welcome), len(new.refused))
		if len(new.welcome) == 0 {
			t.Error("nobody new comes in")
		}
	})
}
