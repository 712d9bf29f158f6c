package session_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"natter/chat"
	"natter/session"
)

var crew = []chat.User{"ann", "ben", "cid", "dot", "eve"}

// model is a stage on which everything happens at random: repairs come late or
// never, notices are missed, repeated and overtaken.
type model struct {
	*stage
	heard   map[hearing][]session.Event
	begin   map[hearing]bool          // was asked or asked, and has been here ever since
	history map[string][]chat.Session // every state of every record
}

type hearing struct {
	u  chat.User
	id string
}

func newModel() *model {
	m := &model{newStage(), map[hearing][]session.Event{}, map[hearing]bool{}, map[string][]chat.Session{}}
	for _, u := range crew {
		m.people[u] = &person{name: chat.Name(u), visible: true, present: true, known: map[string]chat.Session{}}
	}
	return m
}

func drawUser(t *rapid.T) chat.User { return rapid.SampledFrom(crew).Draw(t, "user") }

// drawSession takes one that is going on, mostly; or any, or none.
func (m *model) drawSession(t *rapid.T) chat.Session {
	live := slices.DeleteFunc(slices.Clone(m.sessions), func(s chat.Session) bool { return s.State == chat.Closed })
	among := rapid.SampledFrom([][]chat.Session{live, live, live, live, m.sessions, nil}).Draw(t, "among")
	if len(among) == 0 {
		return chat.Session{}
	}
	return rapid.SampledFrom(among).Draw(t, "session")
}

// take stores what a rule returned, and checks that the rule kept its manners.
func (m *model) take(t *rapid.T, s chat.Session, err error) {
	var sentence *chat.Error
	switch {
	case errors.Is(err, session.ErrUnchanged):
		if old := m.sessions[slices.IndexFunc(m.sessions, func(o chat.Session) bool { return o.ID == s.ID })]; !reflect.DeepEqual(old, s) {
			t.Fatalf("unchanged, but %v is now %v", old, s)
		}
		return
	case errors.As(err, &sentence):
		return
	case err != nil:
		t.Fatalf("a fault: %v", err)
	}
	before := m.store(s)
	m.history[s.ID] = append(m.history[s.ID], s)
	told := session.Audience(before, s)
	for _, u := range crew {
		if len(session.Diff(u, before, s)) > 0 && !slices.Contains(told, u) {
			t.Fatalf("%s is not told of %s", u, showRecord(s))
		}
	}
	for _, u := range told {
		if before.State == "" {
			m.people[u].known[s.ID] = chat.Session{}
			if u == s.Host {
				m.people[u].known[s.ID] = s // the answer to the request
			}
			m.begin[hearing{u, s.ID}] = m.people[u].present
		}
		if rapid.Bool().Draw(t, "arrives") || before.State == "" {
			m.hear(u, s)
		}
	}
}

// hear is a notice arriving.
func (m *model) hear(u chat.User, s chat.Session) {
	p := m.people[u]
	if !p.present {
		return
	}
	known := p.known[s.ID]
	events := session.Diff(u, known, s)
	m.heard[hearing{u, s.ID}] = append(m.heard[hearing{u, s.ID}], events...)
	if newer(known, s) {
		p.known[s.ID] = s
	}
}

