//go:build !windows

package cmd_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// timeout is how long anything may take. Nothing waits for it to pass.
const timeout = 20 * time.Second

// paper is what a program has written so far.
type paper struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed at the next change
}

// Write implements io.Writer.
func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	return p.text.Write(b)
}

// String is everything that was written.
func (p *paper) String() string {
	text, _ := p.read()
	return text
}

// read is String, and a channel that the next Write closes.
func (p *paper) read() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.text.String(), p.changed
}

// actor is a program that runs.
type actor struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  paper
	err  paper
	view func(string) string // of its lines; nil: as they are

	seen  int           // lines that were expected, or passed over
	ended chan struct{} // the process is over and everything is read
}

// launch starts a program; its input is a file or, with nil, what is typed.
func launch(program string, args, env []string, in *os.File) (*actor, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = env
	if in != nil {
		cmd.Stdin = in
	}
	return begun(cmd)
}

// begun starts a program that is set up but for what it writes.
func begun(cmd *exec.Cmd) (*actor, error) {
	a := &actor{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &a.out, &a.err
	if cmd.Stdin == nil {
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		a.in = pipe
	}
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(a.ended)
		_ = a.cmd.Wait() // the state has it
	}()
	return a, nil
}

// stop kills the program if it still runs.
func (a *actor) stop() {
	_ = a.cmd.Process.Kill() // fails if it is over
	<-a.ended
}

// exit waits for the end and returns the exit code as a word.
func (a *actor) exit() string {
	select {
	case <-a.ended:
	case <-time.After(timeout):
		return "nothing, it still runs"
	}
	status := a.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return "killed"
	}
	return fmt.Sprint(status.ExitStatus())
}

// lines are the whole lines so far, as they are viewed.
func (a *actor) lines() []string {
	lines, _ := a.read()
	return lines
}

func (a *actor) read() ([]string, <-chan struct{}) {
	text, changed := a.out.read()
	lines := strings.Split(text, "\n")
	lines = lines[:len(lines)-1]
	if a.view != nil {
		for i, l := range lines {
			lines[i] = a.view(l)
		}
	}
	return lines, changed
}

// String is what was not expected yet, below what was.
func (a *actor) String() string {
	lines := a.lines()
	return strings.Join(lines[:a.seen], "\n") + "\n----- not expected yet:\n" + strings.Join(lines[a.seen:], "\n") + "\n"
}

// await calls look with the lines whenever there are more of them, until it is content,
// or nothing more can come.
func (a *actor) await(look func(lines []string) bool) bool {
	deadline := time.After(timeout)
	for {
		over := false
		select {
		case <-a.ended:
			over = true
		default:
		}
		lines, changed := a.read()
		if look(lines) {
			return true
		}
		if over {
			return false
		}
		select {
		case <-changed:
		case <-a.ended:
		case <-deadline:
			return false
		}
	}
}

// see waits for lines, one directly after the other, among those that were not seen.
func (a *actor) see(want ...string) bool {
	return a.await(func(lines []string) bool {
		for i := a.seen; i < len(lines); i++ {
			if n := begin(lines[i:], want); n > 0 {
				a.seen = i + n
				return true
			}
		}
		return false
	})
}

// next waits for the lines that come next.
func (a *actor) next(want ...string) bool {
	n := 0
	a.await(func(lines []string) bool {
		n = begin(lines[a.seen:], want)
		return n != 0
	})
	if n > 0 {
		a.seen += n
	}
	return n > 0
}

// slow is what people are told on a machine that has much to do.
var slow = regexp.MustCompile(`^\* Waiting for .+ to get your message\.$`)

// begin returns how many lines are those wanted: 0 if there are too few so far, -1 if there
// are others. A * at the end of one stands for anything.
func begin(lines, want []string) int {
	n := 0
	for _, w := range want {
		head, open := strings.CutSuffix(w, "*")
		same := func(line string) bool { return line == w || open && strings.HasPrefix(line, head) }
		for n < len(lines) && slow.MatchString(lines[n]) && !same(lines[n]) {
			n++
		}
		switch {
		case n == len(lines):
			return 0
		case !same(lines[n]):
			return -1
		}
		n++
	}
	return n
}

// find waits for a line that matches, and returns the match.
func (a *actor) find(re *regexp.Regexp) []string {
	var match []string
	a.await(func(lines []string) bool {
		for _, l := range lines {
			if match = re.FindStringSubmatch(l); match != nil {
				return true
			}
		}
		return false
	})
	return match
}

var (
	stamp    = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `)
	address  = regexp.MustCompile(`127\.0\.0\.\d:\d+`)
	moment   = regexp.MustCompile(`\b(\d\d:\d\d:\d\d|\d+\.\d s)`)
	color    = regexp.MustCompile("\x1b\\[\\d+m")
	identity = regexp.MustCompile(`\b[0-9a-f]{6}\b`)
)

// onConsole views lines of the console: without their time, which must be there, and
// with S1, S2, ... for the sessions.
func onConsole() func(string) string {
	numbers := map[string]string{}
	return func(l string) string {
		at := stamp.FindString(l)
		if at == "" {
			return "WITHOUT TIME: " + l
		}
		l = color.ReplaceAllString(moment.ReplaceAllString(l[len(at):], "TIME"), "")
		if strings.HasPrefix(l, "SERVER ") {
			return l // it names its address
		}
		l = address.ReplaceAllString(l, "ADDR")
		return identity.ReplaceAllStringFunc(l, func(id string) string {
			if numbers[id] == "" {
				numbers[id] = fmt.Sprintf("S%d", len(numbers)+1)
			}
			return numbers[id]
		})
	}
}
