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
	// refusedFor is how long refusals of one kind and user, or address, are counted after one
	// was written.
	refusedFor = 10 * time.Second
	// maxRefusals is how many kinds and users are counted at once.
	maxRefusals = 4096
)

// refusals counts what a client can have refused as often as it likes: the first one is
// written at once, and those that follow it are one record with their number.
type refusals struct {
	mu    sync.Mutex
	alike map[refusedKind]*repeated
	timer *time.Timer // runs while something is counted
	over  bool        // nothing is counted
}

// refusedKind is a kind, and whose.
type refusedKind struct {
	event   string
	code    chat.Code
	user    chat.User
	address string
}

type repeated struct {
	until time.Time
	n     int
	last  chat.Audit
}

// pass returns the records to write for a refusal. What concerns nobody in particular is not
// counted.
func (r *refusals) pass(a chat.Audit, now time.Time) []chat.Audit {
	if a.User == "" && a.Address == "" {
		return []chat.Audit{a}
	}
	k := refusedKind{a.Event, a.Code, a.User.User(), a.Address}
	if a.User != "" {
		k.address = "" // one user has one count, wherever they come from
	}
	if c, ok := r.alike[k]; ok {
		c.n, c.last = c.n+1, a
		return nil
	}
	var records []chat.Audit
	if len(r.alike) >= maxRefusals {
		records = r.due(now, true)
	}
	if r.alike == nil {
		r.alike = map[refusedKind]*repeated{}
	}
	r.alike[k] = &repeated{until: now.Add(refusedFor)}
	return append(records, a)
}

// due are the records for what was counted long enough, or at all, in the order of time.
func (r *refusals) due(now time.Time, all bool) []chat.Audit {
	var records []chat.Audit
	for k, c := range r.alike {
		switch {
		case !all && now.Before(c.until):
		case c.n == 0:
			delete(r.alike, k)
		default:
			records = append(records, c.record())
			*c = repeated{until: now.Add(refusedFor)}
		}
	}
	if all {
		clear(r.alike)
	}
	slices.SortFunc(records, func(a, b chat.Audit) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Text, b.Text)) })
	return records
}

// record stands for all that were counted.
func (c *repeated) record() chat.Audit {
	a := c.last
	if c.n > 1 {
		a.Count = c.n
		a.Text = fmt.Sprintf("%d refusals in %.0f s, the last: %s", c.n, refusedFor.Seconds(), a.Text)
	}
	return a
}

// next is when something is due.
func (r *refusals) next() time.Time {
	return slices.MinFunc(slices.Collect(maps.Values(r.alike)), func(a, b *repeated) int { return a.until.Compare(b.until) }).until
}

// take is pass, and has what is counted written when it is due.
func (r *refusals) take(a chat.Audit, write func(chat.Audit)) []chat.Audit {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return []chat.Audit{a}
	}
	records := r.pass(a, a.Time)
	if r.timer == nil && len(r.alike) > 0 {
		r.timer = time.AfterFunc(refusedFor, func() { r.tick(write) })
	}
	return records
}

// tick writes what is due.
func (r *refusals) tick(write func(chat.Audit)) {
	r.mu.Lock()
	records := r.due(time.Now(), false)
	switch {
	case r.over:
	case len(r.alike) > 0:
		r.timer.Reset(time.Until(r.next()))
	default:
		r.timer = nil
	}
	r.mu.Unlock()
	for _, a := range records {
		write(a)
	}
}

// end returns what is counted. From then on nothing is.
func (r *refusals) end() []chat.Audit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.timer != nil {
		r.timer.Stop()
	}
	return r.due(time.Now(), true)
}
