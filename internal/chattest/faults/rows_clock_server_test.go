//go:build faults && linux

package faults_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest/faults"
	"natter/session"
)

// jumps are what the clock of a server is set on by while it runs.
var jumps = map[string]time.Duration{
	"hour forward": time.Hour, "hour back": -time.Hour, "day forward": day, "day back": -day,
	"10 years forward": 10 * year, "10 years back": -10 * year,
}

const waits = 15 * time.Second // an invitation, in these rows

// F21: the clock of the server is set while people chat, while an invitation waits, while
// somebody is lost, and while something is kept for somebody. Each takes as long as it would
// have, and nobody is dropped.
func TestF21ServersClockJumps(t *testing.T) {
	clockRow(t, jumps, func(t *testing.T, by time.Duration) {
		m := newMachine(t, "--invite-timeout", waits.String()).begins()
		all := cast(t, m.servers, "alice", "bob", "carol", "dave", "erin", "frank", "gina", "hugo")
		two, invites, lost, kept := all[:2], all[2:4], all[4:6], all[6:]
		for _, pair := range [][]*actor{two, lost, kept} {
			together(t, pair...)
		}
		stop := []func() int{chatter(t, two[0]), chatter(t, kept[0])}
		<-time.After(300 * time.Millisecond)
		died := lost[1].dies()
		away := kept[1].dies()
		told[session.MemberLost](kept[0], away)
		before := len(kept[1].heard())
		invited := time.Now()
		_, err := invites[0].Invite(t.Context(), "dave")
		must(t, err)
		<-time.After(2500 * time.Millisecond) // by then something is kept
		m.clock.jumps(by)
		<-time.After(2 * time.Second)
		must(t, kept[1].live())
		told[session.Opened](kept[1], away)

		e, end := told[session.Ended](lost[0], died)
		takes(t, "a grace time", end.Sub(died), graceTime, releasedIn)
		if e.Session.Reason != chat.ByLoss {
			t.Errorf("the chat of who was lost has ended by %s", e.Session.Reason)
		}
		i, expired := told[session.InvitationEnded](invites[0], invited)
		takes(t, "an invitation", expired.Sub(invited), waits, waits+atOnce)
		if i.Session.Reason != chat.ByExpiry {
			t.Errorf("the invitation has ended by %s", i.Session.Reason)
		}
		<-time.After(firstTicket - time.Since(invited)) // all tickets of before have been renewed
		heardAll(t, stop[1](), before, kept)
		heardAll(t, stop[0](), 0, two)
		for _, a := range []*actor{two[0], two[1], invites[0], invites[1], lost[0], kept[0]} {
			if n := counts[client.Lost](a); n > 0 {
				t.Errorf("%s has lost the connection %d times", a.name, n)
			}
		}
		comesAgain(t, two)
	})
}

// takes fails unless something took as long as it must, and no longer.
func takes(t *testing.T, what string, took, least, most time.Duration) {
	t.Helper()
	promised(t, what, took, most)
	if took < least {
		t.Errorf("%s: %s, it must be %s", what, took, least)
	}
}

// heardAll ends a chat in which the first has said n messages, of which the second heard the
// first ones in an earlier life.
func heardAll(t *testing.T, n, before int, two []*actor) {
	t.Helper()
	begin := time.Now()
	flushed(t, two[0])
	must(t, two[0].Quit(t.Context()))
	told[session.Ended](two[1], begin)
	// What was shown a moment before the end could no longer be acknowledged.
	if first := complete(t, two[1].name, two[1].heard(), n); first > before || first < before-5 {
		t.Errorf("%s heard %d messages before, and then from number %d on", two[1].name, before, first)
	}
}

// comesAgain cuts a line: by now the server may take the ticket for expired, and then another
// one is asked for.
func comesAgain(t *testing.T, two []*actor) {
	t.Helper()
	together(t, two...)
	at := time.Now()
	two[0].relay.Set(faults.Flaw{Cut: true})
	told[client.Lost](two[0], at)
	two[0].relay.Set(faults.Flaw{})
	_, back := told[client.Connected](two[0], at)
	promised(t, "back", back.Sub(at), backIn)
	must(t, two[0].Say("back"))
	flushed(t, two[0])
	must(t, two[0].Quit(t.Context()))
	told[session.Ended](two[1], at)
}

