//go:build faults && linux

package faults_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"natter/broker"
	"natter/client"
)

// F12: the server that leads LIVE is cut off for a while, from everybody or one way. Another one
// leads, who was at home there is elsewhere, and no chat ends.
func TestF12LeaderCutOff(t *testing.T) {
	if !apart(t) {
		return
	}
	for _, how := range []cut{whole, half} {
		t.Run(string(how), func(t *testing.T) { inTurn(t, grace, func(t *testing.T, s *servers) { leaderCutOff(t, s, how) }) })
	}
}

// inTurn plays a row on namespaced servers: there is room for one installation only.
func inTurn(t *testing.T, grace string, play func(*testing.T, *servers)) {
	build(t)
	for range *rows {
		t.Run("", func(t *testing.T) { play(t, namespacedFor(t, grace)) })
	}
}

func leaderCutOff(t *testing.T, s *servers, how cut) {
	lead := s.leader(t, broker.LiveStream)
	near, far := talking(t, s, "alice", "bob", lead, lead), talking(t, s, "carol", "dave", lead+1, lead+2)
	guests := coming(t, s, "guest")
	guests.enough(5)
	<-time.After(rand.N(time.Second))
	s.part(lead, true, how)
	at := time.Now()
	heal := time.After(cutFor)
	promised(t, "stored again", guests.served(at).Sub(at), leaderIn)
	for _, a := range near.two {
		_, back := told[client.Connected](a, at)
		promised(t, a.name+" is elsewhere", back.Sub(at), leaderIn)
	}
	<-heal
	for _, a := range far.two {
		promised(t, a.name+" hears nothing for", silence(a, at), atOnce)
	}
	s.part(lead, false, how)
	recovered(t, s, guests, near, far)
}

// F12: the leader does not reach the other servers, but users and coordinators reach all of
// them. Whoever asks where nothing can be stored is told so in a sentence, chats go on within
// the grace time, and everybody is served when the servers are together again.
func TestF12LeaderAlone(t *testing.T) {
	if !apart(t) {
		return
	}
	inTurn(t, "60s", func(t *testing.T, s *servers) {
		lead := s.leader(t, broker.LiveStream)
		near, far := talking(t, s, "alice", "bob", lead, lead), talking(t, s, "carol", "dave", lead+1, lead+2)
		guests := coming(t, s, "guest")
		there := coming(t, &servers{addresses: s.addresses[lead : lead+1]}, "there")
		guests.enough(5)
		there.enough(1)
		s.part(lead, true, among)
		at := time.Now()
		<-time.After(cutFor)
		for _, a := range append(near.two, far.two...) {
			promised(t, a.name+" hears nothing for", silence(a, at), atOnce)
		}
		s.part(lead, false, among)
		healed := time.Now()
		promised(t, "stored again there", there.served(healed).Sub(healed), leaderIn+once) // a try may be under way
		there.stop()
		there.known(there.names())
		plain(t, there.refused)
		t.Logf("%d were refused there", len(there.refused))
		recovered(t, s, guests, near, far)
	})
}
