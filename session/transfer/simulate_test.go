package transfer

import (
	"flag"
	"slices"
	"testing"

	"natter/session/simtest"
	"natter/session/transfer/tree"
)

var (
	simulations = flag.Int("simulate", 60, "schedules to simulate")
	simSeed     = flag.Uint64("simulate.seed", 0, "the first seed")
	simTrace    = flag.Bool("simulate.trace", false, "print the first schedule that is wrong")
)

// TestSimulate plays schedules from seeds, and judges each.
func TestSimulate(t *testing.T) {
	simtest.Seeds(t, *simulations, *simSeed, *simTrace, played(plantedFault{}))
}

// TestReplay: a seed replays exactly.
func TestReplay(t *testing.T) { simtest.Replays(t, 2, played(plantedFault{})) }

// plantedFault is a plausible mistake, so that it can be seen that the simulation finds it.
// The zero value is none.
type plantedFault struct {
	name   string
	input  func(r *simReceiver, in *Input)              // before a step
	after  func(r *simReceiver)                         // after it
	effect func(s *sim, r *simReceiver, e *Effect) bool // false: the effect is not carried out
	sender func(s *sim, e *Effect) bool                 // the same of the sender
}

var plantedFaults = []plantedFault{
	{name: "recorded and not synced", effect: func(s *sim, r *simReceiver, e *Effect) bool {
		if e.Kind == SyncData {
			life := r.life
			s.After(ms, func() {
				if r.life == life {
					s.step(r, Input{Kind: Synced})
				}
			})
		}
		return e.Kind != SyncData
	}},
	{name: "a hash too many is recorded", effect: func(_ *sim, _ *simReceiver, e *Effect) bool {
		if e.Kind == AppendRecords && len(e.Records[0].Hashes) > 3 {
			e.Records[0].First++
		}
		return true
	}},
	{name: "damaged pieces are taken", input: func(r *simReceiver, in *Input) {
		if in.Kind == MessageIn && in.Message.Kind == Piece && r.core.parts.in(in.Message.Index, wanted) != nil {
			n, known := r.core.content.pieces()
			r.core.parts.in(in.Message.Index, wanted).hash = tree.Sum(in.Message.Index, in.Message.Data, known && n == 1)
		}
	}},
	{name: "what is lost is not wanted again", after: func(r *simReceiver) {
		for i := range r.core.parts.list {
			r.core.parts.list[i].served = 0
		}
	}},
	{name: "no window", after: func(r *simReceiver) { r.core.flow.window = 1000 }},
	{name: "no states", sender: func(_ *sim, e *Effect) bool { return e.Kind != Send || e.Message.Kind != State }},
	{name: "no root", sender: func(_ *sim, e *Effect) bool { return e.Kind != Send || e.Message.Kind != Complete }},
	{name: "a wrong hash in the cache", sender: func(_ *sim, e *Effect) bool {
		if e.Kind == CacheHashes {
			e.Hashes = slices.Clone(e.Hashes)
			e.Hashes[0][0] ^= 1
		}
		return true
	}},
	{name: "told before it is placed", effect: func(s *sim, r *simReceiver, e *Effect) bool {
		if e.Kind == Place {
			s.After(0, func() { s.step(r, Input{Kind: Placed}) })
		}
		return e.Kind != Place
	}},
	{name: "a size of its own", input: func(_ *simReceiver, in *Input) {
		if in.Kind == MessageIn && in.Message.Kind == Hashes && in.Message.Size > 0 {
			in.Message.Size--
		}
	}},
}

// TestPlantedFaults: each of ten plausible mistakes is found.
func TestPlantedFaults(t *testing.T) {
	for _, fault := range plantedFaults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			simtest.Finds(t, 500, played(fault))
		})
	}
}
