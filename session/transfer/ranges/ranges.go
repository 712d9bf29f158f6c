// Package ranges has sets of numbers that are mostly runs: pieces that are there, that are
// wanted, that are missing.
package ranges

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Range is the numbers from First up to End, without End.
type Range struct{ First, End uint64 }

// Len returns how many numbers there are.
func (r Range) Len() uint64 {
	if r.End <= r.First {
		return 0
	}
	return r.End - r.First
}

// Set is a set of numbers. The zero value is empty. Adding and removing take time that grows
// with the number of runs.
type Set struct {
	runs []Range // sorted; neither empty nor adjacent
	n    uint64
}

// Of returns the set of some ranges.
func Of(list ...Range) Set {
	var s Set
	for _, r := range list {
		s.Add(r)
	}
	return s
}

// Len returns how many numbers are in the set.
func (s *Set) Len() uint64 { return s.n }

// Runs returns the set as ranges in order. They are the set's own: do not change them, and use
// them before the set changes.
func (s *Set) Runs() []Range { return s.runs }

// find returns the first run that ends behind i.
func (s *Set) find(i uint64) int {
	return sort.Search(len(s.runs), func(k int) bool { return s.runs[k].End > i })
}

// Has reports whether a number is in the set.
func (s *Set) Has(i uint64) bool {
	k := s.find(i)
	return k < len(s.runs) && s.runs[k].First <= i
}

// Add adds a range.
func (s *Set) Add(r Range) {
	if r.Len() == 0 {
		return
	}
	a := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].End >= r.First })
	b := a
	for ; b < len(s.runs) && s.runs[b].First <= r.End; b++ {
		r.First, r.End = min(r.First, s.runs[b].First), max(r.End, s.runs[b].End)
		s.n -= s.runs[b].Len()
	}
	s.runs = slices.Replace(s.runs, a, b, r)
	s.n += r.Len()
}

// Remove removes a range.
func (s *Set) Remove(r Range) {
	if r.Len() == 0 {
		return
	}
	a := s.find(r.First)
	b := a
	var rest []Range
	for ; b < len(s.runs) && s.runs[b].First < r.End; b++ {
		run := s.runs[b]
		s.n -= run.Len()
		if left := (Range{run.First, r.First}); run.First < r.First {
			rest = append(rest, left)
		}
		if right := (Range{r.End, run.End}); run.End > r.End {
			rest = append(rest, right)
		}
	}
	for _, left := range rest {
		s.n += left.Len()
	}
	s.runs = slices.Replace(s.runs, a, b, rest...)
}

// Next returns the first number at i or behind it that is in the set.
func (s *Set) Next(i uint64) (uint64, bool) {
	k := s.find(i)
	if k == len(s.runs) {
		return 0, false
	}
	return max(i, s.runs[k].First), true
}

// Gap returns the first number at i or behind it that is not in the set.
func (s *Set) Gap(i uint64) uint64 {
	if k := s.find(i); k < len(s.runs) && s.runs[k].First <= i {
		return s.runs[k].End
	}
	return i
}

// String prints a set as 0-4 7, each range with its last number.
func (s *Set) String() string {
	var b strings.Builder
	for i, r := range s.runs {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, r.First)
		if r.Len() > 1 {
			fmt.Fprint(&b, "-", r.End-1)
		}
	}
	return b.String()
}
