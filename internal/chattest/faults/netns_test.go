//go:build faults && linux

package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"natter/internal/chattest/faults"
)

// inNamespace is set for the test binary that runs in a network of its own.
const inNamespace = "NATTER_FAULTS_NETNS"

// TestPartitions runs schedules on three NATS servers in network namespaces of their own,
// which are cut off from each other. All of it is in a namespace that the test makes, so
// that nothing outside is touched and everything goes when its processes do.
//
//	the namespace of the test: cast, relays, coordinators ── br0 ── node 1, node 2, node 3
func TestPartitions(t *testing.T) {
	if !apart(t) {
		return
	}
	schedules(t, false, namespaced, append([]faults.Kind{
		faults.PartServer, faults.PartServer, faults.HalfServer, faults.KillServer, faults.StopReplica, faults.KillReplica,
	}, ofUsers...))
}

// apart runs this test again in a network namespace, and is true there.
func apart(t *testing.T) bool {
	if os.Getenv(inNamespace) == "" {
		unshared(t)
		return false
	}
	ip(t, "link", "set", "lo", "up")
	ip(t, "link", "add", "br0", "type", "bridge")
	ip(t, "addr", "add", address(254)+"/24", "dev", "br0")
	ip(t, "link", "set", "br0", "up")
	t.Cleanup(func() { ip(t, "link", "del", "br0") }) // for the next test in here
	return true
}

func unshared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root; TestCluster has three servers as processes")
	}
	cmd := exec.Command(os.Args[0], append(os.Args[1:], "-test.run=^"+t.Name()+"$")...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("in the namespace: %v", err)
	}
}

func address(host int) string { return fmt.Sprintf("10.213.0.%d", host) }

func ip(t testing.TB, args ...string) {
	t.Helper()
	if text, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, text)
	}
}

// namespaced is a cluster whose servers have a network namespace each.
func namespaced(t testing.TB) *servers { return namespacedFor(t, grace) }

func namespacedFor(t testing.TB, grace string) *servers {
	var holders []string
	for n := 1; n <= 3; n++ {
		holders = append(holders, hold(t, n))
	}
	l := layout{grace: grace, addresses: []string{address(1), address(2), address(3)}}
	l.in = func(n int, path string, args []string) (string, []string) {
		return "nsenter", append([]string{"--net=/proc/" + holders[n] + "/ns/net", path}, args...)
	}
	s := l.begin(t)
	s.part = func(n int, apart bool, how cut) { part(t, holders[n], n+1, apart, how) }
	return s
}

// hold makes a network namespace that lasts as long as a process, and connects it.
func hold(t testing.TB, n int) string {
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ip(t, "link", "del", port(n)) // what is still on its way there may keep the namespace for a while
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	pid := fmt.Sprint(cmd.Process.Pid)
	ip(t, "link", "add", port(n), "type", "veth", "peer", "name", "eth0", "netns", pid)
	ip(t, "link", "set", port(n), "master", "br0", "up")
	within(t, pid, "link", "set", "lo", "up")
	within(t, pid, "addr", "add", address(n)+"/24", "dev", "eth0")
	within(t, pid, "link", "set", "eth0", "up")
	return pid
}

func port(n int) string { return fmt.Sprintf("node%d", n) }

func within(t testing.TB, pid string, args ...string) {
	t.Helper()
	if text, err := exec.Command("nsenter", append([]string{"--net=/proc/" + pid + "/ns/net", "ip"}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, text)
	}
}

// part cuts a server off, or connects it again.
func part(t testing.TB, pid string, n int, apart bool, how cut) {
	if how == whole {
		ip(t, "link", "set", port(n), map[bool]string{true: "down", false: "up"}[apart])
		return
	}
	var nowhere []string
	if how == half {
		nowhere = []string{address(0) + "/25", address(128) + "/25"}
	} else {
		for other := 1; other <= 3; other++ {
			if other != n {
				nowhere = append(nowhere, address(other))
			}
		}
	}
	for _, to := range nowhere {
		within(t, pid, "route", map[bool]string{true: "replace", false: "del"}[apart], "blackhole", to)
	}
}
