package transfer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"natter/chat"
	"natter/session/simtest"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

// A sim is a transfer in virtual time: a sender and receivers that run cores, lines that lose,
// delay, repeat and corrupt, disks that lose what was not synced. Everything is drawn from one
// seed, so a seed replays exactly. What happens is judged (see simJudge).
type sim struct {
	simtest.World
	steps int
	plan  simPlan
	fault plantedFault

	content []byte
	root    tree.Hash
	list    manifest.List
	pages   [][]byte
	summary manifest.Summary

	sender    *simSender
	receivers []*simReceiver
	closing   bool // the plan is over: everything heals

	judge *simJudge
}

// simPiece is the size of a piece here.
const simPiece = 64

// simPlan is how wild a schedule is.
type simPlan struct {
	receivers, pieces int
	stream, shared    bool
	prompt            bool // users accept at once
	length            Time // faults happen so long
	faultEvery        Time // 0: none
	loss, dup, flip   int  // per 10,000 deliveries
	reorder           bool
	delay             Time
	rates             [4]float64 // of each line, in bytes a second
	memory            int64
	deny              int // receivers that do not want it
	liar              int // which lie the sender tells; 0: none
}

const ms = time.Millisecond

// drawPlan draws a schedule's plan from its seed.
func drawPlan(rnd *rand.Rand) simPlan {
	p := simPlan{
		receivers: 1 + rnd.IntN(4), pieces: rnd.IntN([]int{3, 60, 400}[rnd.IntN(3)]), stream: rnd.IntN(5) == 0, shared: rnd.IntN(2) == 0,
		length: Time(1+rnd.IntN(20)) * time.Second, faultEvery: Time(100+rnd.IntN(3000)) * ms,
		loss: []int{0, 0, 20, 500}[rnd.IntN(4)], dup: []int{0, 0, 100}[rnd.IntN(3)], flip: []int{0, 0, 0, 50}[rnd.IntN(4)], reorder: rnd.IntN(3) == 0,
		delay: Time(1+rnd.IntN(60)) * ms, memory: int64(simPiece * []int{1, 2, 10, 128}[rnd.IntN(4)]),
	}
	if rnd.IntN(4) == 0 {
		p.faultEvery = 0
	}
	if rnd.IntN(6) == 0 {
		p.liar = 1 + rnd.IntN(len(lies)-1)
		p.flip = 0
	}
	for i := range p.rates {
		p.rates[i] = []float64{5, 40, 500, 5000}[rnd.IntN(4)] * simPiece
	}
	if p.receivers > 1 && rnd.IntN(5) == 0 {
		p.deny = 1
	}
	return p
}

// newSim prepares a schedule.
func newSim(seed uint64, plan func(*rand.Rand) simPlan, fault plantedFault) *sim {
	world := simtest.NewWorld(seed, 2)
	rnd := world.Rand
	s := &sim{World: world, plan: plan(rnd), fault: fault, judge: &simJudge{}}
	n := s.plan.pieces * simPiece
	if n > 0 {
		n -= rnd.IntN(simPiece)
	}
	s.content = make([]byte, n)
	for i := range s.content {
		s.content[i] = byte(rnd.Uint32())
	}
	s.root = rootOf(s.content)
	e := manifest.Entry{Parent: manifest.Top, Kind: manifest.File, Size: int64(n), Name: "file"}
	if s.plan.stream {
		e.Kind, e.Size = manifest.Stream, manifest.Unknown
	}
	s.add(e)
	if !s.plan.stream && s.One(8) {
		for i := range 5000 {
			s.add(manifest.Entry{Parent: manifest.Top, Kind: manifest.File, Name: fmt.Sprint("empty ", i)})
		}
	}
	var err error
	s.summary, err = s.list.Pages(func(p []byte) error { s.pages = append(s.pages, p); return nil })
	if err != nil {
		panic(err)
	}
	s.sender = &simSender{}
	for i := range s.plan.receivers {
		s.receivers = append(s.receivers, &simReceiver{name: chat.User([]string{"ben", "cid", "dan", "eve"}[i]), rate: s.plan.rates[i], disk: newSimDisk(), denies: i < s.plan.deny})
	}
	return s
}

