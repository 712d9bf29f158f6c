package store

import "time"

// PurgeAfter makes tombstones go sooner.
func (l *Log) PurgeAfter(d time.Duration) { l.purgeAfter = d }
