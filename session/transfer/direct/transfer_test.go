package direct

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"natter/chat"
	"natter/session/transfer"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

const receiverName chat.User = "bob"

// side drives one side of a transfer over a connection: a goroutine for the steps, one that
// reads and one that writes.
type side struct {
	conn  *Conn
	begin time.Time
	in    chan input
	out   chan transfer.Message
	free  sync.Pool
	lent  map[*byte]*Buffer // by their pieces
	over  chan struct{}     // closed when the user is told of the end
	why   transfer.Reason
}

// input is what happens, with the buffer that its message is in.
type input struct {
	transfer.Input
	buf *Buffer
}

func newSide(c *Conn) *side {
	return &side{conn: c, begin: time.Now(), in: make(chan input, 1024), out: make(chan transfer.Message, 1024), over: make(chan struct{}), lent: map[*byte]*Buffer{},
		free: sync.Pool{New: func() any { return new(Buffer) }}}
}

// read has what comes become inputs, until the connection ends.
func (s *side) read() {
	for {
		buf := s.free.Get().(*Buffer)
		m, err := s.conn.Receive(buf)
		if err != nil {
			return
		}
		s.in <- input{transfer.Input{Kind: transfer.MessageIn, From: receiverName, Message: m}, buf}
	}
}

// write sends what is to be sent, and says so of pieces.
func (s *side) write() {
	for m := range s.out {
		if s.conn.Send(&m) != nil {
			continue
		}
		if m.Kind == transfer.Piece {
			s.in <- input{Input: transfer.Input{Kind: transfer.Sent, From: receiverName}}
		}
	}
}

type core interface {
	Step(in transfer.Input, now transfer.Time, out []transfer.Effect) []transfer.Effect
	Next() transfer.Time
}

// run steps a core until closed.
func (s *side) run(c core, do func(transfer.Effect) (transfer.Input, bool), closed <-chan struct{}) {
	var all sync.WaitGroup
	all.Go(s.read)
	all.Go(s.write)
	timer := time.NewTimer(0)
	defer timer.Stop()
	step := func(in transfer.Input) {
		for todo := []transfer.Input{in}; len(todo) > 0; todo = todo[1:] {
			for _, e := range c.Step(todo[0], time.Since(s.begin), nil) {
				if answer, ok := do(e); ok {
					todo = append(todo, answer)
				}
			}
		}
		timer.Reset(min(c.Next()-time.Since(s.begin), time.Minute))
	}
	step(transfer.Input{Kind: transfer.LinkUp, From: receiverName})
	for alive := true; alive; {
		select {
		case in := <-s.in:
			s.lend(in)
			step(in.Input)
			s.recycle(in)
		case <-timer.C:
			step(transfer.Input{})
		case <-closed:
			alive = false
		}
	}
	close(s.out)
	s.conn.Close()
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for {
		select {
		case <-s.in:
		case <-ended:
			return
		}
	}
}

// lend notes in which buffer a piece is, which is the core's until it has it written.
func (s *side) lend(in input) {
	if in.buf != nil && in.Message.Kind == transfer.Piece {
		s.lent[&in.Message.Data[0]] = in.buf
	}
}

// recycle takes back the buffer of a message of which the core keeps nothing.
func (s *side) recycle(in input) {
	if k := in.Message.Kind; in.buf != nil && k != transfer.Piece && k != transfer.Offer && k != transfer.Page {
		s.free.Put(in.buf)
	}
}

// told takes the end of a transfer.
func (s *side) told(e transfer.Event) {
	if e.Kind == transfer.Ended {
		s.why = e.Reason
		close(s.over)
	}
}