func (s *sim) add(e manifest.Entry) {
	if err := s.list.Add(e); err != nil {
		panic(err)
	}
}

func rootOf(content []byte) tree.Hash {
	var b tree.Builder
	for at := 0; at < len(content); at += simPiece {
		b.Add(tree.Sum(uint64(at/simPiece), content[at:min(at+simPiece, len(content))], len(content) <= simPiece))
	}
	return b.Root()
}

// run plays the schedule and returns what is wrong with it.
func (s *sim) run() []string {
	s.beginSender()
	for _, r := range s.receivers {
		s.connect(r)
	}
	if s.plan.faultEvery > 0 {
		s.After(s.plan.faultEvery, s.misbehave)
	}
	s.Until(s.Now+s.plan.length, s.stop)
	s.heal()
	s.Until(s.Now+time.Hour, s.stop)
	s.judge.finish(s)
	return s.judge.found
}

func (s *sim) stop() bool {
	if s.steps > 300_000 {
		s.judge.wrong("rest", "no end of steps: %s", s.sender.core)
	}
	return len(s.judge.found) > 0
}

// played returns how schedules are played.
func played(fault plantedFault) simtest.Play {
	return func(seed uint64, trace bool) simtest.Played {
		s := newSim(seed, drawPlan, fault)
		if trace {
			s.Record()
		}
		found := s.run()
		for i := range found {
			found[i] += fmt.Sprintf(" (%+v)", s.plan)
		}
		return simtest.Played{Found: found, Steps: s.steps, Trace: s.Traced()}
	}
}

func (s *sim) chance(of10000 int) bool { return !s.closing && s.Rand.IntN(10_000) < of10000 }
func (s *sim) receiver(u chat.User) int {
	return slices.IndexFunc(s.receivers, func(r *simReceiver) bool { return r.name == u })
}

// line carries messages between the sender and one receiver. What goes one way keeps its
// order, unless the plan says otherwise, and takes its time.
type line struct {
	up    bool
	epoch int
	free  [2]Time // when the line has carried all that was sent so far, there and back
	last  [2]Time
}

const there, back = 0, 1

// weight is how long a message is beside a piece, in bytes.
func weight(m *Message) int {
	if m.Kind == Piece {
		return 2 + len(m.Data)
	}
	return 2 + (len(m.Data)+32*len(m.Hashes))*simPiece/tree.PieceSize
}

// carry brings a message over a line, and calls departed when the line has room again.
func (s *sim) carry(l *line, way int, rate float64, m *Message, arrive func(m Message, copy bool), departed func()) {
	if !l.up {
		return
	}
	m2 := *m
	l.free[way] = max(l.free[way], s.Now) + Time(float64(weight(m))/rate*1e9)
	epoch := l.epoch
	if departed != nil {
		s.After(l.free[way]-s.Now, func() {
			if l.epoch == epoch {
				departed()
			}
		})
	}
	if s.chance(s.plan.loss) {
		return
	}
	times := 1
	if s.chance(s.plan.dup) {
		times = 2
	}
	for i := range times {
		at := l.free[way] + s.Between(0, s.plan.delay)
		if !s.plan.reorder {
			at = max(at, l.last[way])
			l.last[way] = at
		}
		m := m2
		if m.Kind == Piece && s.chance(s.plan.flip) {
			m.Data = slices.Clone(m.Data)
			m.Data[s.Rand.IntN(len(m.Data))] ^= 1
		}
		s.After(at-s.Now, func() {
			if l.up && l.epoch == epoch {
				arrive(m, i > 0)
			}
		})
	}
}
