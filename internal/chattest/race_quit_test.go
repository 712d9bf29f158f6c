package chattest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/chattest/faults"
	"natter/internal/coord"
	"natter/session"
)

// speaker is a user with a real client who talks until somebody ends the chat, and notes for
// the judge what was said, shown and told.
type speaker struct {
	*chattest.User
	log    *faults.Log
	name   string
	said   int
	opened chan chat.Session
	out    chan string // sessions that are over for the speaker, who may have left
	read   chan struct{}

	delivered map[string]bool // by text; owned by listen until read is closed
}

func newSpeaker(t *testing.T, in *chattest.Installation, log *faults.Log, name string) *speaker {
	u := chattest.Dial(t, client.Config{URL: in.Server.URL(), Log: in.Config.Log, Sent: true}, name)
	s := &speaker{
		User: u, log: log, name: name, opened: make(chan chat.Session, 1), out: make(chan string, 1),
		read: make(chan struct{}), delivered: map[string]bool{},
	}
	go s.listen()
	return s
}

func (s *speaker) note(r faults.Record) {
	r.Who, r.Life = s.name, 1
	s.log.Add(r)
}

func (s *speaker) listen() {
	defer close(s.read)
	for e := range s.Events() {
		switch e := e.(type) {
		case session.Opened:
			s.note(faults.Record{What: faults.Opened, Session: e.Session.ID, Members: present(e.Session)})
			s.opened <- e.Session
		case chattest.Text:
			s.note(faults.Record{What: faults.Heard, Session: e.Session, From: string(e.From.User()), Text: e.Text})
		case session.Sent:
			if e.State == session.Delivered {
				s.delivered[e.Text] = true
			}
		case session.NotDelivered:
			s.note(faults.Record{What: faults.Failed, Session: e.Session, Text: e.Text})
		case session.MemberLeft:
			s.note(faults.Record{What: faults.Left, Session: e.Session.ID, From: string(e.Name.User())})
			if e.Name.User() == chat.User(s.name) && e.Session.State == chat.Open { // else the end is told next
				s.over(e.Session)
			}
		case session.Ended:
			s.over(e.Session)
		case session.Invited:
			go s.accept(e.Session.ID) // the round ends after it
		}
	}
}

func (s *speaker) over(of chat.Session) {
	s.note(faults.Record{What: faults.Ended, Session: of.ID, Reason: string(of.Reason)})
	s.out <- of.ID
}

func (s *speaker) accept(id string) {
	if err := s.Answer(s.T.Context(), id, true); err != nil {
		s.T.Errorf("%s accepts: %v", s.name, err)
	}
}

func present(s chat.Session) (all []string) {
	for _, m := range s.Present() {
		all = append(all, string(m.User()))
	}
	return all
}

// talk says n messages, or as many as can be said before the end.
func (s *speaker) talk(id string, n int) {
	for range n {
		s.said++
		text := fmt.Sprintf("%s %d", s.name, s.said)
		s.note(faults.Record{What: faults.Said, Session: id, Text: text})
		if err := s.Say(text); err != nil { // it is over
			s.note(faults.Record{What: faults.Failed, Session: id, Text: text})
			return
		}
	}
}

// quitRace is a chat in which everybody talks, and one or two of them end it or leave while
// the others are still at it.
func quitRace(t *testing.T, r *rand.Rand, all []*speaker) {
	var guests []string
	for _, s := range all[1:] {
		guests = append(guests, s.name)
	}
	asked, err := all[0].Invite(t.Context(), guests...)
	if err != nil {
		t.Errorf("%s invites %v: %v", all[0].name, guests, err)
		return
	}
	var wg sync.WaitGroup
	for i, s := range all {
		within(t, s.name+" in the chat", s.opened)
		n, end := 200, func() error { return nil }
		if i == 0 || r.IntN(4) == 0 {
			n, end = r.IntN(20), func() error { return s.Quit(t.Context()) }
			if len(all) > 2 && r.IntN(3) == 0 {
				end = func() error { return s.Leave(t.Context()) }
			}
		}
		wg.Go(func() {
			s.talk(asked.ID, n)
			if err := end(); err != nil && !over(err) {
				t.Errorf("%s ends: %v", s.name, err)
			}
		})
	}
	wg.Wait()
	if len(all) > 2 {
		_ = all[1].Quit(t.Context()) // who is left when one has gone
		_ = all[2].Quit(t.Context())
	}
	for _, s := range all {
		within(t, s.name+" out of the chat", s.out)
	}
}

