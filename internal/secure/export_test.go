package secure

import "time"

// Current reports whether Auto keeps a certificate that was made at a time.
func Current(made, now time.Time) bool { return current(made, now) }
