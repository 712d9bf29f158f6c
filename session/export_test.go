package session

import "time"

// Idle tells whether the talk looks for nothing any more: what waits is stored.
func (t *Talk) Idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.idle && !t.kept.busy && len(t.wake) == 0
}

// Since is when the first message was said that somebody has yet to acknowledge.
func (t *Talk) Since() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out[0].at
}
