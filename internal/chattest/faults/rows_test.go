//go:build faults

package faults_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest/faults"
	"natter/session"
)

// The rows are fixed scenarios, each with the bounds that users are promised. What the
// schedules draw by chance happens here every time.
var rows = flag.Int("faults.rows", 1, "how many times each fixed scenario is played")

const (
	graceTime   = 10 * time.Second // as grace
	atOnce      = 2 * time.Second  // a connection that is closed is noticed
	releasedIn  = 15 * time.Second // a name and a chat, when the program is dead
	backIn      = 5 * time.Second  // everybody, when the server is up again
	elsewhereIn = 10 * time.Second // from a line on which nothing arrives
	replicaIn   = 3 * time.Second  // another coordinator serves
	echoIn      = 50 * time.Millisecond
	deliveredIn = 1500 * time.Millisecond // with 300 ms each way at one end
)

// promised fails if something took longer than is promised.
func promised(t *testing.T, what string, took, bound time.Duration) {
	t.Helper()
	if t.Logf("%s: %s", what, took.Round(time.Millisecond)); took > bound {
		t.Errorf("%s: %s, promised are %s", what, took.Round(time.Millisecond), bound)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cast brings actors in; together they chat.
func cast(t *testing.T, s *servers, names ...string) (all []*actor) {
	t.Helper()
	for _, name := range names {
		a := newActor(t, s, name)
		must(t, a.live())
		all = append(all, a)
	}
	return all
}

func together(t *testing.T, all ...*actor) string {
	t.Helper()
	var guests []string
	for _, a := range all[1:] {
		guests = append(guests, a.name)
	}
	begin := time.Now()
	s, err := all[0].Invite(t.Context(), guests...)
	must(t, err)
	for _, a := range all[1:] {
		told[session.Invited](a, begin)
		must(t, a.Answer(t.Context(), s.ID, true))
	}
	for _, a := range all {
		told[session.Opened](a, begin)
	}
	return s.ID
}

// chatter says numbers until it is stopped, and then how many.
func chatter(t *testing.T, a *actor) (stop func() int) {
	end, said := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case <-end:
				said <- n
				return
			case <-time.After(50 * time.Millisecond):
			}
			if err := a.Say(strconv.Itoa(n)); err == nil { // else nothing was kept, as is said
				n++
			}
		}
	}()
	return func() int { close(end); return <-said }
}

// complete fails unless what came to a program is 0, 1, 2, ..., n-1, from some number on, and
// returns that.
func complete(t *testing.T, who string, heard []string, n int) (first int) {
	t.Helper()
	heard = spoilt(heard)
	if len(heard) == 0 {
		if n > 0 {
			t.Errorf("%s heard none of %d messages", who, n)
		}
		return n
	}
	first, err := strconv.Atoi(heard[0])
	must(t, err)
	for i, text := range heard {
		if text != strconv.Itoa(first+i) {
			t.Errorf("%s heard %q where %d was due: %v", who, text, first+i, heard)
			return first
		}
	}
	if first+len(heard) != n {
		t.Errorf("%s heard up to %d of %d messages", who, first+len(heard), n)
	}
	return first
}

// spoilt breaks what was heard where that was asked for, so that the rows are seen to object.
func spoilt(heard []string) []string {
	middle := len(heard) / 2
	switch {
	case middle == 0:
		return heard
	case *plant == "lose":
		return slices.Delete(slices.Clone(heard), middle, middle+1)
	case *plant == "twice":
		return slices.Insert(slices.Clone(heard), middle, heard[middle])
	}
	return heard
}

// flushed waits until what was said has arrived.
func flushed(t *testing.T, a *actor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		t.Errorf("what %s said does not arrive: %v", a.name, err)
	}
}

// row plays a scenario as often as was asked for, beside the others, each on servers of its own.
func row(t *testing.T, install func(*testing.T) *servers, play func(*testing.T, *servers)) {
	plays(t, func(t *testing.T, _ int) { play(t, install(t)) })
}

// plays is row for what makes its servers by itself.
func plays(t *testing.T, play func(t *testing.T, n int)) {
	build(t)
	t.Parallel()
	for n := range *rows {
		t.Run(strconv.Itoa(n), func(t *testing.T) { play(t, n) })
	}
}

func alone(t *testing.T) *servers { return embeddedServer(t) }
func three(t *testing.T) *servers { return cluster(t) }

// F01: a program is killed for good. The other one is told at once, and the chat and the name
// are given free when the grace time is over, not before.
func TestF01KilledForGood(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		together(t, two...)
		at := two[1].dies()
		_, lost := told[session.MemberLost](two[0], at)
		promised(t, "told of the loss", lost.Sub(at), atOnce)
		e, end := told[session.Ended](two[0], at)
		if e.Session.Reason != chat.ByLoss {
			t.Errorf("the chat has ended by %s", e.Session.Reason)
		}
		promised(t, "released", end.Sub(at), releasedIn)
		if end.Sub(at) < graceTime {
			t.Errorf("released after %s, before the grace time is over", end.Sub(at))
		}
		begin := time.Now()
		must(t, two[1].live())
		promised(t, "the name is usable again", time.Since(begin), atOnce)
		together(t, two...)
	})
}

