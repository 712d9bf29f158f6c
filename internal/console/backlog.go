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
	lost    int // younger than entries
	closed  bool
	total   uint64 // of all that were ever lost
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
		b.lost++
		b.total++
		return
	}
	if b.lost > 0 {
		b.entries = append(b.entries, behind(b.lost, e.at))
		b.lost = 0
	}
	b.entries = append(b.entries, e)
	b.wake.Signal()
}

// lose counts n lines that never came to be.
func (b *backlog) lose(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost += n
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
func (b *backlog) take() (entries []entry, lost int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.entries) == 0 && b.lost == 0 && !b.closed {
		b.wake.Wait()
	}
	entries, lost = b.entries, b.lost
	b.entries, b.lost = nil, 0
	return entries, lost, len(entries) > 0 || lost > 0
}

// writeTo writes until the backlog is closed and empty. An Out that fails is
// logged once and tried again with the next lines; those that it did not take
// count as lost.
func (b *backlog) writeTo(out io.Writer, render func([]byte, entry) []byte, now func() time.Time, log *slog.Logger) {
	var buf []byte
	failing, lost := false, 0
	for {
		entries, dropped, ok := b.take()
		if !ok {
			return
		}
		buf = buf[:0]
		if failing && lost > 0 {
			buf = render(buf, behind(lost, now()))
		}
		for _, e := range entries {
			buf = render(buf, e)
		}
		if dropped > 0 {
			buf = render(buf, behind(dropped, now()))
		}
		if _, err := out.Write(buf); err != nil {
			if !failing {
				log.Error("console: write", "err", err)
			}
			failing, lost = true, lost+len(entries)+dropped
			b.missed(len(entries))
			continue
		}
		failing, lost = false, 0
	}
}

// behind is the line that says that lines are missing.
func behind(lost int, at time.Time) entry {
	text := fmt.Sprintf("console is behind: %s not shown", count(lost, "line"))
	return entry{at: at, kind: "server", event: "console.behind", head: text, count: lost}
}

// count is "1 line", "2 lines".
func count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
