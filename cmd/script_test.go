//go:build !windows

// Package cmd_test meets both programs as their users do: real processes, real
// terminals, nothing from inside.
//
// Scripts are stories: users are started, type lines and see lines. Every line that is
// expected is expected whole and at column 0. A story goes on as soon as the line is
// there, so nothing depends on time. The commands beside those of testscript:
//
//	coord [FLAG...]        start the coordinator; again: on the same port and data. With
//	                       --join or --tls users are not told where it is: they join
//	refuse CODE [ARG...]   chatcoord ARG... ends at once, with CODE and one line
//	user NAME [FLAG...]    a visible user, who has read everything up to the menu
//	start NAME [ARG...]    chatcli --plain ARG..., of which nothing is read yet
//	feed NAME FILE [ARG...]    the same with a file as its standard input
//	type NAME LINE...      the user enters lines
//	see NAME LINE...       these lines come next, or later, one directly after the other
//	next NAME LINE...      these lines come next
//	[!] find NAME REGEXP   a line matches: now or later; with ! none does now
//	once NAME REGEXP...    exactly one line so far matches each
//	eof NAME               the user's input ends
//	signal NAME SIGNAL     HUP, INT, TERM, KILL, STOP, CONT
//	exits NAME [CODE]      the program ends, with 0 or CODE
//	said NAME FILE         what it wrote, all of it, is what the file says
//	erred NAME FILE        the same of its standard error
//
// The word "menu" stands for the five lines of the menu, \t for a tab, a * at the end
// of an expected line for anything. The coordinator is the user
// "coord"; on its console the time is cut off, and S1, ADDR, TIME stand for what differs
// each time.
package cmd_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

// withPrograms builds both programs and puts them on the PATH.
func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "natter-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir, "./chatcoord", "./chatcli").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) { // by who runs the tests, as nohup does, and then by the programs
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	return m.Run()
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			s := &stage{dir: env.WorkDir, actors: map[string]*actor{}}
			env.Values["stage"] = s
			env.Defer(s.clear)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("MACHINE", machine())
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "reachable" { // from other machines, perhaps
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return machine() != "127.0.0.1", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"coord":  command((*stage).coord),
			"user":   command((*stage).user),
			"start":  command((*stage).start),
			"feed":   command((*stage).feed),
			"type":   command((*stage).enter),
			"see":    command((*stage).see),
			"next":   command((*stage).next),
			"eof":    command((*stage).eof),
			"signal": command((*stage).signal),
			"exits":  command((*stage).exits),
			"said":   command((*stage).said),
			"erred":  command((*stage).erred),
			"once":   command((*stage).once),
			"refuse": command((*stage).refuse),
			"find":   find,
		},
	})
}

// machine is an address of this machine that is not on loopback, if there is one.
func machine() string {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// stage is where the actors of one script are.
type stage struct {
	dir    string
	actors map[string]*actor
	listen string // of the coordinator
	secret bool   // nobody is told where it is: for servers that are joined
}

func (s *stage) clear() {
	for _, a := range s.actors {
		a.stop()
	}
}

// command makes a script's command of a method that gets a user's name and the rest.
func command(do func(*stage, *testscript.TestScript, string, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("there is no ! of this command")
		}
		if len(args) == 0 {
			args = []string{""}
		}
		do(ts.Value("stage").(*stage), ts, args[0], args[1:])
	}
}

func (s *stage) actor(ts *testscript.TestScript, name string) *actor {
	a, ok := s.actors[name]
	if !ok {
		ts.Fatalf("%s is not on the stage", name)
	}
	return a
}

// coord starts the coordinator and waits until it serves.
func (s *stage) coord(ts *testscript.TestScript, flag string, flags []string) {
	if flag != "" {
		flags = append([]string{flag}, flags...)
	}
	a, err := s.serve(flags)
	ts.Check(err)
	ts.Setenv("ADDRESS", s.listen)
	ts.Setenv("PORT", s.listen[strings.LastIndex(s.listen, ":")+1:])
	if s.secret = slices.ContainsFunc(flags, func(f string) bool { return f == "--join" || f == "--tls" || f == "--tls-cert" }); !s.secret {
		ts.Setenv("CHATCLI_SERVER", "nats://"+s.listen)
	}
	ts.Setenv("CHATCOORD_DATA_DIR", filepath.Join(s.dir, "data"))
	_ = a.next("SERVER   chatcoord 0.1.0 ready: *", "SERVER   watch with: *") // --show none has no second one
}

// serve starts a coordinator; a second one takes the place of the first.
func (s *stage) serve(flags []string) (*actor, error) {
	if s.listen == "" {
		s.listen = "127.0.0.1:0"
	}
	all := flags
	if !slices.ContainsFunc(flags, func(f string) bool { return strings.HasPrefix(f, "--listen") }) {
		all = append(all, "--listen", s.listen)
	}
	if !slices.Contains(flags, "--ephemeral") {
		all = append(all, "--data-dir", filepath.Join(s.dir, "data"))
	}
	a, err := launch("chatcoord", all, s.environ("coord"), nil)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(flags, "json") {
		a.view = onConsole()
	}
	s.actors["coord"] = a
	url := a.find(regexp.MustCompile(`ready: embedded broker on (?:nats|tls)://([^\s,]+), `))
	if url == nil {
		return nil, fmt.Errorf("chatcoord is not ready:\n%s%s", a, &a.err)
	}
	s.listen = url[1]
	return a, nil
}

