//go:build faults

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/chat"
	"natter/internal/client"
	"natter/internal/setup"
	"natter/session"
)

// done is how long a coordinator must have published nothing for an operation to be over: it
// waits for nothing longer than a terminal that is signed out has to go by itself.
const done = 500 * time.Millisecond

// forgottenIn is how soon after everybody has gone nothing is left where coordinators did not
// live long enough to bury anything: the last one begins anew to wait the minute for that.
const forgottenIn = idleIn + time.Minute

// F05: kill -9 of the coordinator between every two steps of every operation. What a step is
// can be seen from outside: a record, a notice, an answer, each is a message to NATS. For each
// number of them that may pass, the operation is played with new people, nothing passes
// after that, and the coordinator is killed and started again: before it says the next one, or
// when NATS has the last one and its answer is on the way. The people do nothing about it.
func TestF05KilledBetweenSteps(t *testing.T) {
	build(t)
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			g := newStage(t, op)
			g.everyStep(t, op)
		})
	}
}

// stage is an installation with one coordinator, on which one play follows the other.
type stage struct {
	s        *servers
	line     *sluice // of the coordinator
	watcher  *actor  // somebody else
	operator *nats.Conn
	fresh    use
	plays    int
	within   int // plays in which the coordinator had more to say
}

func newStage(t *testing.T, op operation) *stage {
	t.Helper()
	s := layout{addresses: []string{"127.0.0.1"}, replicas: 1, grace: op.grace}.plan(t)
	g := &stage{s: s, line: newSluice(t, s.addresses[0])}
	coordinator := s.replicas[0]
	coordinator.args[slices.Index(coordinator.args, s.urls())] = g.line.url()
	coordinator.args = append(coordinator.args, append([]string{"--rate", "0", "--rate-invites", "0", "--rate-lists", "0"}, op.flags...)...)
	begin(t, s)
	keys, err := setup.Open(s.keys)
	must(t, err)
	g.operator, err = keys.Dial(s.urls(), setup.Operator)
	must(t, err)
	t.Cleanup(g.operator.Close)
	g.fresh = fresh(t, s)
	g.watcher = newActor(t, s, "watcher")
	must(t, g.watcher.live())
	return g
}

// everyStep plays an operation once to see how many steps it has, then kills at each.
func (g *stage) everyStep(t *testing.T, op operation) {
	var steps []string
	t.Run("whole", func(t *testing.T) { steps = g.play(t, op, math.MaxInt, false) })
	t.Logf("%d steps: %s", len(steps), strings.Join(steps, ", "))
	if len(steps) == 0 {
		t.Fatal("the coordinator does nothing for it")
	}
	for n := range *rows {
		for k := range len(steps) + 1 {
			t.Run(fmt.Sprintf("%d/after %d", n, k), func(t *testing.T) { g.play(t, op, k, false) })
			if k > 0 {
				t.Run(fmt.Sprintf("%d/after %d, unanswered", n, k), func(t *testing.T) { g.play(t, op, k, true) })
			}
		}
	}
	t.Logf("%d steps, %d kills, %d of them before the last", len(steps), g.plays, g.within)
	must(t, g.watcher.Exit(t.Context()))
	idleWithin(t, g.s, g.fresh, leeway, forgottenIn)
}

// play is an operation with people of its own, in which the coordinator dies once.
type play struct {
	*testing.T
	*stage
	all []*actor
	id  string    // of the session that it is about
	at  time.Time // when it began
}

// play returns what the coordinator did until it died.
func (g *stage) play(t *testing.T, op operation, steps int, deaf bool) []string {
	g.plays++
	p := &play{T: t, stage: g}
	for n := range op.people {
		p.all = append(p.all, newActor(t, g.s, fmt.Sprintf("%c-%d", 'a'+n, g.plays)))
	}
	op.before(p)
	g.line.still(100*time.Millisecond, nil)
	g.line.arm(steps, deaf)
	p.at = time.Now()
	came := make(chan error, 1)
	go func() { came <- op.do(p) }()
	passed, err := g.killWhen(came)
	if err != nil {
		t.Errorf("%s: %v", op.name, err)
	}
	op.after(p)
	p.agrees()
	p.freed()
	p.left()
	if t.Failed() {
		t.Logf("after %v", passed)
	}
	return passed
}

