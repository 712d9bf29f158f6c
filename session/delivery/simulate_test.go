package delivery

import (
	"flag"
	"testing"

	"natter/session/simtest"
)

var (
	simulations = flag.Int("simulate", 500, "schedules to simulate")
	simSeed     = flag.Uint64("simulate.seed", 0, "the first seed")
	simTrace    = flag.Bool("simulate.trace", false, "print the first schedule that is wrong")
)

// TestSimulate plays schedules from seeds, and judges each.
func TestSimulate(t *testing.T) {
	simtest.Seeds(t, *simulations, *simSeed, *simTrace, played(drawPlan, plantedFault{}))
}

// TestSimulateLong plays 60 virtual seconds with eight members.
func TestSimulateLong(t *testing.T) {
	simtest.Seeds(t, *simulations/100, *simSeed, *simTrace, played(drawLongPlan, plantedFault{}))
}

// TestReplay: a seed replays exactly.
func TestReplay(t *testing.T) { simtest.Replays(t, 20, played(drawPlan, plantedFault{})) }

// TestPlantedFaults: each of ten plausible mistakes is found.
func TestPlantedFaults(t *testing.T) {
	for _, fault := range plantedFaults {
		t.Run(fault.name, func(t *testing.T) { simtest.Finds(t, 10_000, played(drawPlan, fault)) })
	}
}
