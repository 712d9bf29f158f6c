//go:build faults

package faults_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"natter/internal/chattest"
	"natter/internal/chattest/faults"
)

var (
	soak  = flag.Duration("faults.soak", 0, "length of TestSoak; 0 leaves it out")
	users = flag.Int("faults.users", 200, "users of TestSoak")
)

const (
	spell     = 5 * time.Minute // after which all chats are ended and judged, and the records forgotten
	act       = 5 * time.Second // between two things that a user does, on average
	sampled   = 10 * time.Second
	slopeFrom = time.Hour // below that, the slope of the memory is that of its warming up
	slopeMost = 1.0       // MB/h
)

// soaked is the leeway of a coordinator that many have used for long. Its memory is promised
// by the slope.
var soaked = map[string]float64{"goroutines": 2, "fds": 2, "MB": 256}

// TestSoak has many users do everything at a low rate for long. Nothing may grow.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("it takes long: -faults.soak DURATION")
	}
	build(t)
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("seed %d, %d users, %s", drawn, *users, *soak)
	s := embeddedServer(t)
	before, log := fresh(t, s), faults.NewLog()
	all := crowd(t, s, log)
	memory := watch(t, s.brokers[0])
	began, said := time.Now(), 0
	for n := uint64(0); time.Since(began) < *soak && !t.Failed(); n++ {
		ctx, cancel := context.WithTimeout(t.Context(), min(spell, *soak-time.Since(began)))
		busy(ctx, all, rand.New(rand.NewPCG(drawn, n)))
		cancel()
		end(t, s, all, log)
		said += judgedSpell(t, drawn+n, log.Take())
	}
	samples := memory()
	leave(t, all)
	idle(t, s, before, soaked)
	slope := slopeOf(samples[len(samples)/2:])
	t.Logf("%d messages shown; memory: %.1f MB, then %.1f MB, %+.1f MB/h in the second half", said, samples[0].mb, samples[len(samples)-1].mb, slope)
	if *soak >= slopeFrom && slope >= slopeMost {
		t.Errorf("memory grows by %.1f MB/h", slope)
	}
}

// crowd has all users come in.
func crowd(t *testing.T, s *servers, log *faults.Log) (all []*user) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*users)*time.Second+timeout)
	defer cancel()
	for n := range *users {
		u := newUser(t, log, fmt.Sprintf("user%d", n), s.addresses)
		if err := u.live(ctx); err != nil {
			t.Fatalf("%s does not come in: %v", u.name, err)
		}
		t.Cleanup(u.die)
		all = append(all, u)
	}
	return all
}

// busy has everybody do one thing after the other until ctx is done.
func busy(ctx context.Context, all []*user, r *rand.Rand) {
	var wg sync.WaitGroup
	for _, u := range all {
		own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		wg.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-time.After(time.Duration(2 * own.Float64() * float64(act))):
					u.act(ctx, own, all)
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

// act does something that a user may do, more often what they do more often.
func (u *user) act(ctx context.Context, r *rand.Rand, all []*user) {
	once, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	c := u.client()
	if c == nil {
		_ = u.live(once) // or the next time
		return
	}
	other := func() string { return all[r.IntN(len(all))].name }
	switch what := r.IntN(40); {
	case what == 0:
		u.die()
	case what == 1:
		u.goes(once)
	case what == 2:
		u.line(faults.Flaw{Cut: true})
		<-time.After(time.Duration(r.IntN(2000)) * time.Millisecond)
		u.line(faults.Flaw{})
	case what < 6:
		_ = c.Direct(once, other(), "by the way")
	case what < 10:
		u.list(once)
	case u.in().ID == "" && what < 25:
		_, _ = c.Invite(once, other())
	case u.in().ID == "" && what < 28:
		_, _ = c.Invite(once, other(), other(), other())
	case what == 10:
		_ = chattest.Quit(once, c)
	case what == 11:
		_ = chattest.Leave(once, c)
	default:
		u.say()
	}
}

// goes is the polite end of a user's program.
func (u *user) goes(ctx context.Context) {
	u.mu.Lock()
	c, reading := u.c, u.reading
	u.c = nil
	u.mu.Unlock()
	_ = c.Exit(ctx) // without an answer it is as if the program had died
	<-reading
	u.note(faults.Record{What: faults.Dead})
}

// judgedSpell judges the records of a spell, and counts what was shown.
func judgedSpell(t *testing.T, seed uint64, records []faults.Record) (shown int) {
	for _, r := range records {
		if r.What == faults.Heard {
			shown++
		}
	}
	t.Logf("%d records, %d messages shown", len(records), shown)
	for _, found := range faults.Judge(records) {
		t.Error(found)
	}
	if t.Failed() {
		kept(t, seed, records)
	}
	return shown
}

// sample is how much memory a process had at a time.
type sample struct {
	at time.Duration
	mb float64
}

// watch asks a coordinator for its memory now and then, until the function that it returns is
// called.
func watch(t *testing.T, p *program) func() []sample {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	all, done, began := []sample{}, make(chan struct{}), time.Now()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			u := use{}
			if err := p.figures(ctx, u); err == nil {
				all = append(all, sample{time.Since(began), u[p.name+": MB"]})
			}
			select {
			case <-time.After(sampled):
			case <-ctx.Done():
			}
		}
	}()
	return func() []sample { cancel(); <-done; return all }
}

// slopeOf is the linear regression of samples, in MB/h.
func slopeOf(samples []sample) float64 {
	var x, y, xx, xy float64
	for _, s := range samples {
		h := s.at.Hours()
		x, y, xx, xy = x+h, y+s.mb, xx+h*h, xy+h*s.mb
	}
	n := float64(len(samples))
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// A line is its own regression, wherever it begins.
func TestSlope(t *testing.T) {
	var line []sample
	for n := range 100 {
		line = append(line, sample{time.Duration(100+n) * time.Minute, 50 + 3*float64(n)/60})
	}
	if got := slopeOf(line); got < 2.99 || got > 3.01 {
		t.Errorf("a slope of 3 MB/h counts as %f", got)
	}
}
