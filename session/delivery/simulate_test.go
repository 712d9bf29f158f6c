package delivery

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	simulations = flag.Int("simulate", 500, "schedules to simulate")
	simSeed     = flag.Uint64("simulate.seed", 0, "the first seed")
	simTrace    = flag.Bool("simulate.trace", false, "print the first schedule that is wrong")
)

// TestSimulate plays schedules from seeds, and judges each.
func TestSimulate(t *testing.T) { simulate(t, *simulations, drawPlan) }

// TestSimulateLong plays 60 virtual seconds with eight members.
func TestSimulateLong(t *testing.T) { simulate(t, *simulations/100, drawLongPlan) }

func simulate(t *testing.T, n int, plan func(*rand.Rand) simPlan) {
	t.Helper()
	begin := time.Now()
	var next, steps atomic.Uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	bad := 0
	for range 2 {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= uint64(n) || bad > 3 {
					return
				}
				s := newSim(*simSeed+i, plan, plantedFault{})
				found := s.run()
				steps.Add(uint64(s.steps))
				if len(found) == 0 {
					continue
				}
				mu.Lock()
				bad++
				t.Errorf("seed %d: %s", *simSeed+i, strings.Join(found[:min(len(found), 5)], "\n\t"))
				if *simTrace && bad == 1 {
					again := newSim(*simSeed+i, plan, plantedFault{})
					again.record()
					again.run()
					fmt.Println(again.trace)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d schedules, %d steps each on average, in %v", n, steps.Load()/uint64(max(n, 1)), time.Since(begin).Round(time.Millisecond))
}
