package transfer

import "time"

// meter measures a rate.
type meter struct {
	rate  float64 // bytes a second
	bytes int64   // since
	since Time
	known bool
}

const (
	// meterStep is over how long bytes are counted at least.
	meterStep = 250 * time.Millisecond
	// meterMemory is how fast the past is forgotten.
	meterMemory = 2 * time.Second
)

// start begins to measure, or does so again after a pause.
func (m *meter) start(now Time) { m.bytes, m.since = 0, now }

func (m *meter) add(n int64, now Time) {
	m.bytes += n
	if now-m.since < meterStep {
		return
	}
	dt := now - m.since
	rate := float64(m.bytes) / dt.Seconds()
	if !m.known {
		m.rate, m.known = rate, true
	} else {
		m.rate += (rate - m.rate) * float64(dt) / float64(dt+meterMemory)
	}
	m.start(now)
}

// at returns the rate now: less than the last one if nothing has come for long.
func (m *meter) at(now Time) float64 {
	if dt := (now - m.since).Seconds(); dt > meterMemory.Seconds() {
		return min(m.rate, float64(m.bytes)/dt)
	}
	return m.rate
}

// left returns how long so many bytes take, or -1.
func (m *meter) left(bytes int64, now Time) Time {
	rate := m.at(now)
	if bytes < 0 || rate < 1 {
		return -1
	}
	return Time(min(float64(bytes)/rate, 1e9) * float64(time.Second))
}

// again is when something is tried once more: after first, then after pauses that grow from a second.
type again struct {
	at    Time
	pause Time
	tries int
}

func (a *again) start(now, first Time) { *a = again{at: now + first, pause: first} }
func (a *again) stop()                 { a.at = never }

// due reports whether it is time, and sets the next one.
func (a *again) due(now, limit Time) bool {
	if now < a.at {
		return false
	}
	a.pause = min(max(2*a.pause, time.Second), limit)
	a.at = now + a.pause
	a.tries++
	return true
}
