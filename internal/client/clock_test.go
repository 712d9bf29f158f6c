package client_test

import (
	"testing"
	"time"

	"natter/internal/chattest"
)

// Whether a ticket is good is said by the coordinator's clock, which need not be ours.
func TestTicketsGoByTheCoordinatorsClock(t *testing.T) {
	alice := chattest.Run(t).User("alice")
	if left := alice.Left(time.Now().Add(time.Hour)); left < 59*time.Minute || left > time.Hour+time.Minute {
		t.Errorf("an hour lasts %s by the clock of this very computer", left)
	}
	for _, ahead := range []time.Duration{24 * time.Hour, -24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		theirs := time.Now().Add(ahead)
		alice.Told(theirs)
		if left := alice.Left(theirs.Add(time.Hour)); left < 59*time.Minute || left > time.Hour {
			t.Errorf("an hour lasts %s by a clock that is %s ahead", left, ahead)
		}
	}
}
