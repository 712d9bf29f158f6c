package main

import (
	"fmt"
	"sync"

	"natter/client"
)

// Groups send in rounds: plain connections have no flow control, and the broker disconnects a client
// with more than 16 MB to read.
const members, inARound = 10, 3000

// group measures the deliveries in groups.
func (b *bench) group() error {
	for _, g := range []struct {
		members, speakers int
		who               string
		goal              goal
	}{
		{members, 1, "one sender", atLeast(1.5)},
		{members, members, "all speak", atLeast(1.3)},
		{b.size.group, 1, "one sender", atLeast(1.2)},
	} {
		var both [2][]float64
		a, c, err := b.groupOf(g.members, g.speakers, &both)
		if err != nil {
			return fmt.Errorf("%d members, %s: %w", g.members, g.who, err)
		}
		b.table.compare(fmt.Sprintf("group of %d, %s: deliveries", g.members, g.who), a, c, perSecond, g.goal)
		if g.speakers > 1 {
			b.table.compare("the same: processor time of server and clients per million", both[0], both[1], seconds, atMost(0.6))
		}
	}
	return nil
}

// groupOf measures deliveries per second in a group in which the first ones speak, and adds
// the processor time of both processes per million.
func (b *bench) groupOf(members, speakers int, both *[2][]float64) (a, c []float64, err error) {
	s, err := b.coordinator("none")
	if err != nil {
		return nil, nil, err
	}
	defer s.kill()
	people, err := b.people(s.server, members)
	defer closeAll(people)
	if err != nil {
		return nil, nil, err
	}
	if err := b.chatting(people[0], people[1:]...); err != nil {
		return nil, nil, err
	}
	if err := b.warmUp(people...); err != nil {
		return nil, nil, err
	}
	p, err := plainGroup(s.server, "group", members, nil)
	defer p.close()
	if err != nil {
		return nil, nil, err
	}
	each := inARound
	if speakers == 1 && members == 10 {
		each = 10 * inARound // a round as long as the one in which all speak
	}
	total := float64(b.size.rounds * each * speakers * (members - 1))
	rounds := func(i int, f func() error) func() (float64, error) {
		return func() (float64, error) {
			rate, _, used, err := b.timed(s.server, total, func() error {
				for range b.size.rounds {
					if err := f(); err != nil {
						return err
					}
				}
				return nil
			})
			both[i] = append(both[i], used)
			return rate, err
		}
	}
	ours := rounds(0, func() error { return b.someSay(people, speakers, each) })
	theirs := rounds(1, func() error { return b.somePublish(p, speakers, each) })
	name := fmt.Sprintf("group-%d-%d", members, speakers)
	return b.duel(b.profiled(s.server, name, ours), theirs)
}

// someSay has the first members send n messages each.
func (b *bench) someSay(people []*client.Client, speakers, n int) error {
	var all sync.WaitGroup
	failed := make([]error, 2*len(people))
	for i, c := range people {
		others := speakers
		if i < speakers {
			others--
			all.Go(func() { failed[2*i] = b.say(c, n) })
		}
		if others > 0 {
			all.Go(func() { failed[2*i+1] = b.hears(c, n*others) })
		}
	}
	all.Wait()
	return first(failed)
}

func (b *bench) somePublish(p *plain, speakers, n int) error {
	p.left.Store(int64(n * speakers * (len(p.conns) - 1)))
	var all sync.WaitGroup
	failed := make([]error, speakers+1)
	for i := range speakers {
		all.Go(func() { failed[i] = publish(p.conns[i], p.subject[i], n) })
	}
	all.Wait()
	failed[speakers] = b.until(p.all)
	return first(failed)
}
