package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	netrpc "net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"natter/broker/embedded"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/console"
	"natter/internal/coord"
)

// serverOptions is the variable that makes this program a server.
const serverOptions = "NATTER_BENCH_SERVER"

// options are what a server is started with.
type options struct {
	Listen  string // host:port
	Dir     string // of its data
	Console string // file that the console writes to, showing all; "" for no console
	Limits  rpc.Limits
}

// serve runs a coordinator with its broker until standard input ends. Requests for data that only this
// process has come on standard input and are answered on standard output.
func serve(text string) error {
	var o options
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	srv, err := embedded.Start(embedded.Config{Listen: o.Listen, DataDir: o.Dir, Shut: true})
	if err != nil {
		return err
	}
	links, err := coord.Embed(srv)
	if err != nil {
		return err
	}
	if o.Console != "" {
		out, err := os.Create(o.Console)
		if err != nil {
			return err
		}
		view := console.New(console.Config{Out: out})
		if err := view.Subscribe(links.Tap, console.Queue); err != nil {
			return err
		}
		go func() { _ = view.Serve(context.Background()) }() // ends with the process
	}
	cfg := coord.Defaults()
	cfg.Limits = o.Limits
	cfg.Rules.MessageRate, cfg.Rules.DirectRate = 0, 0 // as fast as it goes
	if _, err := coord.Start(context.Background(), cfg, links.Links); err != nil {
		return err
	}
	if err := srv.Open(); err != nil {
		return err
	}
	s := netrpc.NewServer()
	if err := s.RegisterName("Server", &control{srv: srv}); err != nil {
		return err
	}
	s.ServeConn(pipes{os.Stdin, os.Stdout})
	return nil
}

// control are the requests to the server's process.
type control struct {
	srv     *embedded.Server
	profile *os.File
}

// None is for methods without arguments or results.
type None struct{}

// MintRequest asks for a ticket.
type MintRequest struct {
	Key   string
	Grant chat.Grant
}

// Mint makes a ticket.
func (c *control) Mint(q MintRequest, t *chat.Ticket) (err error) {
	*t, err = c.srv.Minter().Mint(q.Key, q.Grant, time.Hour, time.Now())
	return err
}

// Collect releases unused memory.
func (c *control) Collect(None, *None) error {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	return nil
}

// Allocated tells what is in use of the heap.
func (c *control) Allocated(_ None, bytes *uint64) error {
	if err := c.Collect(None{}, nil); err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*bytes = m.HeapAlloc
	return nil
}

// Profile writes a processor profile to a file until it is called with "".
func (c *control) Profile(file string, _ *None) (err error) {
	if file == "" {
		pprof.StopCPUProfile()
		return c.profile.Close()
	}
	if c.profile, err = os.Create(file); err != nil {
		return err
	}
	return pprof.StartCPUProfile(c.profile)
}

// Heap writes a profile of what is in memory to a file.
func (c *control) Heap(file string, _ *None) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

// pipes are two files as one connection.
type pipes struct {
	io.ReadCloser
	io.Writer
}

// server is a child process that serves.
type server struct {
	options
	cmd      *exec.Cmd
	call     *netrpc.Client // nil: of chatcoord itself
	web      string         // URL of chatcoord's profiles, if they are wanted
	mintWith func(key string, g chat.Grant) (chat.Ticket, error)
}

// server starts a server with a data directory of its own and without limits: one address and a few
// users act as thousands.
func (b *bench) server(consoleFile string) (*server, error) {
	return b.limitedServer(consoleFile, rpc.Limits{})
}

func (b *bench) limitedServer(consoleFile string, l rpc.Limits) (*server, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	s := &server{options: options{Listen: addr, Dir: dir, Console: consoleFile, Limits: l}}
	return s, s.start()
}

// freeAddress is one on loopback that nobody listens on.
func freeAddress() (string, error) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return port.Addr().String(), port.Close()
}

// start starts the process and returns when it answers.
func (s *server) start() error {
	text, err := json.Marshal(s.options)
	if err != nil {
		return err
	}
	me, err := os.Executable()
	if err != nil {
		return err
	}
	s.cmd = exec.Command(me)
	s.cmd.Env = append(os.Environ(), serverOptions+"="+string(text))
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.call = netrpc.NewClient(struct {
		io.Reader
		io.WriteCloser
	}{out, in})
	return s.call.Call("Server.Collect", None{}, &None{})
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.call.Close()
	_ = s.cmd.Wait() // says that it was killed
}

func (s *server) url() string { return "nats://" + s.Listen }

func (s *server) mint(key string, g chat.Grant) (t chat.Ticket, err error) {
	if s.mintWith != nil {
		return s.mintWith(key, g)
	}
	return t, s.call.Call("Server.Mint", MintRequest{key, g}, &t)
}

// cpu returns the processor time that a process has used.
func cpu(pid int) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), ") ") // after the name
	f := strings.Fields(after)
	const user, system = 11, 12
	if len(f) <= system {
		return 0, fmt.Errorf("/proc/.../stat is not understood")
	}
	u, err := strconv.Atoi(f[user])
	if err != nil {
		return 0, err
	}
	k, err := strconv.Atoi(f[system])
	return time.Duration(u+k) * tick, err
}

// memory returns the resident memory of the server, without unused memory.
func (s *server) memory() (bytes float64, err error) {
	if err := s.call.Call("Server.Collect", None{}, &None{}); err != nil {
		return 0, err
	}
	return resident(s.cmd.Process.Pid)
}

// resident returns the resident memory of a process, in bytes.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	f := strings.Fields(after)
	if len(f) == 0 {
		return 0, fmt.Errorf("/proc/.../status is not understood")
	}
	n, err := strconv.Atoi(f[0])
	return float64(n) * 1024, err
}

// heap writes a profile of the server's memory, if profiles are wanted.
func (b *bench) heap(s *server, name string) error {
	if b.profile == "" {
		return nil
	}
	dir, err := filepath.Abs(b.profile)
	if err != nil {
		return err
	}
	return s.call.Call("Server.Heap", filepath.Join(dir, name+"-server-heap.pprof"), &None{})
}

// profiled writes processor profiles of both sides while a function runs, if they are wanted; later
// ones replace them. The profile of chatcoord ends later than a short function.
func (b *bench) profiled(s *server, name string, f func() (float64, error)) func() (float64, error) {
	if b.profile == "" {
		return f
	}
	return func() (float64, error) {
		dir, err := filepath.Abs(b.profile)
		if err != nil {
			return 0, err
		}
		if s.call != nil {
			if err := s.call.Call("Server.Profile", filepath.Join(dir, name+"-server.pprof"), &None{}); err != nil {
				return 0, err
			}
		}
		own, err := os.Create(filepath.Join(dir, name+"-clients.pprof"))
		if err != nil {
			return 0, err
		}
		if err := pprof.StartCPUProfile(own); err != nil {
			return 0, err
		}
		written := make(chan error, 1)
		if s.web != "" {
			go func() { written <- s.profileTo(filepath.Join(dir, name+"-server.pprof")) }()
		} else {
			written <- nil
		}
		v, err := f()
		pprof.StopCPUProfile()
		_ = own.Close()
		if s.call != nil {
			_ = s.call.Call("Server.Profile", "", &None{})
		}
		return v, errors.Join(err, <-written)
	}
}
