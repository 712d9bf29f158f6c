//go:build faults && linux

package faults_test

import (
	"fmt"
	"testing"
	"time"

	"natter/internal/chattest/faults"
)

const day, year = 24 * time.Hour, 365 * 24 * time.Hour

// wrong are clocks as they are found: ahead of ours by so much.
var wrong = map[string]time.Duration{
	"hour ahead": time.Hour, "hour behind": -time.Hour, "day ahead": day, "day behind": -day,
	"10 years ahead": 10 * year, "10 years behind": -10 * year,
	"1970": at("1970-01-02"), "2038": at("2038-01-20"), "2100": at("2100-01-01"),
}

// clockRow plays a scenario once for each wrong clock.
func clockRow(t *testing.T, clocks map[string]time.Duration, play func(t *testing.T, by time.Duration)) {
	buildSkewed(t)
	t.Parallel()
	for what, by := range clocks {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for n := range *rows {
				t.Run(fmt.Sprint(n), func(t *testing.T) { play(t, by) })
			}
		})
	}
}

// firstTicket is how long the ticket of a new name is good.
const firstTicket = 60 * time.Second

// unwarned fails if a program has lost its connection.
func unwarned(t *testing.T, all ...*person) {
	t.Helper()
	for _, p := range all {
		for _, line := range p.saw("! ") {
			t.Errorf("%s is told %q", p.name, line)
		}
	}
}

// talks has two say something to each other every second, for as long as their first
// tickets live and longer.
func talks(t *testing.T, a, b *person) {
	t.Helper()
	end := time.After(firstTicket + 5*time.Second)
	for n := 0; ; n++ {
		a.tells(b, fmt.Sprint("number ", n))
		b.tells(a, fmt.Sprint("number ", n))
		select {
		case <-time.After(time.Second):
		case <-end:
			return
		}
	}
}

// F21: the clock of a user's machine is wrong. Everything works as with a right one: tickets
// are renewed in time, and no more often.
func TestF21UsersClock(t *testing.T) {
	clockRow(t, wrong, func(t *testing.T, by time.Duration) {
		m := newMachine(t).begins()
		alice, bob := m.person("alice"), m.person("bob")
		alice.clock.set(by)
		alice.comes()
		bob.comes()
		alice.chats(bob)
		talks(t, alice, bob)
		unwarned(t, alice, bob)
		if n := m.answered("renew"); n != 2 {
			t.Errorf("%d tickets were renewed for two users", n)
		}
		alice.leaves(bob)
		for range 2 { // with the ticket that was kept
			alice.comes()
			if line := alice.saw("* Welcome back, alice. Last here a moment ago."); len(line) == 0 {
				t.Errorf("alice is greeted by %q", alice.saw("* Welcome"))
			}
			alice.chats(bob)
			alice.tells(bob, "back")
			alice.leaves(bob)
		}
		if n := m.answered("anyone-enter"); n > 3 { // the lobby is also asked where a connection takes too long
			t.Errorf("two who have tickets have asked for %d", n)
		}
		unwarned(t, bob)
		bob.out()
	})
}

// F21: the clock of a user's machine is set while they chat. Nothing is seen of that.
func TestF21UsersClockJumps(t *testing.T) {
	clockRow(t, wrong, func(t *testing.T, by time.Duration) {
		m := newMachine(t).begins()
		alice, bob := m.person("alice"), m.person("bob")
		alice.comes()
		bob.comes()
		alice.invites(bob)
		alice.clock.jumps(by)
		bob.types("y")
		alice.sees("* You are now chatting with bob")
		bob.sees("* You are now chatting with alice")
		alice.tells(bob, "after the jump")
		alice.clock.jumps(-by)
		alice.tells(bob, "and back")
		alice.clock.jumps(by)
		talks(t, alice, bob)
		unwarned(t, alice, bob)
		if n := m.answered("renew"); n != 2 {
			t.Errorf("%d tickets were renewed for two users", n)
		}
		bob.dies()
		alice.types("kept", "/blocked")
		alice.sees("* You do not block any users.") // the line before was taken
		alice.clock.jumps(-by)
		alice.sees("* Stored on the server for bob.")
		bob.starts()
		bob.sees("alice: kept")
		alice.leaves(bob)
		bob.out()
	})
}

// fits reports whether the certificate of a server with a right clock is good by another one.
func fits(by time.Duration) bool { return by > -2*day && by < year }

// F21: with TLS the clock of a user's machine says whether the server's certificate is good.
// Where it is not, one sentence names the clock, and when that is right everything is.
func TestF21UsersClockAndTLS(t *testing.T) {
	clockRow(t, wrong, func(t *testing.T, by time.Duration) {
		m := newMachine(t, "--tls", "auto").begins()
		line, err := faults.NewRelay(m.addresses[0])
		must(t, err)
		t.Cleanup(line.Close)
		alice, bob := m.invited("alice", line.Address()), m.invited("bob", m.addresses[0])
		alice.clock.set(by)
		if !fits(by) {
			alice.refusedByClock()
			alice.clock.set(0)
		}
		alice.comes()
		bob.comes()
		alice.chats(bob)
		alice.clock.set(by)
		line.Set(faults.Flaw{Cut: true})
		alice.sees("! Connection to ")
		line.Set(faults.Flaw{})
		if !fits(by) {
			alice.sees(namesTheClock)
			alice.clock.set(0)
		}
		alice.sees("* Connected again")
		alice.tells(bob, "on a new connection")
		alice.leaves(bob)
		bob.out()
	})
}

const namesTheClock = "Nothing was sent. Check this machine's clock: it says "

// refusedByClock starts the program, which must not get in.
func (p *person) refusedByClock() {
	p.t.Helper()
	p.starts()
	p.sees(namesTheClock)
	if code := p.exits(); code != 4 {
		p.t.Errorf("%s is refused with code %d", p.name, code)
	}
}

// F21: the clock of a user's machine is set between two runs of the program. What is said in
// the second one is not taken for something of the first.
func TestF21DirectMessages(t *testing.T) {
	clockRow(t, wrong, func(t *testing.T, by time.Duration) {
		m := newMachine(t).begins()
		alice, bob := m.person("alice"), m.person("bob")
		bob.comes()
		for _, d := range []time.Duration{0, by, -by} {
			alice.clock.jumps(d)
			alice.comes()
			alice.types(fmt.Sprintf("@bob: by a clock that is %s ahead", alice.clock.by))
			bob.sees(fmt.Sprintf("by a clock that is %s ahead", alice.clock.by))
			alice.out()
		}
		bob.out()
	})
}
