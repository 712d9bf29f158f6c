//go:build faults

package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"natter/internal/setup"
)

// patience is how long a server may take to start.
const patience = 40 * time.Second

// program is a process that can be killed, stopped and started again.
type program struct {
	t     testing.TB
	name  string
	path  string
	args  []string
	env   []string // beside ours
	ready string   // what it prints when it serves

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}

	said *diary
}

func (p *program) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd, ended := exec.Command(p.path, p.args...), make(chan struct{})
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Error(err)
		return
	}
	cmd.Stdout, cmd.Stderr, cmd.Env = w, w, append(os.Environ(), p.env...)
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		p.t.Error(err)
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(ended)
		defer r.Close()
		lines, ready := bufio.NewScanner(r), false
		for lines.Scan() {
			p.said.note(lines.Text())
			if !ready && strings.Contains(lines.Text(), p.ready) {
				ready = true
				close(up)
			}
		}
		_ = cmd.Wait()
		if !ready {
			p.t.Errorf("%s ends before it serves", p.name)
			close(up)
		}
	}()
	p.cmd, p.ended = cmd, ended
	select {
	case <-up:
	case <-time.After(patience):
		p.t.Errorf("%s does not serve", p.name)
	}
}

func (p *program) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended
	}
}

// end sends a signal and waits for the end.
func (p *program) end(s os.Signal) {
	p.signal(syscall.SIGCONT)
	p.signal(s)
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-time.After(patience):
		p.signal(syscall.SIGKILL)
		<-ended
	}
}

// servers are what serves a run.
type servers struct {
	addresses []string // of the NATS servers
	brokers   []*program
	replicas  []*program // coordinators of their own; none where they are embedded

	keys string // what chatcoord init has written; "" where it is embedded

	part func(n int, apart, half bool) // cuts the nth server off, wholly or one way; nil where that cannot be done
}

// examine asks chatcoord doctor how a cluster is; embedded servers have none.
func (s *servers) examine(ctx context.Context) (string, error) {
	if s.keys == "" {
		return "", nil
	}
	p := s.replicas[0]
	cmd := exec.CommandContext(ctx, p.path, "doctor", "--server", strings.Join(s.addresses, ","), "--keys", s.keys)
	cmd.Env = append(os.Environ(), p.env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// settled waits until the doctor is content, so that the next fault of a server does not
// meet one that is still being mended: two at once no cluster of three survives. What is
// not mended in time is judged by what users see.
func (s *servers) settled() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, err := s.examine(ctx); err == nil || ctx.Err() != nil {
			return
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s *servers) all() []*program { return append(append([]*program{}, s.replicas...), s.brokers...) }

const grace = "10s"

// embeddedServer is one chatcoord with its own NATS server.
func embeddedServer(t testing.TB) *servers {
	return begin(t, embedded(t, chatcoord, filepath.Join(t.TempDir(), "data")))
}

func embedded(t testing.TB, path, data string, flags ...string) *servers {
	at := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0])
	p := &program{t: t, name: "chatcoord", path: path, ready: "ready: embedded", args: append([]string{
		"--listen", at, "--data-dir", data, "--grace", grace, "--show", "none", "--log-level", "debug",
	}, flags...)}
	return &servers{addresses: []string{at}, brokers: []*program{p}}
}

// cluster is three NATS servers and two coordinators.
func cluster(t testing.TB) *servers {
	return clusterAt(t, []string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}, here)
}

// here is a server on this machine as it is.
func here(_ int, path string, args []string) (string, []string) { return path, args }

// clusterAt is a cluster on these addresses, whose servers are started as in says.
func clusterAt(t testing.TB, addresses []string, in func(n int, path string, args []string) (string, []string)) *servers {
	return begin(t, planned(t, addresses, in))
}

// planned is a cluster that does not run yet.
func planned(t testing.TB, addresses []string, in func(n int, path string, args []string) (string, []string)) *servers {
	dir := filepath.Join(t.TempDir(), "keys")
	var hosts []setup.Host
	var urls []string
	s := &servers{keys: dir}
	for i, port := range freePorts(t, 3) {
		h := setup.Host{Name: addresses[i], Port: port}
		hosts = append(hosts, h)
		urls = append(urls, h.URL())
		s.addresses = append(s.addresses, fmt.Sprintf("%s:%d", addresses[i], port))
	}
	if made, err := setup.Init(setup.Plan{Dir: dir, Nodes: 3, Hosts: hosts}); !made || err != nil {
		t.Fatalf("init: %v, %v", made, err)
	}
	for i := range hosts {
		path, args := in(i, natsServer, []string{"-c", filepath.Join(dir, fmt.Sprintf("node-%d.conf", i+1)), "-m", "-1"})
		s.brokers = append(s.brokers, &program{t: t, name: fmt.Sprintf("node-%d", i+1), path: path, args: args, ready: "Server is ready"})
	}
	for i := range 2 {
		s.replicas = append(s.replicas, &program{t: t, name: fmt.Sprintf("chatcoord-%d", i+1), path: chatcoord, ready: "ready: NATS", args: []string{
			"--server", strings.Join(urls, ","), "--keys", dir, "--grace", grace, "--show", "none", "--wait-server", "40s", "--log-level", "debug",
		}})
	}
	return s
}

func begin(t testing.TB, s *servers) *servers {
	for _, p := range s.all() {
		p.said = newDiary(t, p.name)
	}
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			text, err := s.examine(ctx)
			t.Logf("chatcoord doctor: %v\n%s", err, text)
		}
		for _, p := range s.all() {
			p.end(syscall.SIGKILL)
		}
	})
	var wg sync.WaitGroup
	for _, p := range s.brokers {
		wg.Go(p.start)
	}
	wg.Wait()
	for _, p := range s.replicas {
		p.start()
	}
	if t.Failed() {
		t.FailNow()
	}
	return s
}

// nextPort is below those that systems give out by themselves, so that nobody takes a port
// between here and the server's start.
var nextPort atomic.Int32

func init() { nextPort.Store(10_000 + int32(os.Getpid()%90)*100) }

// freePorts finds ports that are free, as are those for routes above them.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var found []int
	for len(found) < n {
		port := int(nextPort.Add(1))
		if port > 30_000 {
			t.Fatal("no port is free")
		}
		if free(port) && free(port+2000) {
			found = append(found, port)
		}
	}
	return found
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}
