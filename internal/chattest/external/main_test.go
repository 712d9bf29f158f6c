package external_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"natter/internal/setup"
)

// The programs, built once.
var natsServer, chatcoord string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "natter-external-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	exe := ""
	if runtime.GOOS == "windows" {
		exe = ".exe"
	}
	natsServer, chatcoord = filepath.Join(dir, "nats-server"+exe), filepath.Join(dir, "chatcoord"+exe)
	for out, pkg := range map[string]string{natsServer: "github.com/nats-io/nats-server/v2", chatcoord: "natter/cmd/chatcoord"} {
		if text, err := exec.Command("go", "build", "-o", out, pkg).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", pkg, err, text)
			return 1
		}
	}
	return m.Run()
}

// timeout is how long anything may take before a test fails.
const timeout = 40 * time.Second

// process is a program that runs until the test ends.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed when there is more text
}

// start runs a program and collects what it prints.
func start(t *testing.T, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), done: make(chan struct{}), more: make(chan struct{})}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // killed, as a rule
		_ = w.Close()
	}()
	go p.collect(r)
	t.Cleanup(func() {
		p.kill()
		if text, _ := p.output(); t.Failed() {
			t.Logf("%s %v:\n%s", filepath.Base(path), args, text)
		}
	})
	return p
}

func (p *process) collect(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		p.mu.Lock()
		fmt.Fprintln(&p.text, lines.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// output is what was printed so far, and a channel that is closed when there is more.
func (p *process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.more
}

// prints waits until the program has printed something.
func (p *process) prints(what string) {
	p.t.Helper()
	late := time.After(timeout)
	for {
		text, more := p.output()
		if strings.Contains(text, what) {
			return
		}
		select {
		case <-more:
		case <-p.done:
			p.t.Fatalf("%s ended without %q:\n%s", filepath.Base(p.cmd.Path), what, text)
		case <-late:
			p.t.Fatalf("%s does not print %q:\n%s", filepath.Base(p.cmd.Path), what, text)
		}
	}
}

// ports finds places for servers: the port for clients, and that for routes above it,
// are free.
func ports(t *testing.T, n int) []setup.Host {
	t.Helper()
	var hosts []setup.Host
	for len(hosts) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		if port > 60000 {
			continue
		}
		if above, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+2000)); err == nil {
			defer above.Close()
			hosts = append(hosts, setup.Host{Name: "127.0.0.1", Port: port})
		}
	}
	return hosts
}

// installation is what init has written, and its servers.
type installation struct {
	t       *testing.T
	dir     string
	urls    string
	servers []*process
}

// plan writes an installation.
func plan(t *testing.T, nodes int) *installation {
	t.Helper()
	in := &installation{t: t, dir: filepath.Join(t.TempDir(), "keys")}
	hosts := ports(t, nodes)
	if made, err := setup.Init(setup.Plan{Dir: in.dir, Nodes: nodes, Hosts: hosts}); !made || err != nil {
		t.Fatalf("init: %v, %v", made, err)
	}
	var urls []string
	for _, h := range hosts {
		urls = append(urls, h.URL())
	}
	in.urls = strings.Join(urls, ",")
	return in
}

// confs are the configurations of the servers.
func (in *installation) confs() []string {
	in.t.Helper()
	confs, err := filepath.Glob(filepath.Join(in.dir, "n*.conf"))
	if err != nil || len(confs) == 0 {
		in.t.Fatalf("configurations %v, %v", confs, err)
	}
	return confs
}

// change replaces text in a file of the installation.
func (in *installation) change(file, old, new string) {
	in.t.Helper()
	path := filepath.Join(in.dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		in.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		in.t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

// run starts the servers.
func (in *installation) run() *installation {
	in.t.Helper()
	for _, conf := range in.confs() {
		in.servers = append(in.servers, start(in.t, natsServer, "-c", conf, "-m", "-1"))
	}
	for _, s := range in.servers {
		s.prints("Server is ready")
	}
	return in
}

// coordinator starts a chatcoord and waits until it serves.
func (in *installation) coordinator(args ...string) *process {
	in.t.Helper()
	p := start(in.t, chatcoord, append([]string{"--server", in.urls, "--keys", in.dir}, args...)...)
	p.prints("ready: NATS at " + in.urls)
	return p
}

// verb runs a verb of chatcoord and returns what it prints and its exit code.
func verb(t *testing.T, args ...string) (string, int) {
	t.Helper()
	text, err := exec.Command(chatcoord, args...).CombinedOutput()
	if ended := (*exec.ExitError)(nil); err != nil && !asExit(err, &ended) {
		t.Fatal(err)
	} else if ended != nil {
		return string(text), ended.ExitCode()
	}
	return string(text), 0
}

func asExit(err error, to **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*to = e
	return ok
}

func readKey(t *testing.T, path string) nkeys.KeyPair {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.FromSeed(bytes.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