// killWhen kills the coordinator when as many steps as may be are done, or all that there
// are, and starts it again. It returns what the operation does when that is over.
func (g *stage) killWhen(came <-chan error) ([]string, error) {
	reached := g.line.reached()
	var err error
	over := false
	select {
	case <-reached:
		g.within++
	case err = <-came:
		over = true
		g.line.still(done, reached)
	}
	g.line.close()
	g.s.replicas[0].kill()
	passed := g.line.steps()
	g.line.open()
	g.s.replicas[0].start()
	if !over {
		err = <-came
	}
	return passed, err
}

// fate is what somebody has been told of a session: how it is now, as far as they know. "" is
// nothing. What is told twice or after the end is no fate.
func fate(a *actor, id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, over := "", false
	for _, s := range a.told {
		next, of, ends := now, "", false
		switch e := s.event.(type) {
		case session.Invited:
			next, of = "invited", e.Session.ID
		case session.Opened:
			next, of = "open", e.Session.ID
		case session.InvitationEnded:
			next, of, ends = string(e.Session.Reason), e.Session.ID, true
		case session.Ended:
			next, of, ends = string(e.Session.Reason), e.Session.ID, true
		case session.MemberLeft:
			if e.Name != chat.Name(a.name) {
				continue
			}
			next, of, ends = string(chat.ByLeave), e.Session.ID, true
		}
		if of != id {
			continue
		}
		if over || next == now {
			return now + ", then " + next
		}
		now, over = next, ends
	}
	return now
}

// share waits until all have been told the same of a session.
func (p *play) share(id, want string, who ...*actor) {
	p.Helper()
	for _, a := range who {
		p.eventually(func() string {
			if has := fate(a, id); has != want {
				return fmt.Sprintf("to %s the session is %q, not %q", a.name, has, want)
			}
			return ""
		})
	}
}

// eventually waits until nothing is wrong.
func (p *play) eventually(wrong func() string) {
	p.Helper()
	for late := time.After(patience); ; {
		found := wrong()
		if found == "" {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			p.Fatal(found)
		}
	}
}

// sessions are what the coordinator has of these people.
func (p *play) sessions() (of map[*actor][]chat.Session) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), askFor)
	defer cancel()
	reply, err := broker.Call(ctx, p.operator, chat.AdminSessions, chat.Address{}, chat.AdminRequest{})
	must(p.T, err)
	of = map[*actor][]chat.Session{}
	for _, s := range reply.Sessions {
		for _, a := range p.all {
			if _, in := s.Member(chat.Name(a.name).User()); in {
				of[a] = append(of[a], s)
			}
		}
	}
	return of
}

// agrees fails unless what the coordinator has, what each of the people takes part in and what
// somebody else sees in the list is the same, and nobody is in two chats.
func (p *play) agrees() {
	p.Helper()
	p.eventually(func() string {
		of := p.sessions()
		seen, err := p.watcher.List(p.Context())
		must(p.T, err)
		for _, a := range p.all {
			open := slices.DeleteFunc(slices.Clone(of[a]), func(s chat.Session) bool { return s.State != chat.Open })
			if len(open) > 1 {
				p.Fatalf("%s is in %d chats", a.name, len(open))
			}
			mine, in := a.Session()
			i := slices.IndexFunc(seen, func(e chat.Entry) bool { return e.Name == chat.Name(a.name) })
			switch {
			case in != (len(open) == 1) || in && mine.ID != open[0].ID:
				return fmt.Sprintf("%s is in %v, to the coordinator in %v", a.name, mine, open)
			case i < 0:
				return a.name + " is in no list"
			case seen[i].Busy != in || in && len(seen[i].With) != len(open[0].Present())-1:
				return fmt.Sprintf("%s is in a chat: %t, in the list: %v", a.name, in, seen[i])
			}
		}
		return ""
	})
}

// freed ends everything, after which these people have a chat with each other.
func (p *play) freed() {
	p.Helper()
	for _, a := range p.all {
		for _, s := range p.sessions()[a] {
			if s.State == chat.Open {
				must(p.T, a.Quit(p.Context()))
			} else if s.Host == chat.Name(a.name).User() {
				must(p.T, a.Withdraw(p.Context(), s.ID))
			}
		}
	}
	p.eventually(func() string {
		for _, a := range p.all {
			if _, in := a.Session(); in || len(a.Invitations()) > 0 || len(p.sessions()[a]) > 0 {
				return fmt.Sprintf("%s is still busy", a.name)
			}
		}
		return ""
	})
	id := together(p.T, p.all...)
	p.talk(p.all...)
	must(p.T, p.all[0].Quit(p.Context()))
	p.share(id, string(chat.ByQuit), p.all...)
}

