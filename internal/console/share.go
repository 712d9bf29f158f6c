package console

import (
	"cmp"
	"encoding/json"
	"hash/maphash"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/session/delivery"
)

const (
	// maxHeld is how many messages may come between the two copies of one.
	maxHeld = 1024
	// maxStored is how many requests to store wait at once.
	maxStored = 512
	// storedWait is how long stored messages wait for the same ones on the session's channel.
	storedWait = time.Second
)

// share lets the consoles of several replicas show each line once between them, although each of
// them knows everything. Each console gets every message, and one of them gets it once more, by the
// queue group: that one shows it. The second copy comes after the first, on the same connection.
//
// A message of a member can come in two messages of the broker: one of the member and one of
// the coordinator, which has stored it. Two consoles may get these in a different order, and
// each is shown by another console, so "the first one is shown" would show it twice, or never.
// That is why messages on the channel count first: stored ones wait, and those that have come on the
// channel by then are left out.
type share struct {
	seed   maphash.Seed
	held   map[uint64]held // messages whose second copy may still come
	order  []turn          // of held and perhaps more, oldest first
	count  uint64
	stored []*stored // oldest first
}

// held are the entries of a message.
type held struct {
	entries []entry
	turn    uint64
}

// turn says which of the messages with a key is meant.
type turn struct{ key, turn uint64 }

// stored are messages that wait for the same ones on the channel.
type stored struct {
	key      uint64
	address  chat.Address
	messages []chat.Message // in ascending order
	since    time.Time
	mine     bool // the second copy came to this console
}

func newShare() *share { return &share{seed: maphash.MakeSeed(), held: map[uint64]held{}} }

// hold keeps the entries of a message until it is known which console shows them. If the same
// message was sent before, another console has shown that one by now.
func (s *share) hold(key uint64, entries []entry) {
	if len(s.order) == maxHeld {
		if old := s.order[0]; s.held[old.key].turn == old.turn {
			delete(s.held, old.key)
		}
		s.order = s.order[1:]
	}
	s.count++
	s.held[key] = held{entries, s.count}
	s.order = append(s.order, turn{key, s.count})
}

// take returns the entries of a message that this console must show; false if its first copy has not
// come.
func (s *share) take(key uint64) ([]entry, bool) {
	h, ok := s.held[key]
	delete(s.held, key)
	for _, w := range s.stored {
		if w.key == key && !w.mine {
			w.mine = true
			return h.entries, true
		}
	}
	return h.entries, ok
}

func (s *share) key(m *nats.Msg) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(m.Subject) // never fails
	_, _ = h.Write(m.Data)
	return h.Sum64()
}

// wait keeps stored messages back; false if m has none.
func (s *share) wait(m *nats.Msg, at address, now time.Time) bool {
	var p chat.StoredMessages
	if at.route != chat.Stored.Route || json.Unmarshal(m.Data, &p) != nil {
		return false
	}
	s.stored = append(s.stored, &stored{key: s.key(m), address: at.Address, messages: p.Messages, since: now})
	return true
}

// first handles the copy of a message that every console gets.
func (c *Console) first(m *nats.Msg, now time.Time) {
	at := c.book.parse(m.Subject)
	if len(c.share.stored) > 0 {
		c.release(c.before(at, m.Data), now)
	}
	if !c.share.wait(m, at, now) {
		c.share.hold(c.share.key(m), c.book.feed(m.Subject, m.Data, now))
	}
}

// second handles the copy of a message that this console must show. If there was no room for the
// first copy, it serves as both.
func (c *Console) second(m *nats.Msg, now time.Time) {
	key := c.share.key(m)
	entries, ok := c.share.take(key)
	if !ok {
		c.first(m, now)
		entries, _ = c.share.take(key)
	}
	c.print(entries, now)
}

// release shows stored messages that have waited, and those before something else.
func (c *Console) release(before func(*stored) int, now time.Time) {
	full := len(c.share.stored) > maxStored
	c.share.stored = slices.DeleteFunc(c.share.stored, func(w *stored) bool {
		n := len(w.messages)
		if !full && now.Sub(w.since) < storedWait {
			n = before(w)
		}
		entries := c.book.stored(w.address, w.messages[:n], now)
		w.messages = w.messages[n:]
		switch {
		case w.mine:
			c.print(entries, now)
		case len(entries) > 0:
			c.share.hold(w.key, append(c.share.held[w.key].entries, entries...))
		}
		return len(w.messages) == 0
	})
}

// before returns how many of stored messages are shown before a message of the broker: those
// before what the same sender says, and all at the end of the session.
func (c *Console) before(at address, data []byte) func(*stored) int {
	switch {
	case at.route == chat.Said.Route:
		f, _ := delivery.ParseFrame(data, c.book.maxText) // an invalid frame has no messages
		return func(w *stored) int {
			if w.address.User != at.User || w.address.Session != chat.SessionOf(at.Session) || len(f.Messages) == 0 {
				return 0
			}
			n, _ := slices.BinarySearchFunc(w.messages, f.Messages[0].N, func(m chat.Message, n uint64) int { return cmp.Compare(m.N, n) })
			return n
		}
	case at.route == chat.AuditAction.Route:
		var a chat.Audit
		_ = json.Unmarshal(data, &a) // an invalid record ends nothing
		return func(w *stored) int {
			if a.Event == "session.end" && a.Session == w.address.Session {
				return everything(w)
			}
			return nothing(w)
		}
	}
	return nothing
}

func nothing(*stored) int { return 0 }

func everything(w *stored) int { return len(w.messages) }

// releaseStored is release for a console that may show everything itself.
func (c *Console) releaseStored(before func(*stored) int) {
	if c.share != nil {
		c.release(before, c.cfg.Now())
	}
}
