package session_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/session"
)

var rewrite = flag.Bool("rewrite", false, "write the outcomes in testdata/*.txt anew")

// TestScripts plays the scripts in testdata. A script is made of blocks: commands,
// a line ----, what came of them, an empty line. Lines beginning with # are comments.
//
//	user NAME visible|hidden         is present; whoever comes back has forgotten nothing
//	gone NAME                        is not, and nothing is repaired yet
//	invite HOST GUEST...             also: accept, deny, withdraw, quit, bye, leave, move
//	                                 NAME [ID], expire ID; without an id, the first
//	                                 session that the step could be about
//	block NAME NAME, unblock NAME NAME
//	repair                           every step that has become necessary
//	lose NAME, back NAME             the connection, as members see it
//	away NAME, return NAME           notices are missed; the last one arrives
//	forget NAME                      the program is started again and is told
//	                                 of what is still going on
//	reset                            a new world
//
// Printed are the record after each step and, for everybody who is told, what
// their story is; "-" is a notice that says nothing new.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var played bytes.Buffer
	stage := newStage()
	recorded := false // inside of what a block printed
	for line := range strings.Lines(string(script)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			recorded = true
			fmt.Fprintf(&played, "----\n%s", stage.out.String())
			stage.out.Reset()
		case line == "":
			recorded = false
			fmt.Fprintln(&played)
		case !recorded:
			fmt.Fprintln(&played, line)
			if !strings.HasPrefix(line, "#") {
				stage.play(strings.Fields(line))
			}
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, played.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(script, played.Bytes()) {
		t.Errorf("%s plays differently (-rewrite records it):\n%s", file, firstDifference(string(script), played.String()))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nrecorded: %s\nplayed:   %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines recorded, %d played", len(w), len(g))
}

var scriptRules = chat.Rules{MaxGroup: 8, InviteTimeout: time.Minute}

// person is a user, and what they know of the sessions they were told of.
type person struct {
	name    chat.Name
	visible bool
	present bool
	removed bool
	lost    bool
	away    bool
	known   map[string]chat.Session
	blocks  map[chat.User]bool
}

// stage is a World in which users act, and tells each what happens.
type stage struct {
	people   map[chat.User]*person
	sessions []chat.Session // by id: the first is 1
	now      time.Time
	out      strings.Builder
}

func newStage() *stage {
	return &stage{people: map[chat.User]*person{}, now: time.Unix(0, 0).UTC()}
}

func (st *stage) User(u chat.User) (chat.Name, bool, bool) {
	p := st.people[u]
	if p == nil || !p.present {
		return "", false, false
	}
	return p.name, p.visible, true
}

func (st *stage) Blocks(u, other chat.User) bool { return st.people[u].blocks[other] }

func (st *stage) Removed(u chat.User) bool {
	p := st.people[u]
	return p != nil && p.removed
}

func (st *stage) Of(u chat.User) []chat.Session {
	var of []chat.Session
	for _, s := range st.sessions {
		if _, in := s.Member(u); in && s.State != chat.Closed {
			of = append(of, s)
		}
	}
	return of
}

// play carries out one command.
func (st *stage) play(words []string) {
	st.now = st.now.Add(time.Second)
	switch cmd, args := words[0], words[1:]; cmd {
	case "reset":
		st.people, st.sessions = map[chat.User]*person{}, nil
	case "user":
		name := chat.Name(args[0])
		known := map[string]chat.Session{}
		if p := st.people[name.User()]; p != nil {
			known = p.known
		}
		st.people[name.User()] = &person{name: name, present: true, visible: args[1] == "visible", known: known, blocks: map[chat.User]bool{}}
	case "repair":
		st.repair()
	case "block", "unblock":
		st.people[chat.Name(args[0]).User()].blocks[chat.Name(args[1]).User()] = cmd == "block"
	case "gone", "removed", "lose", "back", "away", "return", "forget":
		st.fate(cmd, chat.Name(args[0]).User())
	default:
		st.step(cmd, args)
	}
}

// fate changes the circumstances of one user.
func (st *stage) fate(cmd string, u chat.User) {
	p := st.people[u]
	switch cmd {
	case "gone", "removed":
		p.present, p.away, p.removed = false, true, cmd == "removed"
	case "lose", "back":
		p.lost = cmd == "lose"
		for _, s := range st.Of(u) {
			st.tell(s, session.Audience(s, s))
		}
	case "away":
		p.away = true
	case "return":
		p.away = false
		for _, s := range st.sessions {
			st.tell(s, []chat.User{u})
		}
	case "forget":
		p.known = map[string]chat.Session{}
		for _, s := range st.Of(u) {
			st.tell(s, []chat.User{u})
		}
	}
}

// step is one rule, played.
func (st *stage) step(cmd string, args []string) {
	if cmd == "expire" {
		st.commit(session.Expire(st.target(cmd, "", args)))
		return
	}
	u := chat.Name(args[0]).User()
	if cmd == "invite" {
		st.commit(session.Propose(st, u, fmt.Sprint(len(st.sessions)+1), args[1:], chat.Transparent, scriptRules, st.now))
		return
	}
	s := st.target(cmd, u, args[1:])
	switch cmd {
	case "accept", "deny":
		st.commit(session.Answer(st, s, u, cmd == "accept", st.now))
	case "withdraw":
		st.commit(session.Withdraw(s, u))
	case "quit", "bye":
		st.commit(session.End(s, u, chat.Reason(cmd)))
	case "leave":
		st.commit(session.Leave(s, u, chat.ByLeave))
	case "move":
		st.commit(session.Move(s, u))
	default:
		fmt.Fprintf(&st.out, "no such command: %s\n", cmd)
	}
}

// target finds the session that a step is about.
func (st *stage) target(cmd string, u chat.User, id []string) chat.Session {
	for _, s := range st.sessions {
		_, in := s.Member(u)
		possible := map[string]bool{
			"accept": s.State == chat.Proposed && s.Host != u, "deny": s.State == chat.Proposed && s.Host != u,
			"withdraw": s.State == chat.Proposed && s.Host == u,
		}
		can, invitation := possible[cmd]
		if len(id) > 0 && s.ID == id[0] || len(id) == 0 && in && (can || !invitation && s.State == chat.Open) {
			return s
		}
	}
	return chat.Session{}
}

// repair repeats the necessary steps until there are none.
func (st *stage) repair() {
	for i := 0; i < len(st.sessions); i++ {
		if after, ok := session.Repair(st, st.sessions[i]); ok {
			st.commit(after, nil)
			i = -1
		}
	}
}

// commit stores the outcome of a rule, and tells it.
func (st *stage) commit(s chat.Session, err error) {
	var sentence *chat.Error
	switch {
	case errors.Is(err, session.ErrUnchanged):
		fmt.Fprintf(&st.out, "%s: unchanged\n", s.ID)
	case errors.As(err, &sentence):
		fmt.Fprintf(&st.out, "%s: %s\n", sentence.Code, sentence.Text)
	case err != nil:
		fmt.Fprintf(&st.out, "fault: %v\n", err)
	default:
		before := st.store(s)
		fmt.Fprintln(&st.out, showRecord(s))
		st.tell(s, session.Audience(before, s))
	}
}

func (st *stage) store(s chat.Session) (before chat.Session) {
	for i, old := range st.sessions {
		if old.ID == s.ID {
			st.sessions[i] = s
			return old
		}
	}
	st.sessions = append(st.sessions, s)
	return chat.Session{}
}

// tell gives the users a notice of s, which shows who is lost.
func (st *stage) tell(s chat.Session, users []chat.User) {
	s.Members = slices.Clone(s.Members)
	for i, m := range s.Members {
		s.Members[i].Lost = st.people[m.User()].lost
	}
	for _, u := range users {
		p := st.people[u]
		if p.away {
			continue
		}
		fmt.Fprintf(&st.out, "  %s: %s\n", p.name, showStory(session.Diff(u, p.known[s.ID], s)))
		p.known[s.ID] = s
	}
}

// showRecord prints what a step can change.
func showRecord(s chat.Session) string {
	var members []string
	for _, m := range s.Members {
		as := "asked"
		switch {
		case m.Left != "":
			as = string(m.Left)
		case m.Accepted:
			as = "in"
		}
		members = append(members, fmt.Sprintf("%s %s", m.Name, as))
	}
	line := fmt.Sprintf("%s: %s", s.Channel(), s.State)
	if s.State == chat.Closed {
		line += fmt.Sprintf(", %s by %v", s.Reason, s.By)
	}
	return line + " (" + strings.Join(members, ", ") + ")"
}

func showStory(events []session.Event) string {
	if len(events) == 0 {
		return "-"
	}
	var words []string
	for _, e := range events {
		words = append(words, showEvent(e))
	}
	return strings.Join(words, "; ")
}

func showEvent(e session.Event) string {
	switch e := e.(type) {
	case session.Invited:
		return "invited by " + string(e.Session.NameOf(e.Session.Host))
	case session.Accepted:
		return fmt.Sprintf("%s accepted (%d of %d)", e.By, e.Count, e.Of)
	case session.InvitationEnded:
		return fmt.Sprintf("invitation %s by %v", e.Session.Reason, e.Session.By)
	case session.Opened:
		return "opened"
	case session.MemberLeft:
		return fmt.Sprintf("%s is out (%s)", e.Name, e.Reason)
	case session.MemberLost:
		return fmt.Sprintf("%s lost", e.Name)
	case session.MemberBack:
		return fmt.Sprintf("%s back", e.Name)
	case session.Ended:
		return fmt.Sprintf("ended, %s by %v", e.Session.Reason, e.Session.By)
	}
	return fmt.Sprintf("%T", e)
}
