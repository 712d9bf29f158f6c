package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"natter/chat"
	"natter/session/simtest"
)

// A sim is a session in virtual time: members that run cores, a network that loses, delays
// and repeats, a coordinator with its store. Everything is drawn from one seed, so a seed
// replays exactly. What each member is shown is recorded and judged (see simJudge).
type sim struct {
	simtest.World
	steps int
	plan  simPlan
	fault plantedFault

	members []*simMember
	state   chat.Session // as the coordinator has it
	store   []simStored
	stored  uint64
	lines   int  // that have been made
	down    bool // the coordinator does not answer
	full    bool // it stores nothing
	closing bool // the plan is over: everything heals

	judge *simJudge
}

// simPlan is how wild a schedule is.
type simPlan struct {
	members    int
	length     Time // faults happen so long
	sayEvery   Time
	faultEvery Time
	loss, dup  int // per 1,000 deliveries
	delay      Time
	grace      Time
}

// simStored is a record of the store.
type simStored struct {
	seq      uint64
	to, from chat.User
	messages []chat.Message
}

// simMember is one member: at most one living core, and perhaps an older one that does not
// know yet that another terminal has taken over.
type simMember struct {
	name         chat.Name
	live         *simLife
	said         int
	incarnations int
	wall         Time // how much the clock is ahead
	gone         bool // left, or did not come back
	begun        int  // lives that have begun
}

// simLife is one incarnation of a member's program.
type simLife struct {
	m      *simMember
	n      int
	core   *Core
	dead   bool
	asleep bool
	naps   int
	line   int  // number of its connection; 0: none
	cut    bool // the connection is interrupted
	epoch  int  // channel that it listens to
	wakeAt Time // a tick is scheduled
	inbox  []func()
	over   bool
	known  chat.Session
	last   map[chat.User]Time // when the last delivery from each sender arrives: order is kept
}

const ms = time.Millisecond

var simNames = []chat.Name{"ann", "ben", "cid", "dan", "eve", "fay", "gus", "hal"}

// drawPlan draws a schedule's plan from its seed.
func drawPlan(rnd *rand.Rand) simPlan {
	return simPlan{
		members: 2 + rnd.IntN(3), length: Time(1+rnd.IntN(6)) * time.Second, sayEvery: Time(50+rnd.IntN(300)) * ms,
		faultEvery: Time(50+rnd.IntN(1000)) * ms, loss: []int{0, 0, 5, 50}[rnd.IntN(4)], dup: []int{0, 10, 50}[rnd.IntN(3)],
		delay: Time(1+rnd.IntN(40)) * ms, grace: Time(2+rnd.IntN(4)) * time.Second,
	}
}

// newSim prepares a schedule.
func newSim(seed uint64, plan func(*rand.Rand) simPlan, fault plantedFault) *sim {
	world := simtest.NewWorld(seed, 1)
	rnd := world.Rand
	s := &sim{World: world, plan: plan(rnd), fault: fault, judge: newSimJudge()}
	s.state = chat.Session{ID: "0123456789abcdef0123456789abcdef", State: chat.Open}
	for _, n := range simNames[:s.plan.members] {
		s.state.Members = append(s.state.Members, chat.Member{Name: n, Accepted: true})
		s.members = append(s.members, &simMember{name: n})
	}
	return s
}

// run plays the schedule and returns what is wrong with it.
func (s *sim) run() []string {
	for _, m := range s.members {
		s.begin(m, false)
		s.After(s.Between(0, s.plan.sayEvery), func() { s.talk(m) })
	}
	s.After(s.plan.faultEvery, s.misbehave)
	s.Until(s.Now+s.plan.length, s.stop)
	s.heal()
	s.Until(s.Now+60*time.Second, s.stop)
	for _, m := range s.members {
		if l := m.live; len(s.judge.found) == 0 && l != nil && !l.dead && !l.over && s.state.State == chat.Open && !m.gone {
			s.settledAtTheEnd(l)
		}
	}
	s.judge.finish(s)
	return s.judge.found
}

func (s *sim) stop() bool { return len(s.judge.found) > 0 }

// played returns how schedules of a plan are played.
func played(plan func(*rand.Rand) simPlan, fault plantedFault) simtest.Play {
	return func(seed uint64, trace bool) simtest.Played {
		s := newSim(seed, plan, fault)
		if trace {
			s.Record()
		}
		found := s.run()
		return simtest.Played{Found: found, Steps: s.steps, Trace: s.Traced()}
	}
}

// begin starts a program.
func (s *sim) begin(m *simMember, rejoin bool) {
	m.begun++
	l := &simLife{m: m, n: m.begun, known: s.state, epoch: -1, wakeAt: never, last: map[chat.User]Time{}}
	l.core = NewCore(Config{Me: m.name.User(), Rejoin: rejoin, Report: true, Rules: chat.Rules{MaxText: chat.MaxText}, Session: s.state})
	l.core.now = 0
	m.live = l
	s.Log("%s begins life %d", m.name, l.n)
	s.judge.begun(m.name.User(), l.n)
	s.step(l, Input{Kind: Record, Session: s.copyState()})
}

