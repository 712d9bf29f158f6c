package broker_test

import (
	"testing"

	"natter/broker"
)

func TestRecent(t *testing.T) {
	r := broker.NewRecent[int](3)
	for i, want := range map[int]bool{1: true, 2: true, 3: true} {
		if got := r.Add(i); got != want {
			t.Errorf("Add(%d) = %t", i, got)
		}
	}
	if r.Add(2) {
		t.Error("2 is new a second time")
	}
	r = broker.NewRecent[int](3)
	for i := range 10 {
		r.Add(i)
	}
	for i, want := range []bool{6: false, 7: true, 8: true, 9: true} {
		if r.Has(i) != want {
			t.Errorf("Has(%d) = %t", i, !want)
		}
	}
}