// over reports whether somebody else was faster.
func over(err error) bool {
	e, ok := err.(*chat.Error)
	return ok && e.Code == chat.NotInChat
}

func within[E any](t *testing.T, what string, c <-chan E) {
	select {
	case <-c:
	case <-time.After(timeout):
		t.Errorf("in vain waited for: %s", what)
	}
}

// Who quits or leaves races what others say: nothing is shown after the end, and what was
// said was shown to everybody, or the sender is told that it was not. What counts as delivered
// was shown.
func TestQuitRacesMessages(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			in := chattest.Run(t, quiet, beside, func(c *coord.Config) { c.Rules.MessageRate = 0 })
			for range replicas - 1 {
				in.Start()
			}
			seed := rand.Uint64()
			t.Logf("seed %d, %d races", seed, 8*races(5))
			var wg sync.WaitGroup
			for n := range 8 {
				wg.Go(func() { quitRaces(t, in, n, seed) })
			}
			wg.Wait()
		})
	}
}

// quitRaces plays them among users of their own.
func quitRaces(t *testing.T, in *chattest.Installation, n int, seed uint64) {
	r, log := rand.New(rand.NewPCG(seed, uint64(n))), faults.NewLog()
	var all []*speaker
	for _, name := range []string{"ann", "ben", "cid"} {
		all = append(all, newSpeaker(t, in, log, fmt.Sprint(name, n)))
	}
	for i := range races(5) {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		quitRace(t, r, all[:2+i%2])
		if t.Failed() {
			return
		}
	}
	for _, s := range all {
		s.Close()
		<-s.read
	}
	records := log.Records()
	for _, found := range append(faults.Judge(records), undelivered(records, all)...) {
		t.Error(found)
	}
}

// undelivered are messages that counted as delivered and were not shown to somebody who was
// in the chat to its end, or of which the opposite was told as well.
func undelivered(records []faults.Record, all []*speaker) (found []string) {
	delivered, members := map[string]bool{}, map[string][]string{}
	for _, s := range all {
		maps.Copy(delivered, s.delivered)
	}
	missing := map[string][]string{}
	for _, r := range records {
		switch r.What {
		case faults.Opened:
			members[r.Session] = r.Members
		case faults.Left:
			members[r.Session] = without(members[r.Session], r.From)
		}
	}
	for _, r := range records {
		switch {
		case !delivered[r.Text]:
		case r.What == faults.Said:
			missing[r.Text] = without(members[r.Session], r.Who)
		case r.What == faults.Heard:
			missing[r.Text] = without(missing[r.Text], r.Who)
		case r.What == faults.Failed:
			found = append(found, fmt.Sprintf("%q was delivered, and was not", r.Text))
		}
	}
	for text, who := range missing {
		if len(who) > 0 {
			found = append(found, fmt.Sprintf("%q counts as delivered, and was not shown to %v", text, who))
		}
	}
	return found
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// What undelivered is there for is seen.
func TestUndeliveredIsSeen(t *testing.T) {
	all := []*speaker{{delivered: map[string]bool{"ann 1": true}}}
	begin := []faults.Record{
		{What: faults.Opened, Who: "ann", Session: "1", Members: []string{"ann", "ben"}},
		{What: faults.Said, Who: "ann", Session: "1", Text: "ann 1"},
	}
	heard := append(begin, faults.Record{What: faults.Heard, Who: "ben", Session: "1", Text: "ann 1"})
	failed := append(heard[:3:3], faults.Record{What: faults.Failed, Who: "ann", Session: "1", Text: "ann 1"})
	for n, records := range [][]faults.Record{heard, begin, failed} {
		if found := undelivered(records, all); (len(found) > 0) != (n > 0) {
			t.Errorf("in history %d: %v", n, found)
		}
	}
}
