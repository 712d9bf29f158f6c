package console

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"time"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
)

const (
	// maxDirects is how many direct messages are recognised when they come again, and for how many
	// an acknowledgement is awaited.
	maxDirects = 1 << 14
	// ackTime is how long an acknowledgement may take before a line says that it is missing.
	ackTime = chat.DirectTimeout + time.Second
	// maxText is the most bytes of one message that any --max-message allows.
	maxText = 256 << 10
	// directLines is how many direct messages of one sender are shown a second, for long:
	// several times as many as a client sends.
	directLines = 5 * chat.DirectRate
)

// directKey is a direct message: its sender may send it again, and it is shown once.
type directKey struct {
	from, to    chat.User
	incarnation string
	n           uint64
}

// directText is the text of a key: a receiver who did not get it may read another text with the same
// key.
type directText struct {
	directKey
	sum uint64
}

// directs is the state of direct messages.
type directs struct {
	recent  *broker.Recent[directKey]
	texts   *broker.Recent[directText]
	waiting map[directKey]time.Time // when it was shown, if it was not acknowledged since
	order   []directKey             // of waiting and perhaps more, oldest first
	pace    *rpc.Buckets            // of each sender's lines
	arrived int                     // acknowledged, of those that were shown
}

func newDirects() directs {
	return directs{recent: broker.NewRecent[directKey](maxDirects), texts: broker.NewRecent[directText](maxDirects), waiting: map[directKey]time.Time{}, pace: rpc.NewBuckets(directLines)}
}

// direct handles a direct message, or a step of one that is not shown.
func (b *book) direct(at chat.Address, data []byte, now time.Time) []entry {
	from, to := b.nameOf(at.User), b.nameOf(at.To)
	var m chat.DirectMessage
	err := json.Unmarshal(data, &m)
	k := directKey{at.User, at.To, m.Incarnation, m.N}
	switch {
	case err != nil, len(m.Incarnation) > chat.MaxTerminal:
		return []entry{unreadable("direct message from "+string(from), string(at.User), 0, data, now)}
	case m.N == 0:
		if m.Ack > 0 {
			b.directs.acknowledged(directKey{at.To, at.User, m.Incarnation, m.Ack})
		}
		return nil
	case len(m.Text) > b.maxText:
		return []entry{unreadable("direct message from "+string(from), string(at.User), b.maxText, data, now)}
	}
	text := directText{k, maphash.String(b.seed, m.Text)}
	if b.directs.texts.Has(text) {
		return nil
	}
	if b.directs.pace.Take(string(at.User), now) > 0 {
		return []entry{tooFast(from, data, now)} // its receiver accepts it later, so it is shown when it comes again
	}
	b.directs.texts.Add(text)
	e := entry{
		at: now, kind: "message", event: "direct",
		head: fmt.Sprintf("%s -> %s (direct): ", from, to), said: []chat.Message{{Text: m.Text}},
		from: from, to: []chat.Name{to},
	}
	if b.directs.recent.Add(k) {
		e.direct = &k
	} else {
		e.head = fmt.Sprintf("%s -> %s (direct, number %d again): ", from, to, m.N)
	}
	return []entry{e}
}

// await notes that a direct message was shown.
func (d *directs) await(k directKey, now time.Time) {
	if len(d.waiting) >= maxDirects {
		return // then it is not reported
	}
	d.waiting[k] = now
	d.order = append(d.order, k)
}

func (d *directs) acknowledged(k directKey) {
	if _, ok := d.waiting[k]; ok {
		d.arrived++
		delete(d.waiting, k)
	}
}

// due returns the lines about direct messages that were not acknowledged in time.
func (d *directs) due(b *book, now time.Time) []entry {
	var entries []entry
	for len(d.order) > 0 {
		k := d.order[0]
		at, waits := d.waiting[k]
		if waits && now.Sub(at) < ackTime {
			break
		}
		d.order = d.order[1:]
		if waits {
			delete(d.waiting, k)
			entries = append(entries, unacknowledged(b.nameOf(k.from), b.nameOf(k.to), now))
		}
	}
	return entries
}

// unacknowledged returns the line for a direct message that may not have arrived.
func unacknowledged(from, to chat.Name, now time.Time) entry {
	return entry{
		at: now, kind: "server", event: "console.unacknowledged", from: from, to: []chat.Name{to},
		key: fmt.Sprintf("unacknowledged %s %s", from, to),
		tell: func(n, _ int) string {
			return fmt.Sprintf("%s from %s to %s: not acknowledged within %g s, so it may not have been shown there",
				count(n, "direct message"), from, to, ackTime.Seconds())
		},
	}
}

// tooFast returns the line for more direct messages than a client sends.
func tooFast(from chat.Name, data []byte, now time.Time) entry {
	return entry{
		at: now, kind: "refused", event: "console.too_fast", from: from, size: len(data), key: "too fast " + string(from),
		tell: func(n, _ int) string {
			return fmt.Sprintf("%s: more than %d direct messages a second, %d not shown", from, directLines, n)
		},
	}
}