// offer is the list of one file of a size.
func offer(t testing.TB, size int64) (sum manifest.Summary, pages [][]byte) {
	t.Helper()
	var list manifest.List
	if err := list.Add(manifest.Entry{Kind: manifest.File, Parent: -1, Size: size, Name: "file"}); err != nil {
		t.Fatal(err)
	}
	sum, err := list.Pages(func(page []byte) error {
		pages = append(pages, page)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum, pages
}

// source is a content in memory that repeats itself after a period.
type source struct {
	data   []byte // a period, and as much of the next as is read at once
	period int64
	size   int64
}

func (s source) read(first uint64, count int) []byte {
	from := int64(first) * tree.PieceSize
	n := min(int64(count)*tree.PieceSize, s.size-from)
	from %= s.period
	return s.data[from : from+n]
}

// runTransfer sends a content from one end of a connection to the other; take gets each piece.
func runTransfer(t testing.TB, sender, receiver *Conn, from source, take func(i uint64, data []byte)) {
	t.Helper()
	sum, pages := offer(t, from.size)
	a, b := newSide(sender), newSide(receiver)
	r, err := transfer.NewReceiver(transfer.ReceiverConfig{ID: transfer.ID{1}, Incarnation: 2, Summary: sum})
	if err != nil {
		t.Fatal(err)
	}
	s := transfer.NewSender(transfer.SenderConfig{ID: transfer.ID{1}, Incarnation: 1, Summary: sum, Receivers: []chat.User{receiverName}})
	closed := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		a.run(s, func(e transfer.Effect) (transfer.Input, bool) { return a.doSender(e, from, pages) }, closed)
	})
	both.Go(func() {
		b.run(r, func(e transfer.Effect) (transfer.Input, bool) { return b.doReceiver(e, take) }, closed)
	})
	<-a.over
	<-b.over
	close(closed)
	both.Wait()
	if a.why != 0 || b.why != 0 {
		t.Fatalf("ended: %v, %v", a.why, b.why)
	}
}

func (s *side) doSender(e transfer.Effect, from source, pages [][]byte) (transfer.Input, bool) {
	switch e.Kind {
	case transfer.Send:
		if k := e.Message.Kind; k == transfer.Offer || k == transfer.Page {
			e.Message.Data = pages[e.Message.Index]
		}
		s.out <- e.Message
	case transfer.ReadPieces:
		data := from.read(e.Index, e.Count)
		ends := (int64(e.Index)+int64(e.Count))*tree.PieceSize >= from.size
		return transfer.Input{Kind: transfer.ReadDone, From: e.To, Index: e.Index, Data: data, Yes: ends}, true
	case transfer.Tell:
		s.told(e.Event)
	}
	return transfer.Input{}, false
}

func (s *side) doReceiver(e transfer.Effect, take func(uint64, []byte)) (transfer.Input, bool) {
	switch e.Kind {
	case transfer.Send:
		s.out <- e.Message
	case transfer.WritePiece:
		take(e.Index, e.Data)
		s.free.Put(s.lent[&e.Data[0]])
		delete(s.lent, &e.Data[0])
		return transfer.Input{Kind: transfer.Written, Index: e.Index}, true
	case transfer.SyncData:
		return transfer.Input{Kind: transfer.Synced}, true
	case transfer.AppendRecords:
		return transfer.Input{Kind: transfer.Recorded}, true
	case transfer.Place:
		return transfer.Input{Kind: transfer.Placed}, true
	case transfer.Tell:
		if e.Event.Kind == transfer.Offered {
			return transfer.Input{Kind: transfer.Accept}, true
		}
		s.told(e.Event)
	}
	return transfer.Input{}, false
}

// A transfer of some MB goes through, and is what was sent.
func TestTransfer(t *testing.T) {
	data := make([]byte, 9*tree.PieceSize*5+12345)
	rand.NewChaCha8([32]byte{1}).Read(data)
	s, r := pair(t, identity(t), identity(t))
	got := make([]byte, len(data))
	n := 0
	runTransfer(t, s, r, source{data, int64(len(data)), int64(len(data))}, func(i uint64, piece []byte) {
		n += copy(got[i*tree.PieceSize:], piece)
	})
	if n != len(data) || !bytes.Equal(got, data) {
		t.Errorf("%d bytes were written, or others than were sent", n)
	}
}