// F02: it starts again in time. The chat goes on, and nothing is missing.
func TestF02KilledAndStartedAgain(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		id := together(t, two...)
		stop := chatter(t, two[0])
		<-time.After(300 * time.Millisecond)
		at := two[1].dies()
		before := len(two[1].heard())
		complete(t, "bob, before,", two[1].heard(), before)
		<-time.After(time.Second + rand.N(8*time.Second))
		begin := time.Now()
		must(t, two[1].live())
		e, _ := told[session.Opened](two[1], at)
		promised(t, "resumed", time.Since(begin), atOnce)
		if e.Session.ID != id {
			t.Errorf("another chat: %s after %s", e.Session.ID, id)
		}
		<-time.After(300 * time.Millisecond)
		n := stop()
		flushed(t, two[0])
		must(t, two[0].Quit(t.Context()))
		told[session.Ended](two[0], begin)
		told[session.Ended](two[1], begin)
		// What was shown a moment before the end could no longer be acknowledged.
		if first := complete(t, "bob", two[1].heard(), n); first > before || first < before-5 {
			t.Errorf("%d messages came before, and then from number %d on", before, first)
		}
		if k := counts[session.Ended](two[0]); k != 1 {
			t.Errorf("alice is told %d ends", k)
		}
	})
}

// F03: a line stands still for a moment: the chat goes on.
func TestF03FrozenForAMoment(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		together(t, two...)
		stop := chatter(t, two[0])
		two[1].relay.Set(faults.Flaw{HoldUp: true, HoldDown: true})
		<-time.After(5 * time.Second)
		two[1].relay.Set(faults.Flaw{})
		<-time.After(time.Second)
		n := stop()
		flushed(t, two[0])
		if k := counts[session.Ended](two[0]) + counts[session.MemberLeft](two[0]) + counts[session.Ended](two[1]); k > 0 {
			t.Error("the chat has ended")
		}
		must(t, two[0].Quit(t.Context()))
		told[session.Ended](two[1], time.Time{})
		complete(t, "bob", two[1].heard(), n)
	})
}

// F03: for longer than anybody waits: the chat ends, once, and the program says so when it
// is back.
func TestF03FrozenForLong(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		together(t, two...)
		at := time.Now()
		two[1].relay.Set(faults.Flaw{HoldUp: true, HoldDown: true})
		_, end := told[session.Ended](two[0], at)
		promised(t, "released", end.Sub(at), 30*time.Second+graceTime)
		must(t, two[1].Say("too late"))
		two[1].relay.Set(faults.Flaw{})
		told[session.Ended](two[1], at)
		if c, _ := told[client.Connected](two[1], at); c.Chat == nil || c.Chat.State != chat.Closed {
			t.Errorf("bob is told on coming back: %+v", c.Chat)
		}
		told[session.NotDelivered](two[1], at)
		if ends := [2]int{counts[session.Ended](two[0]), counts[session.Ended](two[1])}; ends != [2]int{1, 1} {
			t.Errorf("%v ends are told", ends)
		}
		if heard := two[0].heard(); len(heard) > 0 {
			t.Errorf("alice hears %v after the end", heard)
		}
	})
}

// F04: kill -9 of everything on the server, under load. The chats go on.
func TestF04ServerKilled(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		all := cast(t, s, "alice", "bob", "carol", "dave")
		together(t, all[:2]...)
		together(t, all[2:]...)
		stop := []func() int{chatter(t, all[0]), chatter(t, all[2])}
		<-time.After(rand.N(time.Second))
		at := time.Now()
		s.brokers[0].end(syscall.SIGKILL)
		<-time.After(2 * time.Second)
		s.brokers[0].start()
		up := time.Now()
		for _, a := range all {
			_, back := told[client.Connected](a, at)
			promised(t, a.name+" is back", back.Sub(up), backIn)
		}
		<-time.After(300 * time.Millisecond)
		for i, stop := range stop {
			n := stop()
			flushed(t, all[2*i])
			must(t, all[2*i].Quit(t.Context()))
			told[session.Ended](all[2*i+1], at)
			complete(t, all[2*i+1].name, all[2*i+1].heard(), n)
		}
	})
}

// F06: kill -9 of one of two coordinators: the other one serves.
func TestF06ReplicaKilled(t *testing.T) {
	row(t, three, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		for i, p := range s.replicas {
			s.replicas[i].end(syscall.SIGKILL)
			begin := time.Now()
			together(t, two...)
			must(t, two[i].Quit(t.Context()))
			promised(t, "a chat begun and ended", time.Since(begin), replicaIn)
			p.start()
		}
	})
}

