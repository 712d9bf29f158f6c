package transfer

import (
	"io"
	"slices"
	"strings"
	"time"

	"natter/chat"
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

// simSender is the sender's program: at most one is alive.
type simSender struct {
	core  *Sender
	life  int
	dead  bool
	gone  bool // it does not come back: a stream has no second run
	wake  Time
	cache []tree.Hash // hashes from the beginning
	read  int         // pieces of a stream that were read
}

// simReceiver is a receiver's program and its disk, which outlives it.
type simReceiver struct {
	name   chat.User
	rate   float64
	denies bool
	disk   *simDisk
	line   line

	core     *Receiver
	life     int
	dead     bool
	wake     Time
	listens  bool
	accepted bool // it is on disk
	placed   bool
	ended    bool // it was told of the end, or of a failure, in some life
	why      Reason
	resent   int // pieces that came although they were recorded
	breaks   int
	busy     Time // when the disk has done what it was asked for
}

// simDisk has what is written, and what is durable of it.
type simDisk struct {
	durable, volatile map[uint64][]byte
	journal           simFile
	header            journal.Header
	full              bool
}

func newSimDisk() *simDisk {
	return &simDisk{durable: map[uint64][]byte{}, volatile: map[uint64][]byte{}, header: journal.Header{Kind: journal.Received, Size: 1}}
}

// simFile is a file in memory of which the end is lost in a crash.
type simFile struct {
	b      []byte
	synced int
}

func (f *simFile) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, f.b[min(int(off), len(f.b)):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) WriteAt(p []byte, off int64) (int, error) {
	f.b = append(f.b[:off], p...)
	return len(p), nil
}

func (f *simFile) Truncate(n int64) error {
	f.b, f.synced = f.b[:n], min(f.synced, int(n))
	return nil
}

func (f *simFile) Sync() error {
	f.synced = len(f.b)
	return nil
}

// crash loses what is not synced, but for some of it.
func (d *simDisk) crash(s *sim) {
	for _, i := range sortedKeys(d.volatile) {
		if s.One(2) {
			d.durable[i] = d.volatile[i]
		}
	}
	d.volatile = map[uint64][]byte{}
	if n := len(d.journal.b) - d.journal.synced; n > 0 {
		d.journal.b = d.journal.b[:d.journal.synced+s.Rand.IntN(n+1)]
	}
	d.journal.synced = len(d.journal.b)
}

func sortedKeys(m map[uint64][]byte) (list []uint64) {
	for i := range m {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// beginSender starts the sender's program.
func (s *sim) beginSender() {
	p := s.sender
	p.life++
	p.dead, p.wake = false, never
	cfg := SenderConfig{ID: ID{1}, Incarnation: uint64(p.life), Summary: s.summary, piece: simPiece}
	for _, h := range p.cache {
		cfg.Built.Add(h)
	}
	for _, r := range s.receivers {
		cfg.Receivers = append(cfg.Receivers, r.name)
	}
	p.core = NewSender(cfg)
	s.Log("sender begins life %d with %d hashes", p.life, len(p.cache))
}

func (s *sim) stepSender(in Input) {
	p := s.sender
	if p.dead {
		return
	}
	s.steps++
	fx := p.core.Step(in, s.Now, nil)
	if s.Trace != nil && in.Kind != Tick {
		s.Log("sender <- %s: %s", describe(in), p.core)
	}
	s.judge.checkSender(s)
	for _, e := range fx {
		if s.fault.sender == nil || s.fault.sender(s, &e) {
			s.doSender(e)
		}
	}
	s.wakeSender()
}

func (s *sim) wakeSender() {
	p := s.sender
	life := p.life
	if at := p.core.Next(); at < p.wake {
		p.wake = at
		s.After(max(at-s.Now, ms), func() {
			if p.life == life && p.wake == at {
				p.wake = never
				s.stepSender(Input{Kind: Tick})
				s.wakeSender()
			}
		})
	}
}

func (s *sim) doSender(e Effect) {
	p := s.sender
	if s.Trace != nil {
		s.Log("  sender -> %s", describeEffect(e))
	}
	life := p.life
	switch e.Kind {
	case Send:
		s.sendTo(e)
	case ReadPieces:
		s.After(s.Between(0, 3*ms), func() {
			if p.life == life && !p.dead {
				s.read(e)
			}
		})
	case CacheHashes:
		if int(e.Index) != len(p.cache) {
			s.judge.wrong("cache", "hashes from %d behind %d", e.Index, len(p.cache))
		}
		p.cache = append(p.cache, e.Hashes...)
	case Tell:
		s.judge.toldSender(s, e.Event)
	}
}

func (s *sim) read(e Effect) {
	from := min(int(e.Index)*simPiece, len(s.content))
	to := min(from+e.Count*simPiece, len(s.content))
	in := Input{Kind: ReadDone, From: e.To, Index: e.Index, Data: slices.Clone(s.content[from:to]), Yes: to == len(s.content)}
	if s.plan.stream {
		if int(e.Index) != s.sender.read {
			s.judge.wrong("stream", "piece %d is read after %d", e.Index, s.sender.read)
		}
		s.sender.read += e.Count
	}
	s.stepSender(in)
}

// sendTo sends what the sender has to say, or lies.
func (s *sim) sendTo(e Effect) {
	m := e.Message
	if m.Kind == Offer || m.Kind == Page {
		m.Data = s.pages[m.Index]
	}
	list := lies[s.plan.liar].tell(s, m)
	if done := s.sent(e.To, &m); len(list) == 0 && done != nil {
		s.After(s.Between(0, ms), done)
	}
	for _, m := range list {
		s.wire(&m)
		if e.To != Everyone {
			r := s.receivers[s.receiver(e.To)]
			s.carry(&r.line, there, r.rate, &m, func(m Message, copy bool) { s.arrive(r, m, copy) }, s.sent(e.To, &m))
			continue
		}
		if done := s.sent(e.To, &m); done != nil {
			s.After(s.Between(0, ms), done)
		}
		for _, r := range s.receivers {
			if r.listens {
				s.carry(&r.line, there, r.rate, &m, func(m Message, _ bool) { s.arrive(r, m, true) }, nil)
			}
		}
	}
}

// wire checks that a message survives its wire form.
func (s *sim) wire(m *Message) {
	if s.steps%50 != 0 || s.plan.liar > 0 {
		return
	}
	if _, err := Parse(m.Append(nil)); err != nil {
		s.judge.wrong("wire", "%+v is no message", *m)
	}
}

// sent tells the sender that the transport has taken a piece.
func (s *sim) sent(lane chat.User, m *Message) func() {
	if m.Kind != Piece {
		return nil
	}
	life := s.sender.life
	return func() {
		if s.sender.life == life {
			s.stepSender(Input{Kind: Sent, From: lane})
		}
	}
}

func (s *sim) arrive(r *simReceiver, m Message, copy bool) {
	if r.core == nil && r.ended && r.why != 0 {
		if m.Kind == Stop || m.Kind == Bye {
			return
		}
		stop := Message{Kind: Stop, ID: m.ID, Reason: Unknown}
		s.carry(&r.line, back, 1e9, &stop, func(m Message, _ bool) { s.stepSender(Input{Kind: MessageIn, From: r.name, Message: m}) }, nil)
		return
	}
	if r.core == nil && m.Kind == Offer && !r.dead {
		s.beginReceiver(r)
		s.step(r, Input{Kind: LinkUp})
	}
	if r.core == nil || r.dead {
		return
	}
	if m.Kind == Piece && !copy && m.Index < r.core.parts.low() {
		r.resent++
	}
	s.step(r, Input{Kind: MessageIn, Message: m})
}

// beginReceiver starts a receiver's program: with its journal, if it has accepted before.
func (s *sim) beginReceiver(r *simReceiver) {
	r.life++
	r.dead, r.wake, r.listens, r.busy = false, never, false, s.Now
	core, err := NewReceiver(ReceiverConfig{ID: ID{1}, Incarnation: uint64(100 + r.life), Summary: s.summary, Accepted: r.accepted, Memory: s.plan.memory, piece: simPiece})
	if err != nil {
		s.judge.wrong("offer", "%v", err)
		return
	}
	r.core = core
	if r.accepted {
		r.disk.open(s, r)
	}
	s.Log("%s begins life %d: %s", r.name, r.life, core)
}

// open replays the journal, and makes one if there is none.
func (d *simDisk) open(s *sim, r *simReceiver) {
	_, err := journal.Open(&d.journal, d.header, func(rec journal.Record) error {
		for k, h := range rec.Hashes {
			if i := rec.First + uint64(k); rec.Kind == journal.Pieces && (d.durable[i] == nil || sumOf(s, i, d.durable[i]) != h) {
				s.judge.wrong("journal", "%s: piece %d is recorded and not there", r.name, i)
			}
		}
		return r.core.Replay(rec)
	})
	if err == journal.ErrOther {
		_, err = journal.Create(&d.journal, d.header)
	}
	if err != nil {
		s.judge.wrong("journal", "%v", err)
	}
}

func sumOf(s *sim, i uint64, data []byte) tree.Hash {
	return tree.Sum(i, data, i == 0 && len(s.content) <= simPiece)
}

func (s *sim) step(r *simReceiver, in Input) {
	if r.dead || r.core == nil {
		return
	}
	s.steps++
	if s.fault.input != nil {
		s.fault.input(r, &in)
	}
	fx := r.core.Step(in, s.Now, nil)
	if s.Trace != nil && in.Kind != Tick {
		s.Log("%s <- %s: %s", r.name, describe(in), r.core)
	}
	if s.fault.after != nil {
		s.fault.after(r)
	}
	s.judge.checkReceiver(s, r)
	for _, e := range fx {
		if s.fault.effect == nil || s.fault.effect(s, r, &e) {
			s.do(r, e)
		}
	}
	s.wakeUp(r)
}

func (s *sim) wakeUp(r *simReceiver) {
	life := r.life
	if at := r.core.Next(); at < r.wake {
		r.wake = at
		s.After(max(at-s.Now, ms), func() {
			if r.life == life && r.wake == at && !r.dead {
				r.wake = never
				s.step(r, Input{Kind: Tick})
				s.wakeUp(r)
			}
		})
	}
}

func (s *sim) do(r *simReceiver, e Effect) {
	if s.Trace != nil {
		s.Log("  %s -> %s", r.name, describeEffect(e))
	}
	switch e.Kind {
	case Send:
		m := e.Message
		s.wire(&m)
		life := s.sender.life
		s.carry(&r.line, back, 1e9, &m, func(m Message, _ bool) {
			if s.sender.life == life {
				s.stepSender(Input{Kind: MessageIn, From: r.name, Message: m})
			}
		}, nil)
	case Listen:
		r.listens = e.Yes
	case Tell:
		s.told(r, e.Event)
	case WritePiece, SyncData, AppendRecords, Place:
		s.diskDo(r, e)
	}
}

func (s *sim) told(r *simReceiver, e Event) {
	switch e.Kind {
	case Offered:
		life := r.life
		wait := s.Between(0, time.Second)
		if s.plan.prompt {
			wait = 0
		}
		s.After(wait, func() {
			if r.life != life || r.dead {
				return
			}
			if r.denies {
				s.step(r, Input{Kind: Decline})
				return
			}
			if r.core.phase == offered {
				r.accepted = true
				r.disk.open(s, r)
			}
			s.step(r, Input{Kind: Accept})
		})
	case Ended:
		s.judge.toldReceiver(s, r, e)
	}
}

// diskDo has the disk do one thing after the other.
func (s *sim) diskDo(r *simReceiver, e Effect) {
	took := s.Between(0, ms/4)
	if e.Kind == SyncData || e.Kind == AppendRecords {
		took = s.Between(0, 40*ms)
	}
	r.busy = max(r.busy, s.Now) + took
	life := r.life
	s.After(r.busy-s.Now, func() {
		if r.life == life && !r.dead {
			s.step(r, r.disk.do(s, r, e))
		}
	})
}

func (d *simDisk) do(s *sim, r *simReceiver, e Effect) Input {
	fails := d.full || s.plan.faultEvery > 0 && s.chance(10)
	switch e.Kind {
	case WritePiece:
		if fails {
			return Input{Kind: WriteFailed, Index: e.Index, Reason: Full}
		}
		d.volatile[e.Index] = slices.Clone(e.Data)
		return Input{Kind: Written, Index: e.Index}
	case SyncData:
		if fails {
			d.crash(s)
			return Input{Kind: SyncFailed, Reason: Unkept}
		}
		for i, data := range d.volatile {
			d.durable[i] = data
		}
		clear(d.volatile)
		return Input{Kind: Synced}
	case AppendRecords:
		j, err := journal.Open(&d.journal, d.header, func(journal.Record) error { return nil })
		if err == nil {
			err = j.Append(e.Records...)
		}
		if err != nil {
			s.judge.wrong("journal", "%v", err)
		}
		if s.plan.faultEvery > 0 && s.chance(10) && e.Records[0].Kind == journal.Pieces {
			d.journal.b = d.journal.b[:d.journal.synced]
			return Input{Kind: RecordFailed, Reason: Unkept}
		}
		j.Sync()
		return Input{Kind: Recorded}
	}
	s.judge.place(s, r)
	r.placed = true
	return Input{Kind: Placed}
}

func describe(in Input) string {
	name := strings.Split("tick message up down cancel accept decline written write-failed synced sync-failed recorded record-failed placed place-failed limit read read-failed sent", " ")[in.Kind]
	switch in.Kind {
	case MessageIn:
		return string(in.From) + " " + in.Message.String()
	case Written, ReadDone, WriteFailed:
		return name + " " + string(in.From) + " " + itoa(in.Index)
	}
	return name + " " + string(in.From)
}
