//go:build faults && linux

package faults_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a coordinator with its own server, on a machine with a clock of its own.
type machine struct {
	*servers
	t     *testing.T
	clock *clock
	data  string // its directory
}

func newMachine(t *testing.T, flags ...string) *machine {
	t.Helper()
	m := &machine{t: t, clock: newClock(t), data: filepath.Join(t.TempDir(), "data")}
	m.servers = embeddedPlan(t, skewed.chatcoord, m.data, flags...)
	m.brokers[0].env = []string{m.clock.env()}
	return m
}

func (m *machine) begins() *machine { begin(m.t, m.servers); return m }

// answered is how many requests of a kind the coordinator has answered.
func (m *machine) answered(route string) (n int) {
	m.t.Helper()
	reply, err := http.Get("http://" + m.brokers[0].web + "/metrics")
	must(m.t, err)
	defer reply.Body.Close()
	for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "natter_requests_total{") || !strings.Contains(name, fmt.Sprintf("route=%q", route)) {
			continue
		}
		k := 0
		_, err := fmt.Sscan(value, &k)
		must(m.t, err)
		n += k
	}
	return n
}

// operator runs a verb of chatcoord on the machine itself, and returns what it prints.
func (m *machine) operator(args ...string) string {
	m.t.Helper()
	cmd := exec.Command(skewed.chatcoord, append(args, "--server", "nats://"+m.addresses[0], "--data-dir", m.data)...)
	cmd.Env = append(os.Environ(), m.clock.env())
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// invited is somebody who has joined the server by a link, which leads to an address.
func (m *machine) invited(name, address string) *person {
	m.t.Helper()
	p := newPerson(m.t, name)
	if text, err := p.command("join", m.operator("invite", "--address", address)).CombinedOutput(); err != nil {
		m.t.Fatalf("%s does not join: %v\n%s", name, err, text)
	}
	return p
}

func (m *machine) person(name string) *person {
	return newPerson(m.t, name, "--server", m.addresses[0])
}
