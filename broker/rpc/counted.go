package rpc

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"natter/chat"
)

const (
	// countedFor is how long records of one kind and user, or address, are counted that are more
	// than are written one by one. It is also how long it takes until there may be one more of these.
	countedFor = 10 * time.Second
	// maxCounted is how many kinds and users are counted at once.
	maxCounted = 4096
	// freeRefusals and freeRequests are how many of a kind and user are written one by one.
	freeRefusals = 1
	freeRequests = 60
)

// counter counts what a client can cause as often as it likes: the first records are written at
// once, and those that follow them are one record with their number.
type counter struct {
	free int // so many are written one by one, and then one more in each countedFor

	mu    sync.Mutex
	alike map[alike]*repeated
	timer *time.Timer // runs while something is counted
	over  bool        // nothing is counted
}

// alike is a kind of records, and whose.
type alike struct {
	kind    string
	event   string
	code    chat.Code
	user    chat.User
	address string
}

type repeated struct {
	until time.Time
	n     int
	last  chat.Audit

	left float64 // that may be written one by one, at a time
	at   time.Time
}

// refill lets time pass for what may be written one by one.
func (c *repeated) refill(now time.Time, most int) {
	c.left = min(float64(most), c.left+max(0, float64(now.Sub(c.at))/float64(countedFor)))
	c.at = now
}

// likeness is who has caused a record of a kind: a user, wherever they come from, or an address.
// It is false for what concerns nobody in particular, and for what tells who is in a session.
func likeness(a chat.Audit) (alike, bool) {
	k := alike{kind: a.Kind, event: a.Event, code: a.Code, user: a.User.User()}
	switch {
	case a.User != "":
	case a.Address != "":
		k.address = Network(a.Address)
	case a.Channel == "" && len(a.Users) > 0: // an invitation, of its host
		k.user = a.Users[0].User()
	default:
		return k, false
	}
	return k, true
}

// pass returns the records to write for one.
func (r *counter) pass(a chat.Audit, now time.Time) []chat.Audit {
	k, ok := likeness(a)
	if !ok {
		return []chat.Audit{a}
	}
	var records []chat.Audit
	c := r.alike[k]
	if c == nil {
		if len(r.alike) >= maxCounted {
			records = r.due(now, true)
		}
		if r.alike == nil {
			r.alike = map[alike]*repeated{}
		}
		c = &repeated{until: now.Add(countedFor), left: float64(r.free), at: now}
		r.alike[k] = c
	}
	c.refill(now, r.free)
	if c.n == 0 && c.left >= 1 {
		c.left--
		return append(records, a)
	}
	if c.n == 0 && r.free > 1 {
		c.until = now.Add(countedFor)
	}
	c.n, c.last = c.n+1, a
	return records
}

// due are the records for what was counted long enough, or at all, in the order of time.
func (r *counter) due(now time.Time, all bool) []chat.Audit {
	var records []chat.Audit
	for k, c := range r.alike {
		if !all && now.Before(c.until) {
			continue
		}
		c.refill(now, r.free)
		switch {
		case c.n > 0:
			records = append(records, c.record())
			*c = repeated{until: now.Add(countedFor), left: max(0, c.left-1), at: now}
		case c.left >= float64(r.free):
			delete(r.alike, k)
		default:
			c.until = now.Add(countedFor)
		}
	}
	if all {
		clear(r.alike)
	}
	slices.SortFunc(records, func(a, b chat.Audit) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Text, b.Text)) })
	return records
}

// nouns say what is counted, by kind.
var nouns = map[string]string{chat.AuditRefused.Kind: "refusals", chat.AuditRequest.Kind: "requests", chat.AuditAction.Kind: "actions"}

// record stands for all that were counted.
func (c *repeated) record() chat.Audit {
	a := c.last
	if c.n > 1 {
		a.Count = c.n
		a.Text = fmt.Sprintf("%d %s in %.0f s, the last: %s", c.n, nouns[a.Kind], countedFor.Seconds(), a.Text)
	}
	return a
}

// next is when something is due.
func (r *counter) next() time.Time {
	return slices.MinFunc(slices.Collect(maps.Values(r.alike)), func(a, b *repeated) int { return a.until.Compare(b.until) }).until
}

// take is pass, and has what is counted written when it is due.
func (r *counter) take(a chat.Audit, write func(chat.Audit)) []chat.Audit {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return []chat.Audit{a}
	}
	records := r.pass(a, a.Time)
	if r.timer == nil && len(r.alike) > 0 {
		r.timer = time.AfterFunc(countedFor, func() { r.tick(write) })
	}
	return records
}

// tickEvery is how often it is looked at most for what is due.
const tickEvery = time.Second

// tick writes what is due.
func (r *counter) tick(write func(chat.Audit)) {
	r.mu.Lock()
	records := r.due(time.Now(), false)
	switch {
	case r.over:
	case len(r.alike) > 0:
		r.timer.Reset(max(tickEvery, time.Until(r.next())))
	default:
		r.timer = nil
	}
	r.mu.Unlock()
	for _, a := range records {
		write(a)
	}
}

// end returns what is counted. From then on nothing is.
func (r *counter) end() []chat.Audit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.timer != nil {
		r.timer.Stop()
	}
	return r.due(time.Now(), true)
}
