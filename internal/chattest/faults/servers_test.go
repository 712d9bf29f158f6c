//go:build faults

package faults_test

import (
	"bufio"
	"cmp"
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

// timeout is how long a server may take to start.
const timeout = 40 * time.Second

// program is a process that can be killed, stopped and started again.
type program struct {
	t     testing.TB
	name  string
	path  string
	args  []string
	env   []string // beside ours
	ready string   // what it prints when it serves
	web   string   // where it tells its figures; "" is nowhere

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
	case <-time.After(timeout):
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
	case <-time.After(timeout):
		p.signal(syscall.SIGKILL)
		<-ended
	}
}

// start starts programs that need each other.
func start(all ...*program) {
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(p.start)
	}
	wg.Wait()
}

// kill ends the program without another step of it, also if it is stopped.
func (p *program) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// cut is how a server is cut off.
type cut string

const (
	whole cut = "from everybody"
	half  cut = "so that nothing that it sends arrives"
	among cut = "from the other servers, not from users and coordinators"
)

// servers are what serves a run.
type servers struct {
	addresses []string // of the NATS servers
	brokers   []*program
	replicas  []*program // coordinators of their own; none where they are embedded

	keys string // what chatcoord init has written; "" where it is embedded
	data string // where the state is

	part func(n int, apart bool, how cut) // cuts the nth server off, or connects it again; nil where that cannot be done
}

func (s *servers) urls() string { return "nats://" + strings.Join(s.addresses, ",nats://") }

// where names the servers to chatcoord, which speaks plain text on loopback only if it is not
// told to.
func (s *servers) where() []string {
	return []string{"--server", s.urls(), "--keys", s.keys, "--insecure"}
}

// examine asks chatcoord doctor how a cluster is; embedded servers have none.
func (s *servers) examine(ctx context.Context) (string, error) {
	if s.keys == "" {
		return "", nil
	}
	cmd := exec.CommandContext(ctx, s.replicas[0].path, append([]string{"doctor"}, s.where()...)...)
	cmd.Env = append(os.Environ(), s.replicas[0].env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// settled waits until the doctor is content, so that the next fault of a server does not
// meet one that is still recovering: two at once no cluster of three survives. What is
// not recovered in time is judged by what users see.
func (s *servers) settled() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
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
	return begin(t, embeddedPlan(t, chatcoord, filepath.Join(t.TempDir(), "data")))
}

// embeddedPlan is one that does not run yet.
func embeddedPlan(t testing.TB, path, data string, flags ...string) *servers {
	at, web := local(t), local(t)
	p := &program{t: t, name: "chatcoord", path: path, ready: "ready: embedded", web: web, args: append([]string{
		"--listen", at, "--data-dir", data, "--http", web, "--pprof", "--grace", grace, "--show", "none", "--log-level", "debug",
	}, flags...)}
	return &servers{addresses: []string{at}, data: data, brokers: []*program{p}}
}

// layout is how a cluster is set up. Its zero value is three NATS servers and two
// coordinators on this computer.
type layout struct {
	addresses []string
	replicas  int
	grace     string
	store     string                                                     // where the servers keep their state; "" is beside their keys
	written   func(dir string)                                           // after the configuration is; may be nil
	in        func(n int, path string, args []string) (string, []string) // how the nth server is started; nil: as it is
}

// cluster is three NATS servers and two coordinators.
func cluster(t testing.TB) *servers { return layout{}.begin(t) }

func (l layout) begin(t testing.TB) *servers { return begin(t, l.plan(t)) }

// plan is a cluster that does not run yet.
func (l layout) plan(t testing.TB) *servers {
	if l.addresses == nil {
		l.addresses = []string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}
	}
	dir := filepath.Join(t.TempDir(), "keys")
	s := &servers{keys: dir, data: cmp.Or(l.store, filepath.Join(dir, "data"))}
	var hosts []setup.Host
	for i, port := range freePorts(t, len(l.addresses)) {
		hosts = append(hosts, setup.Host{Name: l.addresses[i], Port: port})
		s.addresses = append(s.addresses, fmt.Sprintf("%s:%d", l.addresses[i], port))
	}
	if made, err := setup.Init(setup.Plan{Dir: dir, Nodes: len(hosts), Hosts: hosts, Store: l.store}); !made || err != nil {
		t.Fatalf("init: %v, %v", made, err)
	}
	if l.written != nil {
		l.written(dir)
	}
	for i := range hosts {
		s.brokers = append(s.brokers, l.broker(t, dir, i))
	}
	for i := range cmp.Or(l.replicas, 2) {
		s.replicas = append(s.replicas, l.replica(t, s, i))
	}
	return s
}

func (l layout) broker(t testing.TB, dir string, i int) *program {
	conf := fmt.Sprintf("node-%d.conf", i+1)
	if len(l.addresses) == 1 {
		conf = "nats.conf"
	}
	path, args := natsServer, []string{"-c", filepath.Join(dir, conf), "-m", "-1"}
	if l.in != nil {
		path, args = l.in(i, path, args)
	}
	return &program{t: t, name: fmt.Sprintf("node-%d", i+1), path: path, args: args, ready: "Server is ready"}
}

func (l layout) replica(t testing.TB, s *servers, i int) *program {
	web := local(t)
	return &program{t: t, name: fmt.Sprintf("chatcoord-%d", i+1), path: chatcoord, ready: "ready: NATS", web: web, args: append(s.where(),
		"--http", web, "--pprof", "--join", "open", "--grace", cmp.Or(l.grace, grace), "--show", "none", "--wait-server", "40s", "--log-level", "debug",
	)}
}

func begin(t testing.TB, s *servers) *servers {
	for _, p := range s.all() {
		p.said = newDiary(t, p.name)
	}
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			text, err := s.examine(ctx)
			t.Logf("chatcoord doctor: %v\n%s", err, text)
			for _, p := range s.all() {
				t.Logf("%s does:\n%s", p.name, p.goroutines(ctx))
			}
		}
		for _, p := range s.all() {
			p.end(syscall.SIGKILL)
		}
	})
	start(s.brokers...)
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

// local is an address that is free.
func local(t testing.TB) string { return fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0]) }

// freePorts finds ports that are free, as are those for routes above them. While the test
// runs, no other process of these tests takes them: each holds the ports of the same number
// for packets.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var found []int
	for len(found) < n {
		port := int(nextPort.Add(1))
		if port > 30_000 {
			t.Fatal("no port is free")
		}
		if held, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			t.Cleanup(func() { _ = held.Close() })
			if free(port) && free(port+2000) {
				found = append(found, port)
			}
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
