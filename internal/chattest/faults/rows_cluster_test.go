//go:build faults

package faults_test

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/session"
)

const (
	leaderIn  = 12 * time.Second // another leader stores
	noticedIn = time.Second      // a connection that breaks is told
	cutFor    = 15 * time.Second
)

// each plays a row once for each of some streams.
func each(t *testing.T, install func(*testing.T) *servers, play func(t *testing.T, s *servers, stream string), streams ...string) {
	for _, stream := range streams {
		t.Run(stream, func(t *testing.T) {
			row(t, install, func(t *testing.T, s *servers) { play(t, s, stream) })
		})
	}
}

// F11: kill -9 of the server that leads a stream, under load. Who is at home elsewhere notices
// nothing, who was at home there is soon back, and another leader stores.
func TestF11LeaderKilled(t *testing.T) {
	each(t, three, leaderKilled, broker.LiveStream, broker.AccountsStream)
}

func leaderKilled(t *testing.T, s *servers, stream string) {
	lead := s.leader(t, stream)
	near, far := talking(t, s, "alice", "bob", lead, lead), talking(t, s, "carol", "dave", lead+1, lead+2)
	guests := coming(t, s, "guest")
	guests.enough(5)
	<-time.After(rand.N(time.Second))
	s.brokers[lead].end(syscall.SIGKILL)
	at := time.Now()
	for _, a := range near.two {
		_, lost := told[client.Lost](a, at.Add(-noticedIn))
		promised(t, a.name+" is told of the loss", lost.Sub(at), noticedIn)
		_, back := told[client.Connected](a, at)
		promised(t, a.name+" is elsewhere", back.Sub(at), leaderIn)
	}
	promised(t, "stored again", guests.served(at).Sub(at), leaderIn)
	for _, a := range far.two {
		promised(t, a.name+" hears nothing for", silence(a, at), atOnce)
	}
	s.brokers[lead].start()
	recovered(t, s, guests, near, far)
}

// recovered checks that everything is as before, with all that was acknowledged.
func recovered(t *testing.T, s *servers, guests *newcomers, chats ...*talkers) {
	t.Helper()
	guests.served(time.Now())
	s.settled()
	guests.stop()
	for _, p := range chats {
		p.over()
	}
	guests.known(guests.names())
	plain(t, guests.refused)
}

// F11: the same with the stream of what somebody has yet to get, while they are away.
func TestF11LeaderOfTheMailboxesKilled(t *testing.T) {
	row(t, patient, func(t *testing.T, s *servers) {
		lead := s.leader(t, broker.MailboxesStream)
		alice, bob := newActorAt(t, s, lead+1, "alice"), newActorAt(t, s, lead+2, "bob")
		must(t, alice.live())
		must(t, bob.live())
		together(t, alice, bob)
		stop := chatter(t, alice)
		<-time.After(300 * time.Millisecond)
		begin := bob.dies()
		before := len(bob.heard())
		stored(t, alice, begin)
		s.brokers[lead].end(syscall.SIGKILL)
		at := time.Now()
		_, again := stored(t, alice, at)
		promised(t, "stored again", again.Sub(at), leaderIn)
		s.brokers[lead].start()
		s.settled()
		must(t, bob.live())
		told[session.Opened](bob, at)
		n := stop()
		flushed(t, alice)
		undisturbed(t, alice)
		must(t, alice.Quit(t.Context()))
		told[session.Ended](bob, at)
		if first := complete(t, "bob", bob.heard(), n); first > before || first < before-5 {
			t.Errorf("%d messages came before, and then from number %d on", before, first)
		}
	})
}

// patient is three servers that wait for who is away for longer than their election takes.
func patient(t *testing.T) *servers { return layout{grace: "60s"}.begin(t) }

// stored waits until a message of somebody's own is stored.
func stored(t *testing.T, a *actor, after time.Time) (session.Sent, time.Time) {
	t.Helper()
	for {
		e, at := told[session.Sent](a, after)
		if e.State == session.Stored {
			return e, at
		}
		after = at
	}
}

// F14: all servers and coordinators restart in good order, one after the other, under load.
func TestF14Rolled(t *testing.T) {
	row(t, three, func(t *testing.T, s *servers) {
		near, far := talking(t, s, "alice", "bob", 0, 0), talking(t, s, "carol", "dave", 1, 2)
		guests := coming(t, s, "guest")
		guests.enough(5)
		for i := range s.brokers {
			begin := time.Now()
			roll(s.brokers[i])
			if i < len(s.replicas) {
				roll(s.replicas[i])
			}
			promised(t, "stored again", guests.served(time.Now()).Sub(begin), timeout)
			s.settled()
		}
		recovered(t, s, guests, near, far)
	})
}

// F32: many claim a name at once, through three coordinators. One gets it, and the others are
// told at once.
func TestF32OneNameForMany(t *testing.T) {
	install := func(t *testing.T) *servers { return layout{replicas: 3}.begin(t) }
	row(t, install, func(t *testing.T, s *servers) {
		const many, names = 50, 10
		var all []*client.Client
		for range many + names {
			c, err := client.Dial(t.Context(), client.Config{URL: s.urls(), Wait: askFor})
			must(t, err)
			t.Cleanup(c.Close)
			all = append(all, c)
		}
		for n := range names {
			winner := claimed(t, all[:many], "Name"+string(rune('a'+n)))
			all[winner] = all[many+n] // who has a name claims no other
		}
	})
}

// claimed has everybody claim a name, and returns who has it.
func claimed(t *testing.T, all []*client.Client, name string) (winner int) {
	t.Helper()
	errs, took := make([]error, len(all)), make([]time.Duration, len(all))
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i, c := range all {
		wg.Go(func() {
			<-begin
			at := time.Now()
			_, errs[i] = c.Enter(t.Context(), name)
			took[i] = time.Since(at)
		})
	}
	close(begin)
	wg.Wait()
	winners, slowest := 0, time.Duration(0)
	for i, err := range errs {
		if err == nil {
			winner = i
			winners++
			continue
		}
		if !isTaken(err) {
			t.Errorf("%s: %v", name, err)
		}
		slowest = max(slowest, took[i])
	}
	promised(t, "the losers of "+name+" are told", slowest, noticedIn)
	if winners != 1 {
		t.Fatalf("%s has %d owners", name, winners)
	}
	return winner
}

func isTaken(err error) bool {
	e, ok := err.(*chat.Error)
	return ok && e.Code == chat.Taken
}