// talk fails unless each one's message comes to all the others once.
func (p *play) talk(who ...*actor) {
	p.Helper()
	for _, a := range who {
		text := fmt.Sprintf("%s, %s", a.name, time.Now())
		must(p.T, a.Say(text))
		for _, other := range who {
			p.eventually(func() string {
				times := len(slices.DeleteFunc(other.heard(), func(heard string) bool { return heard != text }))
				if other != a && times != 1 {
					return fmt.Sprintf("%s hears %s %d times", other.name, a.name, times)
				}
				return ""
			})
		}
	}
}

// left has everybody go. Nothing of them is left, but their names: to them, and nobody else.
func (p *play) left() {
	p.Helper()
	for _, a := range p.all {
		must(p.T, a.Exit(p.Context()))
	}
	if of := p.sessions(); len(of) > 0 {
		p.Errorf("everybody has left, but not %v", of)
	}
	here, err := broker.Call(p.Context(), p.operator, chat.AdminUsers, chat.Address{}, chat.AdminRequest{})
	must(p.T, err)
	if len(here.Users) != 1 {
		p.Errorf("everybody has left, but there are %v", here.Users)
	}
	first := p.all[0]
	_, err = enters(p.Context(), p.s.urls(), "", first.name, askFor)
	if !errors.Is(err, &chat.Error{Code: chat.ForeignKey}) {
		p.Errorf("another key asks for %s: %v", first.name, err)
	}
	if known, err := enters(p.Context(), p.s.urls(), first.keys, first.name, askFor); err != nil || !known {
		p.Errorf("%s was welcome, and is known: %t, %v", first.name, known, err)
	}
}

// operation is something that people do.
type operation struct {
	name   string
	people int
	grace  string            // "" is as for others
	flags  []string          // of the coordinator
	before func(*play)       // what was so before
	do     func(*play) error // with how many steps the coordinator does this
	after  func(*play)       // what all are told and may expect
}