// F21: a ticket has expired by the server's clock when its owner needs it, once after the
// clock was set on and once after it was set back: another one is had without a word.
func TestF21TicketsExpire(t *testing.T) {
	clockRow(t, map[string]time.Duration{"half a day": 13 * time.Hour, "day": day, "10 years": 10 * year}, func(t *testing.T, by time.Duration) {
		m := newMachine(t).begins()
		two := cast(t, m.servers, "alice", "bob")
		for _, d := range []time.Duration{by, -by, -by, by} {
			m.clock.jumps(d)
			comesAgain(t, two)
		}
	})
}

// F21: the server's machine starts again with a wrong clock. What is kept for somebody is not
// older because of that: who said it has left, and it is there for who comes back in time.
func TestF21KeptMessages(t *testing.T) {
	clockRow(t, jumps, func(t *testing.T, by time.Duration) {
		m := newMachine(t).begins()
		all := cast(t, m.servers, "alice", "bob", "carol")
		together(t, all...)
		at := all[1].dies()
		told[session.MemberLost](all[0], at)
		for i := range 5 {
			must(t, all[0].Say(strconv.Itoa(i)))
		}
		must(t, all[0].Leave(t.Context())) // when all of it is kept
		m.brokers[0].end(syscall.SIGKILL)
		m.clock.jumps(by)
		m.brokers[0].start()
		must(t, all[1].live())
		if heard := strings.Join(all[1].hears(5), " "); heard != "0 1 2 3 4" {
			t.Errorf("bob hears %s", heard)
		}
	})
}

// F21: a ban and a link end by the clock of the server, whatever it says.
func TestF21BansAndLinksEnd(t *testing.T) {
	clockRow(t, map[string]time.Duration{"right": 0, "day ahead": day, "10 years behind": -10 * year}, func(t *testing.T, by time.Duration) {
		m := newMachine(t, "--join", "invited")
		m.clock.set(by)
		m.begins()
		alice, bob := m.invited("alice", m.addresses[0]), m.invited("bob", m.addresses[0])
		alice.comes()
		m.operator("ban", "alice", "--for", "2h")
		alice.sees("! Signed out by the operator")
		for _, d := range []time.Duration{0, time.Hour, -day, day + 59*time.Minute} {
			m.clock.jumps(d)
			alice.refused("! ")
		}
		bob.comes() // who has joined two hours before
		bob.out()
		m.clock.jumps(2 * time.Minute)
		alice.comes()
		alice.out()
		carol := m.invited("carol", m.addresses[0])
		m.clock.jumps(25 * time.Hour)
		carol.refused("! This link has expired")
		m.clock.jumps(-2 * time.Hour)
		carol.comes()
		carol.out()
	})
}

// refused starts the program, which is told why it cannot have the name.
func (p *person) refused(why string) string {
	p.t.Helper()
	p.starts()
	line := p.sees(why)
	_ = p.in.Close() // it may have ended
	if code := p.exits(); code == 0 {
		p.t.Errorf("%s is let in", p.name)
	}
	return line
}

// F21: somebody was signed out, and then the clock of the server was set back: by it their old
// tickets are void for a day to come, and with them each new one. They are told so.
func TestF21SignedOutAndSetBack(t *testing.T) {
	clockRow(t, map[string]time.Duration{"hour back": -time.Hour, "day back": -day}, func(t *testing.T, by time.Duration) {
		m := newMachine(t).begins()
		alice := m.person("alice")
		alice.comes()
		m.operator("kick", "alice")
		alice.sees("! Signed out by the operator")
		m.clock.set(by)
		alice.refused("! The server's clock was set back: it says ")
		m.clock.set(0)
		alice.comes()
		alice.out()
	})
}

// F21: a server starts before its clock is set, and the clock is set while it runs: its
// certificate is then good for those whose clocks are right.
func TestF21ServersClockAndTLS(t *testing.T) {
	clockRow(t, wrong, func(t *testing.T, by time.Duration) {
		m := newMachine(t, "--tls", "auto").begins()
		alice := m.invited("alice", m.addresses[0])
		m.brokers[0].end(syscall.SIGTERM)
		m.clock.set(by)
		m.brokers[0].start()
		if by < -2*day || by > 2*day {
			alice.refusedByClock()
		}
		m.clock.set(0)
		alice.comes()
		alice.out()
	})
}