func (s *sim) copyState() *chat.Session {
	c := s.state
	c.Members = slices.Clone(c.Members)
	return &c
}

// step runs one step of a core, and does what it wants.
func (s *sim) step(l *simLife, in Input) {
	if l.dead {
		return
	}
	if l.asleep {
		l.inbox = append(l.inbox, func() { s.step(l, in) })
		return
	}
	s.steps++
	if s.fault.input != nil {
		s.fault.input(l, &in)
	}
	fx := l.core.Step(in, s.Now, nil)
	if s.Trace != nil && in.Kind != Tick {
		s.Log("%s <- %s", l.m.name, describe(in))
	}
	if s.fault.after != nil {
		s.fault.after(l)
	}
	if err := l.core.check(); err != nil {
		s.judge.wrong("invariant", "%v at %v: %v", l.m.name, s.Now, err)
	}
	for _, e := range fx {
		if s.fault.effect == nil || s.fault.effect(s, l, &e) {
			s.do(l, e)
		}
	}
	if at := l.core.Next(); at != never && at < l.wakeAt {
		l.wakeAt = at
		s.After(max(at-s.Now, ms), func() { s.tick(l, at) })
	}
}

func (s *sim) tick(l *simLife, at Time) {
	if l.wakeAt != at {
		return
	}
	l.wakeAt = never
	s.step(l, Input{Kind: Tick})
	if at := l.core.Next(); at != never && at < l.wakeAt && !l.dead {
		l.wakeAt = at
		s.After(max(at-s.Now, ms), func() { s.tick(l, at) })
	}
}

// do carries an effect out.
func (s *sim) do(l *simLife, e Effect) {
	me := l.m.name.User()
	if s.Trace != nil && e.Kind != Moved {
		s.Log("   %s -> %s", me, describeEffect(e))
	}
	switch e.Kind {
	case Publish:
		f := l.core.frame0(e)
		s.broadcast(l, Input{Kind: FrameIn, From: me, Frame: f})
		s.After(s.Between(0, 2*ms), func() { s.step(l, Input{Kind: Published}) })
	case SendReceipt:
		s.send(l, e.To, Input{Kind: Receipt, From: me, N: e.N})
	case AskReceipts:
		s.broadcast(l, Input{Kind: Asked, From: me})
	case SendAnnounce:
		s.announce(l, e)
	case SendBye:
		s.broadcast(l, Input{Kind: ByeSaid, From: me, Yes: e.Yes})
	case Join:
		s.join(l, e.Yes)
	case Store:
		s.stores(l, e)
	case Fetch:
		s.fetch(l)
	case Drained:
		s.After(0, func() { s.leave(l) })
	case Tell:
		s.judge.told(l, e.Event)
	}
}

func (s *sim) announce(l *simLife, e Effect) {
	me := l.m.name.User()
	if e.To != "" {
		s.send(l, e.To, Input{Kind: Announced, From: me, Announce: e.Announce})
		return
	}
	for _, m := range s.members {
		if u := m.name.User(); u != me {
			a := l.core.Standing(u)
			a.Ask = e.Announce.Ask
			s.send(l, u, Input{Kind: Announced, From: me, Yes: true, Announce: a})
		}
	}
}

func (s *sim) broadcast(l *simLife, in Input) {
	for _, m := range s.members {
		if m != l.m {
			s.send(l, m.name.User(), in)
		}
	}
}

// send brings something to whoever listens to the sender's channel when it arrives. What one
// sender sends keeps its order.
func (s *sim) send(l *simLife, to chat.User, in Input) {
	if l.line == 0 || l.cut || l.dead {
		return // a publish without a connection is lost
	}
	epoch := l.epoch
	m := s.member(to)
	if m == nil {
		return
	}
	times := 1
	if !s.closing {
		if s.Rand.IntN(1000) < s.plan.loss {
			return
		}
		if s.Rand.IntN(1000) < s.plan.dup {
			times = 2
		}
	}
	for range times {
		at := max(s.Now+s.Between(ms/10, s.plan.delay), l.last[to])
		l.last[to] = at
		s.After(at-s.Now, func() { s.arrive(m, epoch, in) })
	}
}

func (s *sim) arrive(m *simMember, epoch int, in Input) {
	l := m.live
	if l == nil || l.dead || l.line == 0 || l.cut || l.epoch != epoch || l.over {
		return
	}
	if _, in2 := s.state.Member(m.name.User()); !in2 {
		return
	}
	s.step(l, in)
}

func (s *sim) member(u chat.User) *simMember {
	for _, m := range s.members {
		if m.name.User() == u {
			return m
		}
	}
	return nil
}

