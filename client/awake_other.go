//go:build !linux

package client

import "time"

// awake is the time of a clock that goes on while the computer sleeps: the wall clock, because
// the monotonic one stands still on some systems.
func awake() time.Time { return time.Now().Round(0) }
