package console

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// backlog is what waits for the writer. When it is full, entries are counted
// instead of kept, and their number is shown where they would have been: behind
// what was kept and before what comes next.
type backlog struct {
	mu      sync.Mutex
	wake    *sync.Cond
	entries []entry
	room    int
	lost    losses // younger than entries
	closed  bool
	total   uint64 // of all that were ever lost
}

// losses are what is not shown.
type losses struct {
	lines  int // that there was no room for
	unread int // messages of the broker, each of which may have been a line or none
}

func newBacklog(room int) *backlog {
	b := &backlog{room: room}
	b.wake = sync.NewCond(&b.mu)
	return b
}

// put never waits.
func (b *backlog) put(e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) >= b.room {
		b.lost.lines++
		b.total++
		return
	}
	b.entries = append(append(b.entries, b.lost.entries(e.at)...), e)
	b.lost = losses{}
	b.wake.Signal()
}

// lose counts n messages that were not read.
func (b *backlog) lose(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost.unread += n
	b.total += uint64(n)
	b.wake.Signal()
}

// missed counts n lines that the writer did not take.
func (b *backlog) missed(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += uint64(n)
}

// close lets take come to an end when everything has been taken.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wake.Signal()
}

// take waits for something and takes everything. It is false at the end.
func (b *backlog) take(now func() time.Time) (entries []entry, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.entries) == 0 && b.lost == (losses{}) && !b.closed {
		b.wake.Wait()
	}
	entries = append(b.entries, b.lost.entries(now())...)
	b.entries, b.lost = nil, losses{}
	return entries, len(entries) > 0
}

// writer writes lines and keeps count of those that Out did not take.
type writer struct {
	out    io.Writer
	render func([]byte, entry) []byte
	buf    []byte
	ends   []int // of each entry in buf
	failed int   // lines since Out has failed
	torn   bool  // Out took a part of a line last
}

// write writes entries, and before them how many lines were lost while Out failed. It returns
// how many lines Out has not taken.
func (w *writer) write(entries []entry, now time.Time) (missed int, err error) {
	all := append(losses{lines: w.failed}.entries(now), entries...)
	w.buf, w.ends = w.buf[:0], w.ends[:0]
	if w.torn {
		w.buf = append(w.buf, '\n')
	}
	for _, e := range all {
		w.buf = w.render(w.buf, e)
		w.ends = append(w.ends, len(w.buf))
	}
	n, err := w.out.Write(w.buf)
	w.torn = w.torn && n == 0 || n > 0 && w.buf[n-1] != '\n'
	w.failed = 0
	for i, e := range all {
		switch {
		case w.ends[i] <= n:
		case e.event == behindEvent: // counted before
			w.failed += e.count
		default:
			w.failed++
			missed++
		}
	}
	return missed, err
}

// writeTo writes until the backlog is closed and empty. An Out that fails is
// logged once and tried again with the next lines; those that it did not take
// count as lost.
func (b *backlog) writeTo(out io.Writer, render func([]byte, entry) []byte, now func() time.Time, log *slog.Logger) {
	w := &writer{out: out, render: render}
	failing := false
	for {
		entries, ok := b.take(now)
		if !ok {
			return
		}
		missed, err := w.write(entries, now())
		if err != nil && !failing {
			log.Error("console: write", "err", err)
		}
		failing = err != nil
		b.missed(missed)
	}
}

const behindEvent = "console.behind"

// entries are the lines that say that something is missing.
func (l losses) entries(at time.Time) []entry {
	var entries []entry
	if l.lines > 0 {
		text := fmt.Sprintf("console is behind: %s not shown", count(l.lines, "line"))
		entries = append(entries, entry{at: at, kind: "server", event: behindEvent, head: text, count: l.lines})
	}
	if l.unread > 0 {
		text := fmt.Sprintf("console is behind: %s of the broker not read, so lines may be missing", count(l.unread, "message"))
		entries = append(entries, entry{at: at, kind: "server", event: "console.unread", head: text, count: l.unread})
	}
	return entries
}

// count is "1 line", "2 lines".
func count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
