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

	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
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
		for n := range *rows {
			t.Run(fmt.Sprintf("%s/%d", op.name, n), func(t *testing.T) {
				t.Parallel()
				newStage(t, op).everyStep(t, op)
			})
		}
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
	for k := range len(steps) + 1 {
		t.Run(fmt.Sprintf("after %d", k), func(t *testing.T) { g.play(t, op, k, false) })
		if k > 0 {
			t.Run(fmt.Sprintf("after %d, unanswered", k), func(t *testing.T) { g.play(t, op, k, true) })
		}
	}
	t.Logf("%d steps, %d kills, %d of them in between", len(steps), g.plays, g.within)
	if !t.Failed() && g.within < len(steps) {
		t.Error("the line was hardly ever shut")
	}
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
	case err = <-came:
		over = true
		g.line.still(done, reached)
	}
	g.line.close()
	g.s.replicas[0].kill()
	passed := g.line.steps()
	select {
	case <-reached:
		g.within++
	default:
	}
	g.line.open()
	g.s.replicas[0].start()
	if !over {
		err = <-came
	}
	return passed, err
}

// news is what an event tells somebody of a session: how it is now, and whether it is over.
func news(a *actor, event client.Event) (id, now string, over bool) {
	switch e := event.(type) {
	case session.Invited:
		return e.Session.ID, "invited", false
	case session.Opened:
		return e.Session.ID, "open", false
	case session.InvitationEnded:
		return e.Session.ID, string(e.Session.Reason), true
	case session.Ended:
		return e.Session.ID, string(e.Session.Reason), true
	case session.MemberLeft:
		if e.Name == chat.Name(a.name) {
			return e.Session.ID, string(e.Reason), true
		}
	}
	return "", "", false
}

// fates are how sessions are, as far as somebody has been told. What is told twice or after the
// end is no fate.
func fates(a *actor) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ended := map[string]string{}, map[string]bool{}
	for _, s := range a.told {
		id, now, over := news(a, s.event)
		if id == "" {
			continue
		}
		if ended[id] || known[id] == now || strings.Contains(known[id], andThen) {
			now = known[id] + andThen + now
		}
		known[id], ended[id] = now, ended[id] || over
	}
	return known
}

const andThen = ", and then "

// once fails for what somebody was told more than once, or of what had ended for them.
func (p *play) once() {
	p.Helper()
	for _, a := range p.all {
		for id, fate := range fates(a) {
			if strings.Contains(fate, andThen) {
				p.Errorf("%s is told of %s: %s", a.name, id, fate)
			}
		}
	}
}

// share waits until all have been told the same of a session.
func (p *play) share(id, want string, who ...*actor) {
	p.Helper()
	for _, a := range who {
		p.eventually(func() string {
			if has := fates(a)[id]; has != want {
				return fmt.Sprintf("to %s the session is %q, not %q", a.name, has, want)
			}
			return ""
		})
	}
}

// eventually waits until nothing is wrong.
func (p *play) eventually(wrong func() string) {
	p.Helper()
	for late := time.After(timeout); ; {
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
	reply, err := rpc.Call(ctx, p.operator, chat.AdminSessions, chat.Address{}, chat.AdminRequest{})
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
			mine, in := chattest.Session(a.Client)
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
			if _, in := chattest.Session(a.Client); in || len(a.Invitations()) > 0 || len(p.sessions()[a]) > 0 {
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
	p.once()
	if of := p.sessions(); len(of) > 0 {
		p.Errorf("everybody has left, but not %v", of)
	}
	first := p.all[0]
	_, err := enters(p.Context(), p.s.urls(), "", first.name, askFor)
	if !errors.Is(err, &chat.Error{Code: chat.Taken}) {
		p.Errorf("another key asks for %s: %v", first.name, err)
	}
	if known, err := enters(p.Context(), p.s.urls(), first.keys, first.name, askFor); err != nil || !known {
		p.Errorf("%s was welcome, and is known: %t, %v", first.name, known, err)
	}
	here, err := rpc.Call(p.Context(), p.operator, chat.AdminUsers, chat.Address{}, chat.AdminRequest{})
	must(p.T, err)
	if len(here.Users) != 1 {
		p.Errorf("everybody has left, but there are %v", here.Users)
	}
}
