package broker

import "time"

// PurgeAfter makes tombstones go sooner.
func (l *Log) PurgeAfter(d time.Duration) { l.purgeAfter = d }

// SetClock has limits read another clock. It comes before Handle.
func (s *Service) SetClock(now func() time.Time) { s.now = now }