// join makes a connection to the session's channel.
func (s *sim) join(l *simLife, again bool) {
	s.After(s.Between(ms, 30*ms), func() {
		_, in := s.state.Member(l.m.name.User())
		if s.down || !in || s.state.State != chat.Open || l.m.live != l {
			s.step(l, Input{Kind: JoinFailed})
			return
		}
		if again {
			l.m.incarnations++
		}
		incarnation, epoch := l.m.incarnations, s.state.Epoch
		if again && s.One(10) && !s.closing { // the answer is lost
			s.step(l, Input{Kind: JoinFailed})
			return
		}
		s.After(s.Between(ms, 10*ms), func() {
			if l.dead {
				return
			}
			s.lines++
			l.line, l.cut, l.epoch = s.lines, false, epoch
			s.back(l.m)
			s.step(l, Input{Kind: Joined, Epoch: epoch, Incarnation: incarnation})
		})
	})
}

// stores has messages stored, as the coordinator would. The answer may be lost.
func (s *sim) stores(l *simLife, e Effect) {
	me := l.m.name.User()
	messages := l.core.Messages(e.First, e.Last)
	s.After(s.Between(ms, 20*ms), func() {
		_, in := s.state.Member(me)
		if s.down || s.full || !in || s.state.State != chat.Open {
			s.step(l, Input{Kind: StoreFailed, First: e.First, Last: e.Last})
			return
		}
		for u, upTo := range e.Received {
			s.store = slices.DeleteFunc(s.store, func(r simStored) bool { return r.to == u && r.from == me && r.seq <= upTo })
		}
		kept := map[chat.User]uint64{}
		for _, u := range e.For {
			s.stored++
			kept[u] = s.stored
			s.store = append(s.store, simStored{s.stored, u, me, messages})
		}
		if s.One(20) && !s.closing {
			s.After(s.Between(ms, 50*ms), func() { s.step(l, Input{Kind: StoreFailed, First: e.First, Last: e.Last}) })
			return
		}
		s.After(s.Between(ms, 20*ms), func() {
			s.step(l, Input{Kind: Stored, Stored: kept, First: e.First, Last: e.Last, Received: e.Received})
		})
	})
}

// fetch returns what is stored for a member, which is deleted when they have it.
func (s *sim) fetch(l *simLife) {
	me := l.m.name.User()
	s.After(s.Between(ms, 20*ms), func() {
		if s.down || l.line == 0 || l.cut {
			s.step(l, Input{Kind: FetchFailed})
			return
		}
		upTo := s.stored
		for _, r := range s.store {
			if r.to == me {
				s.step(l, Input{Kind: Fetched, From: r.from, Frame: Frame{Messages: r.messages}})
			}
		}
		s.step(l, Input{Kind: FetchDone})
		s.After(s.Between(ms, 20*ms), func() {
			if !l.dead && !l.asleep {
				s.store = slices.DeleteFunc(s.store, func(r simStored) bool { return r.to == me && r.seq <= upTo })
			}
		})
	})
}

// talk has a member say something, and again later.
func (s *sim) talk(m *simMember) {
	if s.closing || s.state.State != chat.Open {
		return
	}
	s.After(s.Between(0, 2*s.plan.sayEvery), func() { s.talk(m) })
	n := 1
	if s.One(100) {
		n = 100 // a paste
	}
	for range n {
		l := m.live
		if l == nil || l.dead || l.asleep || l.over || l.core.Admit() != Admitted {
			return
		}
		if _, in := s.state.Member(m.name.User()); !in {
			return
		}
		m.said++
		text := fmt.Sprint(m.name, " ", m.said)
		s.judge.says(l, text)
		s.step(l, Input{Kind: Say, Text: text, At: int64((s.Now + m.wall) / ms)})
	}
}

// frame0 is the frame that a Publish names, as its receivers read it.
func (c *Core) frame0(e Effect) Frame {
	f := Frame{Messages: c.Messages(e.First, e.Last)}
	f.Receipts = slices.Clone(c.send.receipts)
	return f
}

// check reports what is wrong with a core: see the invariants of peer.
func (c *Core) check() error {
	q := &c.queue
	if c.send.sent >= q.next {
		return fmt.Errorf("sent %d of %d: %s", c.send.sent, q.next-1, c)
	}
	for _, p := range c.peers {
		n := max(p.acked+1, q.first)
		switch {
		case p.acked >= q.next && !c.link.holding, p.stored >= q.next && !c.link.holding:
			return fmt.Errorf("%s has what was never said: %s", p.user, c)
		case p.state == Slow && n >= q.next:
			return fmt.Errorf("%s is slow and lacks nothing: %s", p.user, c)
		case p.state == Left:
			return fmt.Errorf("%s has left and is a peer: %s", p.user, c)
		case p.owedAt != never && p.have == 0:
			return fmt.Errorf("%s is owed a receipt for nothing: %s", p.user, c)
		case !c.link.holding && p.acked+1 < q.first && chat.IncarnationOf(p.acked+1) == chat.IncarnationOf(q.first):
			return fmt.Errorf("%s lacks %d, which is not kept: %s", p.user, p.acked+1, c)
		}
	}
	return nil
}
