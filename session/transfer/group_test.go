package transfer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// sharedSim plays a transfer without faults to receivers on a shared channel, and returns how
// many pieces were published to all and to one, and how long each receiver took.
func sharedSim(rates [4]float64) (shared, alone int, took [4]Time, found []string) {
	count := plantedFault{sender: func(_ *sim, e *Effect) bool {
		if e.Kind == Send && e.Message.Kind == Piece {
			if e.To == Everyone {
				shared++
			} else {
				alone++
			}
		}
		return true
	}, after: func(*simReceiver) {}}
	var s *sim
	count.effect = func(_ *sim, r *simReceiver, e *Effect) bool {
		if e.Kind == Place {
			took[s.receiver(r.name)] = s.Now
		}
		return true
	}
	s = newSim(1, func(*rand.Rand) simPlan {
		return simPlan{receivers: 4, pieces: 1000, shared: true, prompt: true, length: time.Second, delay: ms, memory: 128 * simPiece, rates: rates}
	}, count)
	found = s.run()
	return shared, alone, took, found
}

// TestShared: receivers that are equally fast and begin together get most pieces together.
func TestShared(t *testing.T) {
	const fast = 500 * simPiece
	shared, alone, took, found := sharedSim([4]float64{fast, fast, fast, fast})
	if len(found) > 0 || shared < 500 || shared+alone > 3000 {
		t.Errorf("%d pieces for all, %d for one of four: %v %v", shared, alone, took, found)
	}
}

// TestSharedSlow: one that is slow does not slow the others, and gets everything.
func TestSharedSlow(t *testing.T) {
	const fast, slow = 500 * simPiece, 10 * simPiece
	_, _, took, found := sharedSim([4]float64{fast, slow, fast, fast})
	if len(found) > 0 || max(took[0], took[2], took[3]) > 10*time.Second || took[1] < 60*time.Second {
		t.Errorf("%v %v", took, found)
	}
}
