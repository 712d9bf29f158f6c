package main

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"natter/client"
)

const (
	steadyRate = 20                       // messages a second of each pair
	between    = time.Second / steadyRate // them
	caughtUp   = 500 * time.Millisecond   // after the last one was due, all should be there
	quarters   = 4                        // of the time; the first and the last are compared
)

// steady measures whether the delays of many pairs who write as fast as people do stay low.
func (b *bench) steady() error {
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	people, err := b.couples(s, b.size.steady)
	defer closeAll(people)
	if err != nil {
		return err
	}
	var early, late [2][]float64 // p50 and p99 of the first and the last quarter
	var behind []float64
	for range b.runs {
		var m *metronome
		_, err := b.profiled(s, "steady", func() (_ float64, err error) {
			m, err = b.metronome(people)
			return 0, err
		})()
		if err != nil {
			return err
		}
		first, last := m.took(0), m.took(quarters-1)
		early[0], early[1] = append(early[0], median(first)), append(early[1], p99(first))
		late[0], late[1] = append(late[0], median(last)), append(late[1], p99(last))
		behind = append(behind, float64(m.behind))
	}
	what := fmt.Sprintf("%d pairs, %d messages/s each for %d s, last quarter next to first: delay ", b.size.steady, steadyRate, b.size.seconds)
	b.holding.compare(what+"p50", late[0], early[0], millis, atMost(1.5))
	b.holding.compare("the same: p99", late[1], early[1], millis, atMost(1.5))
	b.holding.absolute(fmt.Sprintf("the same: not there %s after the last was due", caughtUp), behind, "messages", atMost(0))
	return nil
}

// metronome are couples in which a message is due at fixed times, whether or not the one before has
// arrived.
type metronome struct {
	each   int
	begin  time.Time
	delays [][]float64 // by listener, of each message since it was due, in milliseconds
	behind int
}

// metronome has the two of each couple send in turn.
func (b *bench) metronome(people []*client.Client) (*metronome, error) {
	m := &metronome{each: b.size.seconds * steadyRate, begin: time.Now().Add(100 * time.Millisecond), delays: make([][]float64, len(people))}
	var all sync.WaitGroup
	failed := make([]error, 3*len(people)/2)
	for i := range len(people) / 2 {
		two := people[2*i : 2*i+2]
		first := m.begin.Add(between * time.Duration(i) / time.Duration(len(people)/2)) // not all at once
		all.Go(func() { failed[3*i] = m.speak(two, first) })
		for k := range two {
			all.Go(func() { m.delays[2*i+k], failed[3*i+1+k] = m.listen(b, two[k], first) })
		}
	}
	all.Wait()
	for i, d := range m.delays {
		for n, took := range d {
			due := m.due(time.Time{}, 2*n+1-i%2)
			if due.Add(time.Duration(took * float64(time.Millisecond))).After(m.due(time.Time{}, m.each).Add(caughtUp)) {
				m.behind++
			}
		}
	}
	return m, first(failed)
}

func (m *metronome) due(first time.Time, n int) time.Time {
	return first.Add(between * time.Duration(n))
}

// speak sends the messages that are due, the even ones by the first of the two.
func (m *metronome) speak(two []*client.Client, first time.Time) error {
	for n := range m.each {
		time.Sleep(time.Until(m.due(first, n)))
		if err := say(two[n%2], strconv.Itoa(n)+" "+text[:200]); err != nil {
			return err
		}
	}
	return nil
}

// listen receives the messages of the other one, in order.
func (m *metronome) listen(b *bench, c *client.Client, first time.Time) (delays []float64, err error) {
	heard := hearing{c: c}
	for len(delays) < m.each/2 {
		_, e, err := heard.next(b.ctx)
		if err != nil {
			return nil, err
		}
		var n int
		if _, err := fmt.Sscan(e.Text, &n); err != nil {
			return nil, err
		}
		delays = append(delays, time.Since(m.due(first, n)).Seconds()*1000)
	}
	return delays, nil
}

// took returns the delays of the messages that were due in a quarter of the time.
func (m *metronome) took(quarter int) (all []float64) {
	for _, d := range m.delays {
		all = append(all, d[len(d)*quarter/quarters:len(d)*(quarter+1)/quarters]...)
	}
	return all
}