var operations = []operation{
	{name: "a new name", people: 2,
		before: func(p *play) { must(p.T, p.all[1].live()) },
		do:     func(p *play) error { return p.soon(p.all[0].enter) },
		after:  func(p *play) { must(p.T, p.all[0].SetPresence(p.Context(), true)) },
	},
	{name: "presence", people: 2,
		before: func(p *play) { must(p.T, p.all[1].live()); must(p.T, p.soon(p.all[0].enter)) },
		do:     func(p *play) error { return p.all[0].SetPresence(p.Context(), true) },
		after:  func(p *play) {},
	},
	{name: "invite", people: 2, before: come,
		do:    func(p *play) (err error) { p.id, err = p.invites(0, 1); return err },
		after: func(p *play) { p.share(p.id, "invited", p.all[1]) },
	},
	{name: "invite the host", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { _, err := p.invites(1, 0); return err },
		after:  func(p *play) { p.share(p.id, "open", p.all...); p.talk(p.all...) },
	},
	{name: "accept", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { return p.answers(1, true) },
		after:  func(p *play) { p.share(p.id, "open", p.all...); p.talk(p.all...) },
	},
	{name: "two accept", people: 3,
		before: func(p *play) { come(p); p.invited(0, 1, 2) },
		do:     func(p *play) error { return errors.Join(p.answers(1, true), p.answers(2, true)) },
		after:  func(p *play) { p.share(p.id, "open", p.all...); p.talk(p.all...) },
	},
	{name: "accept one of two", people: 3,
		before: func(p *play) { come(p); p.invited(2, 1); p.invited(0, 1) },
		do:     func(p *play) error { return p.answers(1, true) },
		after: func(p *play) {
			p.share(p.id, "open", p.all[:2]...)
			p.talk(p.all[:2]...)
			told[session.InvitationEnded](p.all[1], p.at)
			if e, _ := told[session.InvitationEnded](p.all[2], p.at); e.Session.Reason != chat.ByGone {
				p.Errorf("the other invitation ends as %s", e.Session.Reason)
			}
		},
	},
	{name: "deny", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { return p.answers(1, false) },
		after:  func(p *play) { p.share(p.id, string(chat.ByDeny), p.all...) },
	},
	{name: "deny when another one has accepted", people: 3,
		before: func(p *play) { come(p); p.invited(0, 1, 2); must(p.T, p.answers(1, true)) },
		do:     func(p *play) error { return p.answers(2, false) },
		after:  func(p *play) { p.share(p.id, string(chat.ByDeny), p.all...) },
	},
	{name: "withdraw", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { return p.all[0].Withdraw(p.Context(), p.id) },
		after:  func(p *play) { p.share(p.id, string(chat.ByWithdraw), p.all...) },
	},
	{name: "expire", people: 2, flags: []string{"--invite-timeout", "3s"},
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { told[session.InvitationEnded](p.all[0], p.at); return nil },
		after:  func(p *play) { p.share(p.id, string(chat.ByExpiry), p.all...) },
	},
	{name: "quit", people: 2,
		before: chatting,
		do:     func(p *play) error { return p.all[1].Quit(p.Context()) },
		after:  func(p *play) { p.share(p.id, string(chat.ByQuit), p.all...) },
	},
	{name: "leave", people: 3,
		before: chatting,
		do:     func(p *play) error { return p.all[1].Leave(p.Context()) },
		after: func(p *play) {
			p.share(p.id, string(chat.ByLeave), p.all[1])
			for _, a := range []*actor{p.all[0], p.all[2]} {
				told[session.MemberLeft](a, p.at)
				p.share(p.id, "open", a)
			}
			p.talk(p.all[0], p.all[2])
		},
	},
	{name: "exit", people: 2,
		before: come,
		do:     func(p *play) error { return p.all[1].Exit(p.Context()) },
		after:  func(p *play) { p.gone(1); must(p.T, p.all[1].live()) },
	},
	{name: "exit from a chat", people: 2,
		before: chatting,
		do:     func(p *play) error { return p.all[1].Exit(p.Context()) },
		after: func(p *play) {
			p.gone(1)
			p.share(p.id, string(chat.ByQuit), p.all[0])
			must(p.T, p.all[1].live())
		},
	},
	{name: "take over", people: 2,
		before: func(p *play) {
			chatting(p)
			p.all = append(p.all, newActor(p.T, p.s, p.all[0].name))
			p.all[2].keys, p.all[2].over = p.all[0].keys, true
		},
		do: func(p *play) error { return p.all[2].live() },
		after: func(p *play) {
			if e, _ := told[client.SignedOut](p.all[0], p.at); !e.Elsewhere {
				p.Errorf("the other terminal is told %v", e)
			}
			p.all = []*actor{p.all[2], p.all[1]}
			p.share(p.id, "open", p.all...)
			p.talk(p.all...)
		},
	},
	{name: "come back", people: 2,
		before: func(p *play) {
			chatting(p)
			told[session.MemberLost](p.all[0], p.all[1].dies())
			p.all[1].over = true
		},
		do: func(p *play) error { return p.all[1].live() },
		after: func(p *play) {
			told[session.MemberBack](p.all[0], p.at)
			p.share(p.id, "open", p.all...)
			p.talk(p.all...)
		},
	},
	{name: "loss", people: 2, grace: "1s",
		before: chatting,
		do: func(p *play) error {
			p.all[1].dies()
			told[session.Ended](p.all[0], p.at)
			return nil
		},
		after: func(p *play) {
			p.share(p.id, string(chat.ByLoss), p.all[0])
			p.gone(1)
			must(p.T, p.all[1].live())
		},
	},
}

func come(p *play) {
	for _, a := range p.all {
		must(p.T, a.live())
	}
}

func chatting(p *play) {
	come(p)
	p.id = together(p.T, p.all...)
	p.talk(p.all...)
}

// soon gives something the time that a user has for it.
func (p *play) soon(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(p.Context(), askFor)
	defer cancel()
	return do(ctx)
}

func (p *play) invites(host int, guests ...int) (id string, err error) {
	var names []string
	for _, n := range guests {
		names = append(names, p.all[n].name)
	}
	s, err := p.all[host].Invite(p.Context(), names...)
	return s.ID, err
}

// invited has somebody invite others, who are told.
func (p *play) invited(host int, guests ...int) {
	p.Helper()
	id, err := p.invites(host, guests...)
	must(p.T, err)
	for _, n := range guests {
		p.share(id, "invited", p.all[n])
	}
	p.id = id
}

func (p *play) answers(n int, accept bool) error { return p.all[n].Answer(p.Context(), p.id, accept) }

// gone waits until somebody else does not see a user any more.
func (p *play) gone(n int) {
	p.Helper()
	p.eventually(func() string {
		seen, err := p.watcher.List(p.Context())
		must(p.T, err)
		if slices.ContainsFunc(seen, func(e chat.Entry) bool { return e.Name == chat.Name(p.all[n].name) }) {
			return p.all[n].name + " has left, and is in the list"
		}
		return ""
	})
}