// F15: nothing arrives on a connection, which stays open: another server is found.
func TestF15BlackHole(t *testing.T) {
	row(t, three, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		together(t, two...)
		stop := chatter(t, two[1])
		at := time.Now()
		two[0].relay.Set(faults.Flaw{HoldUp: true, HoldDown: true})
		_, back := told[client.Connected](two[0], at)
		promised(t, "reconnected elsewhere", back.Sub(at), elsewhereIn)
		n := stop()
		flushed(t, two[1])
		must(t, two[0].Quit(t.Context()))
		complete(t, "alice", two[0].heard(), n)
	})
}

// F16: a bad line is slow, but everything works.
func TestF16SlowLine(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		two := []*actor{newActor(t, s, "alice"), newActor(t, s, "bob")}
		for _, a := range two {
			a.relay.Set(faults.Flaw{Delay: 300 * time.Millisecond, Jitter: 150 * time.Millisecond, Stall: 0.02, StallFor: 2 * time.Second})
			must(t, a.live())
		}
		users, err := two[0].List(t.Context())
		must(t, err)
		if len(users) != 1 {
			t.Errorf("alice sees %v", users)
		}
		together(t, two...)
		two[1].relay.Set(faults.Flaw{})
		var shown, delivered []time.Duration
		for n := range 20 {
			begin := time.Now()
			must(t, two[n%2].Say(strconv.Itoa(n/2)))
			shown = append(shown, time.Since(begin))
			delivered = append(delivered, arrived(two[n%2], begin).Sub(begin))
		}
		promised(t, "what is said is shown, mostly", middle(shown), echoIn)
		promised(t, "and delivered", middle(delivered), deliveredIn)
		must(t, two[1].Quit(t.Context()))
		told[session.Ended](two[0], time.Time{})
		for _, a := range two {
			complete(t, a.name, a.heard(), 10)
		}
	})
}

// arrived waits until something that somebody said after a time is delivered.
func arrived(a *actor, after time.Time) time.Time {
	for {
		e, at := told[session.Sent](a, after)
		if e.State == session.Delivered {
			return at
		}
		after = at
	}
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// F33: one of eight does not come. Nobody is left busy, and everybody is told why.
func TestF33OneOfEight(t *testing.T) {
	const others = 6
	for _, accepted := range []int{0, 3, others} {
		t.Run(fmt.Sprint(accepted), func(t *testing.T) {
			row(t, alone, func(t *testing.T, s *servers) {
				all := cast(t, s, "alice", "bob", "carol", "dave", "erin", "frank", "gina", "hugo")
				for _, reason := range []chat.Reason{chat.ByDeny, chat.ByGone} {
					spoiled(t, all, accepted, reason)
				}
				must(t, all[7].live())
				together(t, all...) // nobody is busy
			})
		})
	}
}

// spoiled has the last of all deny, or die.
func spoiled(t *testing.T, all []*actor, accepted int, reason chat.Reason) {
	t.Helper()
	var guests []string
	for _, a := range all[1:] {
		guests = append(guests, a.name)
	}
	begin := time.Now()
	s, err := all[0].Invite(t.Context(), guests...)
	must(t, err)
	for i, a := range all[1:] {
		told[session.Invited](a, begin)
		if i < accepted {
			must(t, a.Answer(t.Context(), s.ID, true))
		}
	}
	at, decided := time.Now(), atOnce
	if reason == chat.ByDeny {
		must(t, all[7].Answer(t.Context(), s.ID, false))
	} else {
		at, decided = all[7].dies(), releasedIn
	}
	for _, a := range all[:7] {
		e, when := told[session.InvitationEnded](a, begin)
		if e.Session.Reason != reason {
			t.Errorf("%s is told %s, not %s", a.name, e.Session.Reason, reason)
		}
		if when.Sub(at) > decided {
			t.Errorf("%s is told %s after %s", a.name, reason, when.Sub(at))
		}
	}
}

// F38: SIGTERM. Everybody is told at once, and the end is soon; a second one does not wait.
func TestF38Terminated(t *testing.T) {
	row(t, alone, func(t *testing.T, s *servers) {
		two := cast(t, s, "alice", "bob")
		together(t, two...)
		at := time.Now()
		s.brokers[0].signal(syscall.SIGTERM)
		for _, a := range two {
			_, when := told[client.Stopping](a, at)
			promised(t, a.name+" is told", when.Sub(at), time.Second)
		}
		<-s.brokers[0].ended
		promised(t, "the end", time.Since(at), 5*time.Second)
		if code := s.brokers[0].cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		s.brokers[0].start()
		for _, a := range two {
			told[client.Connected](a, at)
		}
		at = time.Now()
		s.brokers[0].signal(syscall.SIGTERM)
		s.brokers[0].signal(syscall.SIGTERM)
		<-s.brokers[0].ended
		promised(t, "the end at the second signal", time.Since(at), time.Second)
	})
}
