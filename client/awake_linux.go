package client

import (
	"time"

	"golang.org/x/sys/unix"
)

// awake is the time of a clock that goes on while the computer sleeps, and that nobody sets.
// It says how long something took, not what time it is.
func awake() time.Time {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Now().Round(0)
	}
	return time.Unix(t.Unix())
}
