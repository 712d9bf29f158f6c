// Package simtest plays pure machines in virtual time, for tests: a World has a clock that moves
// from one event to the next, and draws everything from one seed, so that a seed replays exactly.
package simtest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// World is the clock of a simulation, its chance and its trace.
type World struct {
	Rand  *rand.Rand
	Now   time.Duration
	Trace *strings.Builder // nil: not wanted; see Log

	events queue
	count  uint64
}

// NewWorld begins after one second. Simulations of different kinds draw differently from the
// same seed.
func NewWorld(seed, kind uint64) World {
	return World{Rand: rand.New(rand.NewPCG(seed, kind)), Now: time.Second}
}

// After has something done in d; what is due at the same time is done in the order of the calls.
func (w *World) After(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.events, event{w.Now + max(d, 0), w.count, do})
}

// Until does what is due up to a time, unless stop reports that it is no use.
func (w *World) Until(end time.Duration, stop func() bool) {
	for len(w.events) > 0 && w.events[0].at <= end && !stop() {
		e := heap.Pop(&w.events).(event)
		w.Now = e.at
		e.do()
	}
	w.Now = end
}

// Between draws a time from a to b, without b.
func (w *World) Between(a, b time.Duration) time.Duration {
	if b <= a {
		return a
	}
	return a + time.Duration(w.Rand.Int64N(int64(b-a)))
}

// One draws whether something happens that does so once in so many times.
func (w *World) One(in int) bool { return w.Rand.IntN(in) == 0 }

// Record has everything that is logged written to Trace.
func (w *World) Record() { w.Trace = &strings.Builder{} }

// Log writes a line to Trace, if that is wanted.
func (w *World) Log(format string, args ...any) {
	if w.Trace != nil {
		fmt.Fprintf(w.Trace, "%8.3f %s\n", w.Now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// Traced returns what was logged.
func (w *World) Traced() string {
	if w.Trace == nil {
		return ""
	}
	return w.Trace.String()
}

type event struct {
	at time.Duration
	n  uint64
	do func()
}

// queue is a heap of events.
type queue []event

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	e := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = event{}
	*q = (*q)[:len(*q)-1]
	return e
}

// Played is what became of a schedule.
type Played struct {
	Found []string // what is wrong
	Steps int
	Trace string // if it was wanted
}

// Play plays the schedule of a seed.
type Play func(seed uint64, trace bool) Played

// Seeds plays n schedules from a first seed on, two at a time, and reports what is wrong; with
// trace, the first one that is wrong is printed.
func Seeds(t *testing.T, n int, first uint64, trace bool, play Play) {
	t.Helper()
	begin := time.Now()
	var next, steps, bad atomic.Uint64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < uint64(n) && bad.Load() <= 3; i = next.Add(1) - 1 {
				p := play(first+i, false)
				steps.Add(uint64(p.Steps))
				if len(p.Found) == 0 {
					continue
				}
				t.Errorf("seed %d: %s", first+i, strings.Join(p.Found[:min(len(p.Found), 5)], "\n\t"))
				if bad.Add(1) == 1 && trace {
					fmt.Println(play(first+i, true).Trace)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d schedules, %d steps each on average, in %v", n, steps.Load()/uint64(max(n, 1)), time.Since(begin).Round(time.Millisecond))
}

// Replays checks of some seeds that they play in one way only.
func Replays(t *testing.T, seeds int, play Play) {
	t.Helper()
	for seed := range uint64(seeds) {
		first, second := play(seed, true), play(seed, true)
		if first.Trace != second.Trace {
			t.Fatalf("seed %d plays in two ways", seed)
		}
	}
}

// Finds checks that something is found wrong in one of the first schedules.
func Finds(t *testing.T, within int, play Play) {
	t.Helper()
	for seed := range uint64(within) {
		if p := play(seed, false); len(p.Found) > 0 {
			t.Logf("found in schedule %d: %.200s", seed, p.Found[0])
			return
		}
	}
	t.Errorf("not found in %d schedules", within)
}
