package download

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"natter/chat"
	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
	"natter/session/transfer/source"
	"natter/session/transfer/tree"
)

// origin is where a sender has its content from.
type origin interface {
	List() *manifest.List
	Do(transfer.Effect) (transfer.Input, bool, error)
}

// pair is a sender and a receiver with real files and a line that loses nothing. Time goes on
// by a millisecond with each input.
type pair struct {
	t      testing.TB
	now    transfer.Time
	source origin
	pages  [][]byte
	send   *transfer.Sender
	take   *transfer.Receiver
	root   *os.Root
	disk   *Transfer
	offer  Offer
	todo   []func()
	ended  bool
	life   uint64
	have   map[uint64]bool // recorded before the last crash
}

func newPair(t testing.TB, from origin, dir string) *pair {
	p := &pair{t: t, source: from, root: openDir(t, dir), offer: Offer{ID: transfer.ID{7}, From: "alice"}}
	var err error
	p.offer.Summary, err = from.List().Pages(func(page []byte) error { p.pages = append(p.pages, page); return nil })
	if err != nil {
		t.Fatal(err)
	}
	p.send = transfer.NewSender(transfer.SenderConfig{ID: p.offer.ID, Incarnation: 1, Summary: p.offer.Summary, Receivers: []chat.User{"bob"}})
	if p.disk, err = Begin(p.root, p.offer); err != nil {
		t.Fatal(err)
	}
	p.begin(nil)
	return p
}

// begin begins a life of the receiver.
func (p *pair) begin(replay func(*transfer.Receiver) error) {
	p.t.Helper()
	p.life++
	var err error
	p.take, err = transfer.NewReceiver(transfer.ReceiverConfig{ID: p.offer.ID, Incarnation: 10 + p.life, Summary: p.offer.Summary, Accepted: replay != nil})
	if err == nil && replay != nil {
		err = replay(p.take)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.todo = append(p.todo, func() { p.sender(transfer.Input{Kind: transfer.LinkUp, From: "bob"}) })
	p.later(transfer.Input{Kind: transfer.LinkUp})
}

// later has the receiver take an input, if it is still in the same life then.
func (p *pair) later(in transfer.Input) {
	life := p.life
	p.todo = append(p.todo, func() {
		if life == p.life {
			p.receiver(in)
		}
	})
}

// run does what is to be done until the receiver has ended, or stop says so.
func (p *pair) run(stop func() bool) {
	p.t.Helper()
	for idle := 0; !p.ended && !stop(); {
		if len(p.todo) == 0 {
			if idle++; idle > 100_000 {
				p.t.Fatalf("nothing happens: %v, %v", p.send, p.take)
			}
			p.sender(transfer.Input{Kind: transfer.Tick})
			p.receiver(transfer.Input{Kind: transfer.Tick})
			continue
		}
		next := p.todo[0]
		p.todo = p.todo[1:]
		next()
	}
}

func (p *pair) sender(in transfer.Input) {
	p.now += time.Millisecond
	for _, e := range p.send.Step(in, p.now, nil) {
		if e.Kind == transfer.Send {
			m := e.Message
			if m.Kind == transfer.Offer || m.Kind == transfer.Page {
				m.Data = p.pages[m.Index]
			}
			m.Data = bytes.Clone(m.Data)
			p.later(transfer.Input{Kind: transfer.MessageIn, Message: m})
			if m.Kind == transfer.Piece {
				p.todo = append(p.todo, func() { p.sender(transfer.Input{Kind: transfer.Sent, From: e.To}) })
			}
			continue
		}
		in, ok, err := p.source.Do(e)
		if err != nil {
			p.t.Fatal(err)
		}
		if ok {
			p.todo = append(p.todo, func() { p.sender(in) })
		}
	}
}

func (p *pair) receiver(in transfer.Input) {
	p.now += time.Millisecond
	for _, e := range p.take.Step(in, p.now, nil) {
		switch e.Kind {
		case transfer.Send:
			p.todo = append(p.todo, func() { p.sender(transfer.Input{Kind: transfer.MessageIn, From: "bob", Message: e.Message}) })
		case transfer.Tell:
			p.told(e.Event)
		case transfer.WritePiece:
			if p.have[e.Index] {
				p.t.Errorf("piece %d is written again", e.Index)
			}
		}
		in, ok, err := p.disk.Do(e)
		if err != nil {
			p.t.Fatal(err)
		}
		if ok {
			p.later(in)
		}
	}
}

func (p *pair) told(e transfer.Event) {
	switch {
	case e.Kind == transfer.Offered:
		if err := p.disk.Accept(); err != nil {
			p.t.Fatal(err)
		}
		p.later(transfer.Input{Kind: transfer.Accept})
	case e.Kind == transfer.Ended:
		if p.ended = true; e.Reason != 0 {
			p.t.Fatalf("ended: %v", e.Reason)
		}
	}
}

// crash ends the receiver's program and begins it anew.
func (p *pair) crash() {
	p.t.Helper()
	if err := p.disk.Close(); err != nil {
		p.t.Fatal(err)
	}
	var err error
	if p.disk, err = Open(p.root, p.offer.ID); err != nil {
		p.t.Fatal(err)
	}
	p.have = map[uint64]bool{}
	p.begin(func(r *transfer.Receiver) error {
		return p.disk.Replay(func(rec journal.Record) error {
			for k := range rec.Hashes {
				p.have[rec.First+uint64(k)] = true
			}
			return r.Replay(rec)
		})
	})
}

// TestBothSides sends a directory, and a stream, from one disk to another through the
// protocol. The receiver is started anew in the middle, and gets no recorded piece again.
func TestBothSides(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	want := map[string]string{"d": "/", "d/a": random(5<<20, 1), "d/b": "B", "d/c": "", "d/e": "/", "d/e/f": random(7<<20, 2)}
	for name, content := range want {
		path := filepath.Join(from, filepath.FromSlash(name))
		if content == "/" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := source.New(filepath.Join(from, "d"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := newPair(t, s, to)
	length := func() int64 {
		if p.disk.journal == nil || p.disk.journal.j == nil {
			return 0
		}
		return p.disk.journal.j.Len()
	}
	p.run(func() bool { return length() > 40*tree.HashSize })
	p.crash()
	if len(p.have) < 32 {
		t.Fatalf("%d pieces are recorded", len(p.have))
	}
	p.run(func() bool { return false })
	if err := p.disk.End(); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, to), want)
}

func TestBothSidesStream(t *testing.T) {
	for _, size := range []int{0, 1, tree.PieceSize, 20 << 20} {
		to := t.TempDir()
		content := random(size, 3)
		s, err := source.NewStream(bytes.NewReader([]byte(content)), "log.txt")
		if err != nil {
			t.Fatal(err)
		}
		p := newPair(t, s, to)
		p.run(func() bool { return false })
		if err := p.disk.End(); err != nil {
			t.Fatal(err)
		}
		same(t, readTree(t, to), map[string]string{"log.txt": content})
	}
}
