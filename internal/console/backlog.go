package console

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// page is lines that are written together.
type page struct {
	text  []byte
	lines []mark
}

// mark is where a line ends in a page. A message of several lines counts as one.
type mark struct {
	end  int
	told int // missing lines that this one reports; they were counted before
}

func (p *page) end() { p.lines = append(p.lines, mark{end: len(p.text)}) }

func (p *page) reset() {
	if cap(p.text) > 2*fullPage {
		*p = page{}
	}
	p.text, p.lines = p.text[:0], p.lines[:0]
}

const (
	maxWaiting = 64 << 20  // bytes that may wait for the writer
	fullPage   = 128 << 10 // bytes of a page that is written without waiting for more
)

// backlog buffers lines for the writer. When it is full, lines are counted instead, and their number
// is shown in their place.
type backlog struct {
	style style

	mu      sync.Mutex
	wake    *sync.Cond
	full    []page // in order
	waiting page   // the last one
	spare   page   // an empty one
	bytes   int    // of the full ones, and how many lines they have
	lines   int
	room    int    // lines
	lost    losses // newer than the buffered lines
	ready   bool   // the writer is to take what waits
	closed  bool
	total   uint64 // of all lost lines
}

// losses count what is not shown.
type losses struct {
	lines  int // for which there was no room
	unread int // messages of the broker that were not read; each may have made a line or none
}

func newBacklog(room int, s style) *backlog {
	b := &backlog{room: room, style: s}
	b.wake = sync.NewCond(&b.mu)
	return b
}

// put adds lines and never waits. The writer takes them after flush.
func (b *backlog) put(e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := max(1, len(e.said))
	room := b.room - b.lines - len(b.waiting.lines)
	if b.bytes+len(b.waiting.text) >= maxWaiting {
		room = 0
	}
	if room > 0 {
		b.tell(e.at)
		if n > room {
			e.said = e.said[:room]
		}
		b.style.add(&b.waiting, e)
	}
	if lost := n - max(0, room); lost > 0 {
		b.lost.lines += lost
		b.total += uint64(lost)
	}
	if len(b.waiting.text) >= fullPage {
		b.turn()
		b.takeUp()
	}
}

// turn begins a new page.
func (b *backlog) turn() {
	b.full = append(b.full, b.waiting)
	b.bytes, b.lines = b.bytes+len(b.waiting.text), b.lines+len(b.waiting.lines)
	b.waiting, b.spare = b.spare, page{}
	if b.waiting.text == nil {
		b.waiting.text = make([]byte, 0, fullPage+fullPage/4)
	}
}

// tell adds a line about missing lines.
func (b *backlog) tell(at time.Time) {
	b.lost.add(&b.waiting, b.style, at)
	b.lost = losses{}
}

// flush wakes the writer.
func (b *backlog) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting.lines) > 0 && !b.ready {
		b.takeUp()
	}
}

func (b *backlog) takeUp() {
	b.ready = true
	b.wake.Signal()
}

// lose counts n messages that were not read.
func (b *backlog) lose(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost.unread += n
	b.total += uint64(n)
	b.takeUp()
}

// missed counts n lines that the writer did not take.
func (b *backlog) missed(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += uint64(n)
}

// close ends the backlog: take returns false when everything has been taken.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wake.Signal()
}

// take waits for a page and takes it in exchange for an empty one. It is false at the end.
func (b *backlog) take(empty page, now func() time.Time) (p page, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = empty
	for {
		for !b.ready && !b.closed {
			b.wake.Wait()
		}
		if len(b.full) > 0 {
			p, b.full = b.full[0], b.full[1:]
			b.bytes, b.lines = b.bytes-len(p.text), b.lines-len(p.lines)
			return p, true
		}
		b.tell(now())
		p, b.waiting, b.spare, b.ready = b.waiting, b.spare, page{}, false
		if len(p.lines) > 0 || b.closed {
			return p, len(p.lines) > 0
		}
		b.spare = p
	}
}

// writer writes lines and counts those that Out did not accept.
type writer struct {
	out    io.Writer
	style  style
	failed int  // lines since Out has failed
	torn   bool // the last write ended within a line
}

// write writes a page, and before it how many lines were lost while Out failed. It returns
// how many lines Out did not accept.
func (w *writer) write(p page, now time.Time) (missed int, err error) {
	if w.torn || w.failed > 0 {
		p = w.after(p, now)
	}
	n, err := w.out.Write(p.text)
	w.torn = w.torn && n == 0 || n > 0 && p.text[n-1] != '\n'
	w.failed = 0
	if n == len(p.text) {
		return 0, err
	}
	for _, l := range p.lines {
		switch {
		case l.end <= n:
		case l.told > 0:
			w.failed += l.told
		default:
			w.failed++
			missed++
		}
	}
	return missed, err
}

// after returns a page after a line about the lost lines before it.
func (w *writer) after(p page, now time.Time) page {
	var q page
	if w.torn {
		q.text = append(q.text, '\n')
	}
	losses{lines: w.failed}.add(&q, w.style, now)
	before := len(q.text)
	q.text = append(q.text, p.text...)
	for _, l := range p.lines {
		q.lines = append(q.lines, mark{before + l.end, l.told})
	}
	return q
}

// writeTo writes until the backlog is closed and empty. A failure of
// Out is logged once, and Out is tried again with the next lines; those that it did not accept are
// lost.
func (b *backlog) writeTo(out io.Writer, now func() time.Time, log *slog.Logger) {
	w := &writer{out: out, style: b.style}
	failing := false
	var p page
	for {
		p.reset()
		var ok bool
		if p, ok = b.take(p, now); !ok {
			return
		}
		missed, err := w.write(p, now())
		if err != nil && !failing {
			log.Error("console: write", "err", err)
		}
		failing = err != nil
		b.missed(missed)
	}
}

// add adds the lines about missing lines.
func (l losses) add(p *page, s style, at time.Time) {
	if l.lines > 0 {
		text := fmt.Sprintf("console is behind: %s not shown", count(l.lines, "line"))
		s.add(p, entry{at: at, kind: "server", event: "console.behind", head: text, count: l.lines})
		p.lines[len(p.lines)-1].told = l.lines
	}
	if l.unread > 0 {
		text := fmt.Sprintf("console is behind: %s of the broker not read, so lines may be missing", count(l.unread, "message"))
		s.add(p, entry{at: at, kind: "server", event: "console.unread", head: text, count: l.unread})
	}
}

// count is "1 line", "2 lines".
func count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
