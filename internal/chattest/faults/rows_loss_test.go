//go:build faults

package faults_test

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// F17: packets are lost on a user's line, one of ten or three of ten. The chat goes on, and
// nothing is missing.
func TestF17PacketsLost(t *testing.T) {
	for _, share := range []float64{0.1, 0.3} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			row(t, alone, func(t *testing.T, s *servers) { packetsLost(t, s, share) })
		})
	}
}

func packetsLost(t *testing.T, s *servers, share float64) {
	pair := talking(t, s, "alice", "bob", 0, 0)
	if err := pair.two[1].relay.Lose(share); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system cannot lose packets; the relay's stalls stand in its place")
	} else {
		must(t, err)
	}
	at := time.Now()
	<-time.After(20 * time.Second)
	for _, a := range pair.two {
		t.Logf("%s hears nothing for %s at most", a.name, silence(a, at).Round(time.Millisecond))
	}
	must(t, pair.two[1].relay.Lose(0))
	pair.over()
}
