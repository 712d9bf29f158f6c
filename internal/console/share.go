package console

import (
	"hash/maphash"

	"github.com/nats-io/nats.go"
)

// maxHeld is how many messages may lie between the two copies of one.
const maxHeld = 1024

// share lets the consoles of several replicas show each line once between them, and yet
// know everything. Each console gets every message, and one of them, by the queue group, gets
// it once more: that one shows it. The second copy comes behind the first, on the same
// connection.
type share struct {
	seed  maphash.Seed
	held  map[uint64][]entry // of messages whose second copy may come
	order []uint64
}

func newShare() *share { return &share{seed: maphash.MakeSeed(), held: map[uint64][]entry{}} }

// hold keeps what a message means until it is known who shows it. If the same message was
// sent before, another console has shown that one by now.
func (s *share) hold(m *nats.Msg, entries []entry) {
	k := s.key(m)
	delete(s.held, k)
	if len(entries) == 0 {
		return
	}
	if len(s.order) == maxHeld {
		delete(s.held, s.order[0])
		s.order = s.order[1:]
	}
	s.held[k] = entries
	s.order = append(s.order, k)
}

// take returns what was held; false if nothing was.
func (s *share) take(m *nats.Msg) ([]entry, bool) {
	k := s.key(m)
	entries, ok := s.held[k]
	delete(s.held, k)
	return entries, ok
}

func (s *share) key(m *nats.Msg) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(m.Subject) // never fails
	_, _ = h.Write(m.Data)
	return h.Sum64()
}
