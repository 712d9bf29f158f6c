package client

import (
	"testing"
	"time"
)

// TestPulse: a connection that is found to be lost after sleep was lost since its beginning.
func TestPulse(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(0, 0).Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name  string
		beats []float64
		lost  float64
		since float64
	}{
		{"awake", []float64{1, 2, 3}, 3.5, 3.5},
		{"nothing is known before", nil, 9, 9},
		{"the loss is noticed before the next beat", []float64{1, 2}, 77, 2},
		{"and after it", []float64{1, 2, 77, 78, 79}, 79.5, 2},
		{"slept long before", []float64{1, 2, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92}, 92.5, 92.5},
		{"a machine with much to do", []float64{1, 2, 4.5, 6}, 6.5, 6.5},
	} {
		var p pulse
		for _, b := range c.beats {
			p.beat(at(b))
		}
		if got := p.lostSince(at(c.lost)); !got.Equal(at(c.since)) {
			t.Errorf("%s: lost since %s, want %s", c.name, got.Sub(at(0)), at(c.since).Sub(at(0)))
		}
	}
}