// refuse runs a coordinator that does not come up: within a second, with one sentence.
func (s *stage) refuse(ts *testscript.TestScript, code string, args []string) {
	a, err := launch("chatcoord", args, s.environ("coord"), nil)
	ts.Check(err)
	defer a.stop()
	if got := a.exit(); got != code || a.out.String() != "" || strings.Count(a.err.String(), "\n") != 1 {
		ts.Fatalf("chatcoord %q exits with %s, not with %s and one line:\n%s%s", args, got, code, a, &a.err)
	}
	ts.Logf("%s", &a.err)
}

// environ is the environment of one user's program: everybody has a home of their own.
func (s *stage) environ(name string) []string {
	env := []string{"HOME=" + filepath.Join(s.dir, "home", name), "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=UTC"}
	if s.listen != "" && !s.secret {
		env = append(env, "CHATCLI_SERVER=nats://"+s.listen)
	}
	return env
}

func (s *stage) start(ts *testscript.TestScript, name string, args []string) {
	s.launch(ts, name, nil, args)
}

func (s *stage) launch(ts *testscript.TestScript, name string, in *os.File, args []string) *actor {
	if old := s.actors[name]; old != nil {
		old.stop()
	}
	a, err := launch("chatcli", append([]string{"--plain"}, args...), s.environ(name), in)
	ts.Check(err)
	s.actors[name] = a
	return a
}

func (s *stage) user(ts *testscript.TestScript, name string, flags []string) {
	a := s.launch(ts, name, nil, append([]string{"--presence", "visible", name}, flags...))
	if !a.see(menu...) {
		ts.Fatalf("%s has no menu:\n%s", name, a)
	}
}

func (s *stage) feed(ts *testscript.TestScript, name string, args []string) {
	in, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer in.Close()
	s.launch(ts, name, in, args[1:])
}

func (s *stage) enter(ts *testscript.TestScript, name string, lines []string) {
	_, err := fmt.Fprintln(s.actor(ts, name).in, strings.Join(lines, "\n"))
	ts.Check(err)
}

var menu = []string{"1. List users", "2. Chat", "3. Exit", "4. Group chat", "Enter your choice: "}

// whole writes out the word "menu", and tabs.
func whole(lines []string) []string {
	var all []string
	for _, l := range lines {
		if l == "menu" {
			all = append(all, menu...)
		} else {
			all = append(all, strings.ReplaceAll(l, `\t`, "\t"))
		}
	}
	return all
}

func (s *stage) see(ts *testscript.TestScript, name string, lines []string) {
	if a := s.actor(ts, name); !a.see(whole(lines)...) {
		ts.Fatalf("%s does not see %q:\n%s", name, lines, a)
	}
}

func (s *stage) next(ts *testscript.TestScript, name string, lines []string) {
	if a := s.actor(ts, name); !a.next(whole(lines)...) {
		ts.Fatalf("%s does not see %q next:\n%s", name, lines, a)
	}
}

func find(ts *testscript.TestScript, neg bool, args []string) {
	a := ts.Value("stage").(*stage).actor(ts, args[0])
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	switch {
	case neg && slices.ContainsFunc(a.lines(), re.MatchString):
		ts.Fatalf("%s sees %s:\n%s", args[0], args[1], a)
	case !neg && a.find(re) == nil:
		ts.Fatalf("%s does not see %s:\n%s", args[0], args[1], a)
	}
}

func (s *stage) once(ts *testscript.TestScript, name string, patterns []string) {
	lines := s.actor(ts, name).lines()
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		ts.Check(err)
		other := slices.DeleteFunc(slices.Clone(lines), re.MatchString)
		if n := len(lines) - len(other); n != 1 {
			ts.Fatalf("%s sees %s %d times:\n%s", name, p, n, s.actors[name])
		}
	}
}

func (s *stage) eof(ts *testscript.TestScript, name string, _ []string) {
	ts.Check(s.actor(ts, name).in.Close())
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL,
	"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}

func (s *stage) signal(ts *testscript.TestScript, name string, args []string) {
	ts.Check(s.actor(ts, name).cmd.Process.Signal(signals[args[0]]))
}

func (s *stage) exits(ts *testscript.TestScript, name string, code []string) {
	want := "0"
	if len(code) > 0 {
		want = code[0]
	}
	if a := s.actor(ts, name); a.exit() != want {
		ts.Fatalf("%s exits with %s, not with %s:\n%s%s", name, a.exit(), want, a, &a.err)
	}
}

// said compares; $WORK and the like in the file are written out.
func (s *stage) said(ts *testscript.TestScript, name string, file []string) {
	a := s.actor(ts, name)
	a.exit()
	s.compare(ts, name, a.out.String(), ts.ReadFile(file[0]))
}

func (s *stage) erred(ts *testscript.TestScript, name string, file []string) {
	a := s.actor(ts, name)
	a.exit()
	s.compare(ts, name, a.err.String(), ts.ReadFile(file[0]))
}

func (s *stage) compare(ts *testscript.TestScript, name, got, want string) {
	want = os.Expand(want, ts.Getenv)
	if got != want {
		ts.Fatalf("%s wrote\n%s\nand not\n%s", name, got, want)
	}
}
