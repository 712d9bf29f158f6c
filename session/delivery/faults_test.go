package delivery

import (
	"math/rand/v2"

	"natter/chat"
	"natter/session"
)

// plantedFault is a plausible mistake, so that it can be seen that the simulation finds it.
// The zero value is none.
type plantedFault struct {
	name   string
	input  func(l *simLife, in *Input)              // before a step
	after  func(l *simLife)                         // after it
	effect func(s *sim, l *simLife, e *Effect) bool // false: the effect is not carried out
	lost   func([]session.NotDelivered) []session.NotDelivered
}

var plantedFaults = []plantedFault{
	{name: "receipts run ahead", effect: func(_ *sim, _ *simLife, e *Effect) bool {
		if e.Kind == SendReceipt {
			e.N++
		}
		return true
	}},
	{name: "a repetition is shown", input: func(l *simLife, in *Input) {
		if p := find(l.core.peers, in.From); in.Kind == FrameIn && p != nil && p.have > chat.FirstOf(chat.IncarnationOf(p.have))+1 {
			p.have--
		}
	}},
	{name: "each incarnation counts as the first", input: func(_ *simLife, in *Input) {
		if in.Kind == Joined {
			in.Incarnation = 0
		}
	}},
	{name: "a new epoch is not joined", input: func(_ *simLife, in *Input) {
		if in.Kind == Record {
			in.Session.Epoch = 0
		}
	}},
	{name: "what is stored is skipped", input: func(l *simLife, in *Input) {
		if p := find(l.core.peers, in.From); in.Kind == Announced && p != nil && in.Announce.First > p.have+1 {
			p.have = in.Announce.First - 1
		}
	}},
	{name: "stored before it is", effect: func(s *sim, l *simLife, e *Effect) bool {
		if e.Kind != Store {
			return true
		}
		stored := map[chat.User]uint64{}
		for _, u := range e.For {
			stored[u] = 1
		}
		in := Input{Kind: Stored, Stored: stored, First: e.First, Last: e.Last, Received: e.Received}
		s.After(ms, func() { s.step(l, in) })
		return false
	}},
	{name: "nothing is sent again", after: func(l *simLife) {
		l.core.send.redo, l.core.send.dueAt = 0, never
		for _, p := range l.core.peers {
			p.resendAt = never
		}
	}},
	{name: "a slow peer is forgotten", after: func(l *simLife) {
		for _, p := range l.core.peers {
			if p.state == Slow {
				p.acked, p.state = l.core.last(), InSync
			}
		}
	}},
	{name: "what has failed is not told", lost: func([]session.NotDelivered) []session.NotDelivered { return nil }},
	{name: "what is not known is told as failed", lost: func(lost []session.NotDelivered) []session.NotDelivered {
		for i := range lost {
			lost[i].Unknown = false
		}
		return lost
	}},
}

// drawLongPlan draws 60 seconds with eight members.
func drawLongPlan(rnd *rand.Rand) simPlan {
	p := drawPlan(rnd)
	p.members, p.length = 8, 60*Time(1e9)
	p.sayEvery *= 4
	return p
}
