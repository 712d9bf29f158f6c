package delivery

import (
	"slices"
	"time"

	"natter/chat"
	"natter/session"
)

// misbehave does one bad thing, and another one later.
func (s *sim) misbehave() {
	if s.closing {
		return
	}
	s.After(s.Between(0, 2*s.plan.faultEvery), s.misbehave)
	m := s.members[s.Rand.IntN(len(s.members))]
	l := m.live
	switch s.Rand.IntN(12) {
	case 0, 1:
		s.kill(m)
	case 2, 3:
		s.interrupt(l)
	case 4:
		s.sleep(l)
	case 5:
		s.down = true
		s.Log("coordinator down")
		s.After(s.Between(0, 3*time.Second), func() { s.down = false })
	case 6:
		s.full = true
		s.After(s.Between(0, 8*time.Second), func() { s.full = false })
	case 7:
		m.wall += s.Between(-time.Hour, time.Hour)
	case 8:
		if s.One(4) && len(s.state.Present()) > 2 && l != nil && !l.dead && !l.asleep && !m.gone {
			s.Log("%s wants to leave", m.name)
			s.step(l, Input{Kind: Drain})
		}
	case 9:
		s.takeover(m)
	case 10:
		if l != nil && !l.dead && l.line != 0 {
			l.line, l.cut = 0, false
			s.Log("%s: ticket has expired", m.name)
			s.step(l, Input{Kind: LinkClosed})
		}
	case 11:
		if s.One(12) {
			s.finish(l)
		}
	}
}

// kill is kill -9; the program is started anew within the grace time or not.
func (s *sim) kill(m *simMember) {
	l := m.live
	if l == nil || l.dead || m.gone {
		return
	}
	l.dead = true
	s.Log("%s is killed", m.name)
	s.judge.died(l)
	s.lose(m)
	if !s.One(10) {
		s.After(s.Between(0, s.plan.grace*3/4), func() { s.restart(m) })
	}
}

func (s *sim) restart(m *simMember) {
	if m.gone || s.state.State != chat.Open || m.live != nil && !m.live.dead {
		return
	}
	if s.down {
		s.After(200*ms, func() { s.restart(m) })
		return
	}
	s.back(m)
	s.begin(m, true)
}

// interrupt cuts a member's line for a while.
func (s *sim) interrupt(l *simLife) {
	if l == nil || l.dead || l.line == 0 || l.cut {
		return
	}
	line := l.line
	l.cut = true
	s.Log("%s is cut off", l.m.name)
	s.After(s.Between(0, 100*ms), func() {
		if l.line == line {
			s.step(l, Input{Kind: LinkDown})
		}
	})
	silent := s.One(2) // the coordinator does not notice
	if !silent {
		s.lose(l.m)
	}
	s.After(s.Between(100*ms, s.plan.grace*3/4), func() {
		if l.line != line || l.dead {
			return
		}
		l.cut = false
		s.Log("%s is connected again", l.m.name)
		s.back(l.m)
		s.step(l, Input{Kind: LinkUp})
	})
}

// sleep has a computer stand still. What comes in meanwhile waits at its socket, or is lost.
func (s *sim) sleep(l *simLife) {
	if l == nil || l.dead || l.asleep || l.cut {
		return
	}
	l.asleep = true
	l.naps++
	nap := l.naps
	s.Log("%s falls asleep", l.m.name)
	lost := s.One(2)
	if lost {
		s.After(s.Between(0, time.Second), func() {
			if l.asleep && !l.dead && l.naps == nap {
				l.cut = true // the broker has given it up
				s.lose(l.m)
			}
		})
	}
	s.After(s.Between(100*ms, s.plan.grace*3/2), func() {
		s.Log("%s wakes up", l.m.name)
		l.asleep = false
		inbox := l.inbox
		l.inbox = nil
		for _, f := range inbox {
			f()
		}
		if lost && !l.dead {
			l.cut = true
			s.step(l, Input{Kind: LinkDown})
			s.After(s.Between(ms, 100*ms), func() {
				if l.dead {
					return
				}
				l.cut = false
				s.back(l.m)
				if l.line != 0 {
					s.step(l, Input{Kind: LinkUp})
				}
			})
		}
		s.step(l, Input{Kind: Tick})
	})
}

// takeover has the member sign in on another terminal; the older one hears of it late.
func (s *sim) takeover(m *simMember) {
	l := m.live
	if l == nil || l.dead || m.gone || s.down || s.state.State != chat.Open {
		return
	}
	s.Log("%s takes over", m.name)
	s.judge.died(l)
	s.state.Epoch++
	s.After(s.Between(0, 50*ms), func() { l.dead = true })
	s.begin(m, true)
	s.tellAll()
}

// lose has the coordinator notice that a member is away.
func (s *sim) lose(m *simMember) {
	s.After(s.Between(0, 100*ms), func() {
		u := m.name.User()
		i := slices.IndexFunc(s.state.Members, func(x chat.Member) bool { return x.User() == u && x.Left == "" })
		if i < 0 || s.state.Members[i].Lost || s.reachable(m) {
			return
		}
		s.set(i, func(x *chat.Member) { x.Lost = true })
		s.Log("%s is lost", m.name)
		s.tellAll()
		s.After(s.plan.grace, func() {
			if _, in := s.state.Member(u); in && s.state.State == chat.Open && s.state.Members[i].Lost && !s.reachable(m) {
				s.part(m, chat.ByLoss)
			}
		})
	})
}