// newer stands for comparing revisions.
func newer(a, b chat.Session) bool {
	rank := func(s chat.Session) int {
		accepted := 0
		for _, m := range s.Members {
			if m.Accepted {
				accepted++
			}
		}
		return slices.Index([]chat.State{chat.Proposed, chat.Open, chat.Closed}, s.State)*1000 + s.Epoch*100 + accepted
	}
	return rank(b) > rank(a)
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":           func(*rapid.T) {}, // the first by name: a failing play shrinks to it
		"propose":    m.propose,
		"propose 2":  m.propose,
		"propose 3":  m.propose,
		"answer":     m.answer,
		"all accept": m.allAccept, // often enough for groups to begin
		"withdraw":   func(t *rapid.T) { m.with(t, session.Withdraw) },
		"expire": func(t *rapid.T) {
			if s := m.drawSession(t); s.ID != "" {
				after, err := session.Expire(s)
				m.take(t, after, err)
			}
		},
		"end": func(t *rapid.T) {
			reason := rapid.SampledFrom([]chat.Reason{chat.ByQuit, chat.ByBye, chat.ByLoss, chat.ByDeny, ""}).Draw(t, "reason")
			m.with(t, func(s chat.Session, u chat.User) (chat.Session, error) { return session.End(s, u, reason) })
		},
		"leave": func(t *rapid.T) {
			m.with(t, func(s chat.Session, u chat.User) (chat.Session, error) { return session.Leave(s, u, chat.ByLeave) })
		},
		"repair one": func(t *rapid.T) {
			if s, ok := session.Repair(m, m.drawSession(t)); ok {
				m.take(t, s, nil)
			}
		},
		"repair all": m.repairAll,
		"go": func(t *rapid.T) {
			u := drawUser(t)
			m.people[u].present = false
			for h := range m.begin {
				if h.u == u {
					m.begin[h] = false
				}
			}
		},
		"hide": func(t *rapid.T) { m.people[drawUser(t)].visible = false },
		"all come back": func(*rapid.T) {
			for _, p := range m.people {
				p.present, p.visible = true, true
			}
		},
		"old notice": func(t *rapid.T) {
			if s := m.drawSession(t); s.ID != "" {
				m.hear(drawUser(t), rapid.SampledFrom(m.history[s.ID]).Draw(t, "state"))
			}
		},
	}
}

func (m *model) propose(t *rapid.T) {
	host := drawUser(t)
	guests := rapid.Permutation(crew).Draw(t, "guests")
	if rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "oddly") {
		guests = slices.Insert(guests, 0, guests[1]) // somebody is named twice
	} else {
		guests = slices.DeleteFunc(guests, func(u chat.User) bool { return u == host })
	}
	var typed []string
	for _, g := range guests[:rapid.IntRange(1, 3).Draw(t, "number")] {
		typed = append(typed, string(g))
	}
	s, err := session.Propose(m, host, fmt.Sprint(len(m.sessions)+1), typed, chat.Transparent, scriptRules, m.now)
	m.take(t, s, err)
}

func (m *model) answer(t *rapid.T) {
	accept := rapid.SampledFrom([]bool{true, true, true, true, true, false}).Draw(t, "accept")
	m.with(t, func(s chat.Session, u chat.User) (chat.Session, error) {
		return session.Answer(m, s, u, accept, m.now)
	})
}

func (m *model) allAccept(t *rapid.T) {
	s := m.drawSession(t)
	for _, guest := range s.Guests() {
		now := m.sessions[slices.IndexFunc(m.sessions, func(o chat.Session) bool { return o.ID == s.ID })]
		after, err := session.Answer(m, now, guest.User(), true, m.now)
		m.take(t, after, err)
	}
}

// with takes a step of some user in some session, and checks that the rule has not
// changed the record that it was given.
func (m *model) with(t *rapid.T, rule func(chat.Session, chat.User) (chat.Session, error)) {
	s, u := m.drawSession(t), drawUser(t)
	if len(s.Members) > 0 && rapid.Bool().Draw(t, "member") {
		u = rapid.SampledFrom(s.Members).Draw(t, "which").User()
	}
	kept := s
	kept.Members = slices.Clone(s.Members)
	after, err := rule(s, u)
	if !reflect.DeepEqual(s, kept) {
		t.Fatalf("the rule has changed %s", showRecord(kept))
	}
	if _, in := s.Member(u); !in && err == nil {
		t.Fatalf("%s, who is not in it, has changed %s", u, showRecord(s))
	}
	m.take(t, after, err)
}

func (m *model) repairAll(t *rapid.T) {
	for i := 0; i < len(m.sessions); i++ {
		for range 100 {
			s, ok := session.Repair(m, m.sessions[i])
			if !ok {
				break
			}
			m.take(t, s, nil)
		}
		if s, ok := session.Repair(m, m.sessions[i]); ok {
			t.Fatalf("repairing does not end: %s", showRecord(s))
		}
	}
}

