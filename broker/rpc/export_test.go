package rpc

import "time"

// SetClock has limits read another clock. It comes before Handle.
func (s *Service) SetClock(now func() time.Time) { s.now = now }
