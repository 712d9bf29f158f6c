package flags

// SurviveWrites does nothing: Windows has no signals for writes.
func SurviveWrites() {}
