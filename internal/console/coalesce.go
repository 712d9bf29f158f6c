package console

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"natter/chat"
)

const (
	// coalesceFor is how long lines of the same kind and sender are counted after the first one was
	// shown.
	coalesceFor = 10 * time.Second
	// maxKinds is how many kinds and senders are counted at once.
	maxKinds = 4096
)

// coalescer counts lines that a client can cause without limit: the first one is shown, and those
// that follow it become one line with their number.
type coalescer map[string]*alike

// alike are lines of one key.
type alike struct {
	until   time.Time
	n, size int
	last    entry
}

// pass returns the lines to show for an entry.
func (c coalescer) pass(e entry, now time.Time) []entry {
	if e.key == "" {
		return []entry{e}
	}
	var entries []entry
	if _, ok := c[e.key]; !ok && len(c) >= maxKinds {
		entries = c.due(now, true)
	}
	if a, ok := c[e.key]; ok {
		a.n, a.size, a.last = a.n+1, a.size+e.size, e
		return entries
	}
	c[e.key] = &alike{until: now.Add(coalesceFor)}
	return append(entries, e.times(1, e.size))
}

// due returns the lines for what was counted long enough, or for everything.
func (c coalescer) due(now time.Time, all bool) []entry {
	var entries []entry
	for _, key := range slices.Sorted(maps.Keys(c)) {
		a := c[key]
		switch {
		case !all && now.Before(a.until):
		case a.n == 0:
			delete(c, key)
		default:
			e := a.last.times(a.n, a.size)
			e.at = now
			entries = append(entries, e)
			*a = alike{until: now.Add(coalesceFor)}
		}
	}
	if all {
		clear(c)
	}
	return entries
}

// times returns an entry for n similar ones, of size bytes together.
func (e entry) times(n, size int) entry {
	e.head, e.count = e.tell(n, size), n
	return e
}

// unreadable returns the line for a payload that is not valid on its subject, or longer than members
// accept. Its content is not shown.
func unreadable(what, who string, limit int, data []byte, now time.Time) entry {
	return entry{
		at: now, kind: "refused", event: "console.unreadable", size: len(data), key: fmt.Sprintf("unreadable %t %s", limit > 0, who),
		tell: func(n, size int) string {
			how := "unreadable"
			if limit > 0 {
				how = fmt.Sprintf("longer than %s", count(limit, "byte"))
			}
			if n > 1 {
				return fmt.Sprintf("%s: %d are %s, %s together", what, n, how, count(size, "byte"))
			}
			return fmt.Sprintf("%s is %s, %s", what, how, count(size, "byte"))
		},
	}
}

// notMember returns the line for a message that no member can receive.
func notMember(session string, from chat.Name, data []byte, now time.Time) entry {
	return entry{
		at: now, kind: "refused", event: "console.not_member", session: session, from: from, outside: true,
		size: len(data), key: "not a member " + session + " " + string(from),
		tell: func(n, size int) string {
			return fmt.Sprintf("%s %s: not a member, %s of %s not shown", session, from, count(n, "message"), count(size, "byte"))
		},
	}
}
