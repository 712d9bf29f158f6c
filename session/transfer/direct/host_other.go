//go:build !linux && !darwin && !windows

package direct

// hostSecret is not known here: loopback is not used.
func hostSecret() []byte { return nil }
