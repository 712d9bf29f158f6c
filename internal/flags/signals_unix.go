//go:build unix

package flags

import (
	"os/signal"
	"syscall"
)

// SurviveWrites makes a pipe that nobody reads, and a file that may not grow, errors where a
// program writes, instead of signals that end it.
func SurviveWrites() { signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ) }
