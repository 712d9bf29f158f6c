package ranges

import (
	"math/rand/v2"
	"testing"
)

// TestModel compares sets with maps.
func TestModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		var s Set
		model := map[uint64]bool{}
		for range 60 {
			r := Range{rnd.Uint64N(40), rnd.Uint64N(44)}
			add := rnd.IntN(5) < 3
			if add {
				s.Add(r)
			} else {
				s.Remove(r)
			}
			for i := r.First; i < r.End; i++ {
				if add {
					model[i] = true
				} else {
					delete(model, i)
				}
			}
			compare(t, &s, model)
		}
		again := Of(s.Runs()...)
		compare(t, &again, model)
	}
}

func compare(t *testing.T, s *Set, model map[uint64]bool) {
	t.Helper()
	if s.Len() != uint64(len(model)) {
		t.Fatalf("%s has %d numbers, want %d", s, s.Len(), len(model))
	}
	for i := range uint64(50) {
		next, gap := i, i
		for next < 50 && !model[next] {
			next++
		}
		for model[gap] {
			gap++
		}
		got, ok := s.Next(i)
		if s.Has(i) != model[i] || ok != (next < 50) || ok && got != next || s.Gap(i) != gap {
			t.Fatalf("%s: %d has %v, next %d %v, gap %d; want %v, %d, %d", s, i, s.Has(i), got, ok, s.Gap(i), model[i], next, gap)
		}
	}
	for i, r := range s.Runs() {
		if r.Len() == 0 || i > 0 && s.Runs()[i-1].End >= r.First {
			t.Fatalf("%s has runs that are empty or touch", s)
		}
	}
}

func TestString(t *testing.T) {
	s := Of(Range{7, 8}, Range{0, 3}, Range{3, 5}, Range{9, 9})
	if s.String() != "0-4 7" {
		t.Error(s.String())
	}
}