// check is what holds after every step, repaired or not.
func (m *model) check(t *rapid.T) {
	chatting := map[chat.User]string{}
	for _, s := range m.sessions {
		m.checkHistory(t, m.history[s.ID])
		if s.State != chat.Open {
			continue
		}
		for _, member := range s.Present() {
			if other, ok := chatting[member.User()]; ok {
				t.Fatalf("%s is in %s and in %s", member.Name, other, s.ID)
			}
			chatting[member.User()] = s.ID
		}
		for _, member := range s.Members {
			if !member.Accepted {
				t.Fatalf("%s never accepted %s", member.Name, showRecord(s))
			}
		}
		if len(s.Present()) < 2 {
			t.Fatalf("alone: %s", showRecord(s))
		}
	}
	for h, events := range m.heard {
		checkHeard(t, h, events)
	}
}

func (m *model) checkHistory(t *rapid.T, states []chat.Session) {
	opened := slices.ContainsFunc(states, func(s chat.Session) bool { return s.State == chat.Open })
	for i, s := range states[1:] {
		if before := states[i]; before.State == chat.Closed || before.State == chat.Open && s.State == chat.Proposed || s.Epoch < before.Epoch {
			t.Fatalf("backward: %s, then %s", showRecord(before), showRecord(s))
		}
	}
	last := states[len(states)-1]
	chatEnd := slices.Contains([]chat.Reason{chat.ByQuit, chat.ByBye, chat.ByLeave, chat.ByLoss}, last.Reason)
	if last.State == chat.Closed && (chatEnd != opened || len(last.By) == 0 || last.Reason == "") {
		t.Fatalf("not an outcome of this invitation: %s", showRecord(last))
	}
}

// tally counts the events that must not come twice.
func tally(events []session.Event) (invited, opened, ended, refused int) {
	for _, e := range events {
		switch e.(type) {
		case session.Invited:
			invited++
		case session.Opened:
			opened++
		case session.Ended:
			ended++
		case session.InvitationEnded:
			refused++
		}
	}
	return invited, opened, ended, refused
}

func checkHeard(t *rapid.T, h hearing, events []session.Event) {
	invited, opened, ended, refused := tally(events)
	if invited > 1 || opened+refused > 1 || ended > opened {
		t.Fatalf("%s hears of %s: %s", h.u, h.id, showStory(events))
	}
	if n := len(events); n > 0 && ended+refused == 1 {
		switch events[n-1].(type) {
		case session.Ended, session.InvitationEnded:
		default:
			t.Fatalf("%s hears more after the end of %s: %s", h.u, h.id, showStory(events))
		}
	}
}

// finish lets every invitation have its outcome and every notice arrive: then
// everybody who was here all the time has heard the same outcome.
func (m *model) finish(t *rapid.T) {
	m.repairAll(t)
	for _, s := range m.sessions {
		if after, err := session.Expire(s); err == nil {
			m.take(t, after, nil)
		}
	}
	for _, s := range m.sessions {
		opened := slices.ContainsFunc(m.history[s.ID], func(s chat.Session) bool { return s.State == chat.Open })
		for _, member := range s.Members {
			h := hearing{member.User(), s.ID}
			if !m.begin[h] {
				continue
			}
			m.hear(h.u, s)
			_, begun, _, refused := tally(m.heard[h])
			if opened && begun != 1 || !opened && refused != 1 {
				t.Fatalf("%s has heard of %s only: %s", h.u, showRecord(s), showStory(m.heard[h]))
			}
		}
	}
	m.check(t)
}

func TestModel(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		actions := m.actions()
		names := slices.Sorted(maps.Keys(actions))
		for range 60 { // not t.Repeat: most of its plays end before anything has begun
			actions[rapid.SampledFrom(names).Draw(t, "action")](t)
			m.check(t)
		}
		m.finish(t)
		for _, s := range m.sessions {
			kind := fmt.Sprint(s.State, " ", s.Reason)
			if s.Group() {
				kind += " group"
			}
			reached[kind]++
		}
	})
	for _, kind := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("%6d %s", reached[kind], kind)
	}
}
