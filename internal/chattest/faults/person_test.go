//go:build faults && linux

package faults_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// person is somebody at chatcli itself, on a machine with a clock of its own.
type person struct {
	t      *testing.T
	name   string
	home   string
	server []string // flags
	clock  *clock

	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}
	said  *diary

	mu    sync.Mutex
	lines []string // of the present run
	next  int      // the first that was not looked at
	moved chan struct{}
}

func newPerson(t *testing.T, name string, server ...string) *person {
	t.Helper()
	return &person{t: t, name: name, home: t.TempDir(), server: server, clock: newClock(t), said: newDiary(t, name)}
}

func (p *person) command(args ...string) *exec.Cmd {
	cmd := exec.Command(skewed.chatcli, slices.Concat(p.server, args)...)
	cmd.Env = append(os.Environ(), p.clock.env(), "HOME="+p.home, "XDG_DATA_HOME="+filepath.Join(p.home, "data"))
	return cmd
}

// comes starts the program, and takes the name.
func (p *person) comes() {
	p.t.Helper()
	p.starts()
	p.sees("* Welcome")
	p.sees("3. Exit")
}

func (p *person) starts() {
	p.t.Helper()
	p.cmd = p.command("--plain", "--time", "--presence", "visible", "--name", p.name)
	r, w, err := os.Pipe()
	must(p.t, err)
	p.in, err = p.cmd.StdinPipe()
	must(p.t, err)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	must(p.t, p.cmd.Start())
	must(p.t, w.Close())
	p.mu.Lock()
	p.lines, p.next, p.moved = nil, 0, make(chan struct{})
	p.mu.Unlock()
	p.ended = make(chan struct{})
	go p.read(r, p.ended)
	p.t.Cleanup(p.dies)
}

func (p *person) read(r *os.File, ended chan struct{}) {
	defer close(ended)
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		p.said.note(lines.Text())
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.moved)
		p.moved = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // the exit code is asked for where it matters
}

// dies ends the program as kill -9 does.
func (p *person) dies() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *person) types(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		_, err := io.WriteString(p.in, line+"\n")
		must(p.t, err)
	}
}

// sees waits for a line with a text, behind those that were looked at, and returns it.
func (p *person) sees(text string) string {
	p.t.Helper()
	return p.seesWithin(text, timeout)
}

func (p *person) seesWithin(text string, bound time.Duration) string {
	p.t.Helper()
	late := time.NewTimer(bound)
	defer late.Stop()
	for {
		line, found, moved := p.look(text)
		if found {
			return line
		}
		select {
		case <-moved:
			continue
		case <-p.ended:
			if line, found, _ := p.look(text); found {
				return line
			}
		case <-late.C:
		}
		p.t.Fatalf("%s never sees %q", p.name, text)
	}
}

func (p *person) look(text string) (line string, found bool, moved chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next < len(p.lines) {
		line = p.lines[p.next]
		if p.next++; strings.Contains(line, text) {
			return line, true, nil
		}
	}
	return "", false, p.moved
}

// saw finds the lines of the present run with a text.
func (p *person) saw(text string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// exits waits for the program's end and returns its code.
func (p *person) exits() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(timeout):
		p.t.Errorf("%s's program does not end", p.name)
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.ended
	}
	return p.cmd.ProcessState.ExitCode()
}

// invites begins a chat from the menu.
func (p *person) invites(other *person) {
	p.t.Helper()
	p.types("2", other.name)
	other.sees("* " + p.name + " invites you to chat")
}

func (p *person) chats(other *person) {
	p.t.Helper()
	p.invites(other)
	other.types("y")
	p.sees("* You are now chatting with " + other.name)
	other.sees("* You are now chatting with " + p.name)
}

// tells says something that the other one has to hear.
func (p *person) tells(other *person, text string) {
	p.t.Helper()
	p.types(text)
	other.sees(p.name + ": " + text)
}

// leaves ends the chat and then the program.
func (p *person) leaves(other *person) {
	p.t.Helper()
	p.types("Quit")
	p.sees("Chat session ended")
	other.sees("* " + p.name + " ended the chat.")
	p.out()
}

func (p *person) out() {
	p.t.Helper()
	p.types("3")
	if code := p.exits(); code != 0 {
		p.t.Errorf("%s leaves with code %d", p.name, code)
	}
}
