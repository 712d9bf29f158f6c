package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"natter/broker/embedded"
	"natter/chat"
)

// coordinator is a process of chatcoord. Its console goes to a file.
type coordinator struct {
	*server
	console string
}

// builtPrograms builds chatcoord and chatcli once.
func (b *bench) builtPrograms() error {
	if _, err := os.Stat(filepath.Join(b.dir, "chatcoord")); err == nil {
		return nil
	}
	build := exec.CommandContext(b.ctx, "go", "build", "-o", b.dir+"/", "natter/cmd/chatcoord", "natter/cmd/chatcli")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the programs: %w", err)
	}
	return nil
}

// coordinator starts chatcoord without limits and with --show as given.
func (b *bench) coordinator(show string) (*coordinator, error) {
	if err := b.builtPrograms(); err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "coordinator-")
	if err != nil {
		return nil, err
	}
	c := &coordinator{server: &server{options: options{Listen: addr, Dir: dir}}, console: filepath.Join(dir, "console.log")}
	out, err := os.Create(c.console)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the process has its own
	args := []string{"--listen", addr, "--data-dir", filepath.Join(dir, "data"), "--show", show, "--max-group", "64",
		"--rate", "0", "--rate-invites", "0", "--rate-lists", "0", "--rate-direct", "0", "--rate-messages", "0"}
	if b.profile != "" {
		args = append(args, "--http", "127.0.0.1:0", "--pprof")
	}
	c.cmd = exec.CommandContext(b.ctx, filepath.Join(b.dir, "chatcoord"), args...)
	withParent(c.cmd)
	c.cmd.Stdout, c.cmd.Stderr = out, os.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := c.ready(filepath.Join(dir, "data"), b.profile != ""); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

var onHTTP = regexp.MustCompile(`health and figures on (http\S+)\n`)

// ready waits until the console says so, and reads the keys that tickets are made with. With
// profiles it waits also for the address that has them.
func (c *coordinator) ready(data string, profiles bool) error {
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(c.console)
		if err != nil {
			return err
		}
		web := onHTTP.FindSubmatch(text)
		if web != nil {
			c.web = string(web[1])
		}
		if bytes.Contains(text, []byte(" ready: ")) && (web != nil || !profiles) {
			break
		}
		if time.Now().After(until) {
			return errors.New("chatcoord is not ready after 10 s")
		}
	}
	ids, err := embedded.Identities(data)
	if err != nil {
		return err
	}
	minter := ids.ChatMinter()
	c.mintWith = func(key string, g chat.Grant) (chat.Ticket, error) {
		return minter.Mint(key, g, time.Hour, time.Now())
	}
	return nil
}

// profileTime is the duration of a profile of chatcoord, which must be chosen in advance.
const profileTime = time.Second

// profileTo writes a processor profile of chatcoord to a file, from now on.
func (s *server) profileTo(file string) error {
	r, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%g", s.web, profileTime.Seconds()))
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r.Body)
	return errors.Join(err, f.Close())
}

// kill ends the process.
func (c *coordinator) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL)
	_ = c.cmd.Wait() // reports that it was killed
	_ = os.RemoveAll(c.Dir)
}

// lines counts the lines of a console that end in the text of the benchmark.
type lines struct {
	file *os.File
	last byte
	n    int
}

// more counts what has been written since the last call.
func (l *lines) more(buf []byte) error {
	for {
		n, err := l.file.Read(buf)
		chunk := buf[:n]
		if n > 0 {
			if l.last == 'x' && chunk[0] == '\n' {
				l.n++
			}
			l.n += bytes.Count(chunk, []byte("x\n"))
			l.last = chunk[n-1]
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// until waits until there are n lines, at most ten seconds, and returns how many are
// missing.
func (l *lines) until(n int) (missing int, err error) {
	buf := make([]byte, 1<<20)
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := l.more(buf); err != nil || l.n >= n || time.Now().After(late) {
			return n - l.n, err
		}
	}
}
