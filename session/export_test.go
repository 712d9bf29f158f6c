package session

// Idle tells whether the talk looks for nothing any more: what waits is stored.
func (t *Talk) Idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.idle && !t.kept.busy && len(t.wake) == 0
}
