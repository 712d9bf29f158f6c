package chattest_test

import (
	"sync"
	"testing"
)

// asks makes an invitation that has arrived; its id is returned.
func (p *player) asks(t *testing.T, guests ...*player) string {
	t.Helper()
	d, err := p.invite(names(guests)...)
	if err != nil {
		t.Fatal(err)
	}
	return d.was.Session.ID
}

func (p *player) chats(t *testing.T, guests ...*player) string {
	t.Helper()
	id := p.asks(t, guests...)
	for _, g := range guests {
		if _, err := g.answer(id, true); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

func (p *player) accepts(id string) move   { return func() (did, error) { return p.answer(id, true) } }
func (p *player) denies(id string) move    { return func() (did, error) { return p.answer(id, false) } }
func (p *player) withdraws(id string) move { return func() (did, error) { return p.withdraw(id) } }
func (p *player) quits(id string) move     { return func() (did, error) { return p.quit(id) } }
func (p *player) leaves(id string) move    { return func() (did, error) { return p.leave(id) } }
func (p *player) invites(guests ...*player) move {
	return func() (did, error) { return p.invite(names(guests)...) }
}

// atOnce makes all moves begin together.
func atOnce(moves []move) []did {
	var steps []did
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for _, m := range moves {
		wg.Go(func() {
			<-begin
			if d, err := m(); err == nil {
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, d)
			}
		})
	}
	close(begin)
	wg.Wait()
	return steps
}