func (s *sim) reachable(m *simMember) bool {
	return m.live != nil && !m.live.dead && !m.live.asleep && !m.live.cut
}

// set changes a member in a new record.
func (s *sim) set(i int, change func(*chat.Member)) {
	s.state.Members = slices.Clone(s.state.Members)
	change(&s.state.Members[i])
}

// back has the coordinator notice that a member is there again.
func (s *sim) back(m *simMember) {
	u := m.name.User()
	i := slices.IndexFunc(s.state.Members, func(x chat.Member) bool { return x.User() == u && x.Left == "" })
	if i < 0 || !s.state.Members[i].Lost {
		return
	}
	s.set(i, func(x *chat.Member) { x.Lost = false })
	s.tellAll()
}

// tellAll tells the members of the record, some later than others, and some not yet.
func (s *sim) tellAll() {
	for _, m := range s.members {
		if s.One(10) && !s.closing && s.state.State == chat.Open {
			s.After(s.Between(100*ms, time.Second), func() { s.hear(m) })
			continue
		}
		s.After(s.Between(0, 30*ms), func() { s.hear(m) })
	}
}

// hear gives a member the present record.
func (s *sim) hear(m *simMember) {
	l := m.live
	if l == nil || l.dead || l.over || l.line == 0 && l.known.Epoch > s.state.Epoch {
		return
	}
	if l.asleep {
		l.inbox = append(l.inbox, func() { s.hear(m) })
		return
	}
	if l.cut {
		s.After(200*ms, func() { s.hear(m) })
		return
	}
	_, in := s.state.Member(m.name.User())
	if in && s.state.State == chat.Open {
		l.known = s.state
		s.step(l, Input{Kind: Record, Session: s.copyState()})
		return
	}
	s.over(l)
}

// over is the end of the session for a member: what is stored of those who left comes first.
func (s *sim) over(l *simLife) {
	if l.over {
		return
	}
	l.over = true
	if s.state.State == chat.Closed {
		s.step(l, Input{Kind: Over, Session: s.copyState()})
		me := l.m.name.User()
		for _, r := range s.store {
			if r.to == me {
				s.step(l, Input{Kind: Fetched, From: r.from, Frame: Frame{Messages: r.messages}})
			}
		}
	}
	s.step(l, Input{Kind: Close})
	_, in := s.state.Member(l.m.name.User())
	lost, _ := l.core.Undelivered(s.state.State == chat.Open && !in && l.m.gone)
	s.judge.ended(l, s.undelivered(lost))
	l.dead = true
}

func (s *sim) undelivered(lost []session.NotDelivered) []session.NotDelivered {
	if s.fault.lost != nil {
		return s.fault.lost(lost)
	}
	return lost
}

// leave takes a member out who wanted to.
func (s *sim) leave(l *simLife) {
	if l.dead || l.m.gone || s.down || s.state.State != chat.Open || len(s.state.Present()) < 3 {
		return
	}
	s.Log("%s leaves", l.m.name)
	s.step(l, Input{Kind: Close})
	lost, _ := l.core.Undelivered(true)
	s.judge.left(l, s.undelivered(lost))
	l.over, l.dead = true, true
	s.part(l.m, chat.ByLeave)
}

// part notes that a member is out, and that a session with one member is over.
func (s *sim) part(m *simMember, why chat.Reason) {
	u := m.name.User()
	for i, x := range s.state.Members {
		if x.User() == u && x.Left == "" {
			s.set(i, func(x *chat.Member) { x.Left = why })
		}
	}
	m.gone = true
	s.judge.parted(u)
	s.Log("%s is out: %s", m.name, why)
	s.store = slices.DeleteFunc(s.store, func(r simStored) bool { return r.to == u })
	s.state.Epoch++
	if len(s.state.Present()) < 2 {
		s.closeState()
		return
	}
	s.tellAll()
}

func (s *sim) closeState() {
	s.state.State = chat.Closed
	s.store = slices.DeleteFunc(s.store, func(r simStored) bool {
		_, stayed := s.state.Member(r.from)
		return stayed
	})
	s.Log("the session is over")
	s.tellAll()
}

// finish has a member end the session for all: what was said arrives first, if it can.
func (s *sim) finish(l *simLife) {
	if l == nil || l.dead || l.asleep || l.cut || l.m.gone || s.down {
		return
	}
	s.Log("%s quits", l.m.name)
	s.step(l, Input{Kind: Flush})
	s.After(s.Between(50*ms, 2*time.Second), func() {
		if l.dead || s.state.State != chat.Open || l.m.gone {
			return
		}
		s.closeState()
	})
}

// heal ends all faults.
func (s *sim) heal() {
	s.closing, s.down, s.full = true, false, false
	s.Log("everything heals")
	for _, m := range s.members {
		s.After(s.Between(0, 200*ms), func() { s.hear(m) })
	}
}

// settledAtTheEnd checks that a healed session has come to rest.
func (s *sim) settledAtTheEnd(l *simLife) {
	if n := l.core.Unacknowledged(); n > 0 {
		s.judge.wrong("rest", "a minute after everything has healed: %s", l.core)
	}
	if next := l.core.Next(); next != never && next < s.Now+5*time.Second && !l.asleep && l.line != 0 {
		s.judge.wrong("rest", "%s looks for something at %v although nothing is left to do at %v: %s", l.m.name, next, s.Now, l.core)
	}
}
