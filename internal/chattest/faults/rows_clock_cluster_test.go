//go:build faults && linux

package faults_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"natter/client"
	"natter/session"
)

// clockCluster is a cluster each of whose servers and coordinators has a clock of its own.
func clockCluster(t *testing.T) (s *servers, brokers, replicas []*clock) {
	t.Helper()
	s = layout{}.plan(t)
	own := func(p *program, path string) *clock {
		c := newClock(t)
		p.path, p.env = path, []string{c.env()}
		return c
	}
	for _, p := range s.brokers {
		brokers = append(brokers, own(p, skewed.natsServer))
	}
	for _, p := range s.replicas {
		replicas = append(replicas, own(p, skewed.chatcoord))
	}
	return begin(t, s), brokers, replicas
}

// F21: the clock of one server of three is set, or that of one coordinator of two, while
// people chat. Nobody is dropped; who needs a new connection has one, if need be elsewhere.
func TestF21OneClockOfACluster(t *testing.T) {
	clockRow(t, map[string]time.Duration{"hour": time.Hour, "day": day}, func(t *testing.T, by time.Duration) {
		s, brokers, replicas := clockCluster(t)
		two := cast(t, s, "alice", "bob")
		for n, c := range append(brokers, replicas...) {
			for _, d := range []time.Duration{by, -by, -by, by} {
				c.jumps(d)
				undropped(t, two)
				stranger(t, s, fmt.Sprintf("new%d", n))
			}
		}
	})
}

// undropped has two chat, while one of them has to come again.
func undropped(t *testing.T, two []*actor) {
	t.Helper()
	at, before := time.Now(), len(two[0].heard())
	together(t, two...)
	must(t, two[1].Say("hello"))
	two[0].hears(before + 1)
	told[session.MemberLost](two[1], two[0].dies())
	must(t, two[0].live())
	told[session.Opened](two[0], at)
	must(t, two[1].Say("hello again"))
	two[0].hears(1)
	must(t, two[1].Quit(t.Context()))
	told[session.Ended](two[0], at)
	if n := counts[client.Lost](two[1]); n > 0 {
		t.Errorf("bob has lost the connection %d times", n)
	}
}

// stranger is somebody who comes by the lobby.
func stranger(t *testing.T, s *servers, name string) {
	t.Helper()
	a := newActor(t, s, name+rand.Text()[:4])
	must(t, a.live())
	must(t, a.Exit(t.Context()))
}

// F21: the clocks of a server and of a coordinator differ, and there is no other one. By that
// of the server each new ticket has expired: who comes is told that it is a clock.
func TestF21ServerAndCoordinatorDiffer(t *testing.T) {
	clockRow(t, map[string]time.Duration{"day": day, "10 years": 10 * year}, func(t *testing.T, by time.Duration) {
		s, brokers, replicas := clockCluster(t)
		two := cast(t, s, "alice", "bob")
		together(t, two...)
		must(t, two[0].Say("hello"))
		two[1].hears(1)
		for _, c := range brokers {
			c.set(by)
		}
		must(t, two[0].Say("hello again"))
		two[1].hears(2)
		p := newPerson(t, "carol", "--server", s.addresses[0])
		p.refused("! The server does not accept the ticket that the coordinator has just made: the clock of one of the two is wrong.")
		for _, c := range s.replicas {
			c.said.has(t, "the clock of a NATS server is not ours")
		}
		if text, _ := s.examine(t.Context()); !strings.Contains(text, "the clock of ") {
			t.Errorf("the doctor says\n%s", text)
		}
		for _, c := range replicas {
			c.set(by)
		}
		p.comes()
		p.out()
	})
}
