package console

import (
	"slices"
	"time"

	"natter/chat"
)

const (
	// lateTime is how long after the end of a session, or after a member has left it, others may
	// still receive their messages: each learns of it on their own connection.
	lateTime = time.Second
	// moveTime is how long members may take to change to the next channel of a session.
	moveTime = 5 * time.Second
	// askAgain is the pause before a question about a session is repeated.
	askAgain = 5 * time.Second
)

// talk is what the book knows about a session.
type talk struct {
	whole   bool // seen from its beginning without a gap, so numbers start at 1
	shown   int  // messages, without those that may have come too late
	known   bool // the fields below are known
	channel string
	present []chat.Name             // the members
	in      map[chat.User]bool      // likewise
	former  string                  // the channel before
	moved   time.Time               // when the channel changed
	left    map[chat.User]time.Time // who was a member before
	checked time.Time               // when the book last asked for it
	joined  time.Time               // when it became known, if it was not seen
	members map[chat.User]*seen
}

// standing says whether a sender is a member on a channel.
type standing int

const (
	member   standing = iota // others can receive their messages, or that is not known
	late                     // they were a member a moment ago: somebody may have heard them
	stranger                 // nobody can hear them
)

// become notes the present members and the channel; none at the end.
func (t *talk) become(channel string, present []chat.Name, now time.Time) {
	before := t.in
	t.in = map[chat.User]bool{}
	for _, n := range present {
		t.in[n.User()] = true
	}
	for u := range before {
		if !t.in[u] {
			t.left[u] = now
		}
	}
	if channel != t.channel {
		t.former, t.moved = t.channel, now
	}
	t.known, t.channel, t.present = true, channel, present
	for _, s := range t.members {
		s.others = nil
	}
}

// of returns the standing of a sender on a channel, as far as it is known.
func (t *talk) of(channel string, u chat.User, now time.Time) standing {
	left, was := t.left[u]
	in := t.in[u]
	switch {
	case !t.known, in && channel == t.channel, in && channel == t.former && now.Sub(t.moved) < moveTime:
		return member
	case was && now.Sub(left) < lateTime, !t.joined.IsZero() && now.Sub(t.joined) < lateTime:
		return late
	}
	return stranger
}

// standing returns the standing of the sender of an address. If they seem to be no member, it asks
// the coordinator, because a record may be missing.
func (b *book) standing(id string, t *talk, at chat.Address, now time.Time) standing {
	if !t.known {
		b.askFor(id, t, now)
	}
	where := t.of(at.Session, at.User, now)
	if where == stranger && b.askFor(id, t, now) {
		where = t.of(at.Session, at.User, now)
	}
	return where
}

// askFor asks who is in a session, but not too often. It reports whether the answer was new.
func (b *book) askFor(id string, t *talk, now time.Time) bool {
	if b.ask == nil || !t.checked.IsZero() && now.Sub(t.checked) < askAgain {
		return false
	}
	t.checked = now
	w, ok := b.ask(id)
	if !ok || t.known && w.Channel == "" {
		return false
	}
	if !t.known {
		t.joined = now
	}
	t.become(w.Channel, w.Users, now)
	return true
}

// talk returns what is known of a session, which may be new.
func (b *book) talk(id string) *talk {
	if t, ok := b.talks[id]; ok {
		return t
	}
	if len(b.order) >= maxSessions {
		b.forget()
	}
	t := &talk{members: map[chat.User]*seen{}, left: map[chat.User]time.Time{}}
	b.talks[id] = t
	b.order = append(b.order, id)
	return t
}

// forget removes the oldest quarter, first sessions that are over.
func (b *book) forget() {
	excess := len(b.order) - maxSessions*3/4
	for _, over := range []bool{true, false} {
		b.order = slices.DeleteFunc(b.order, func(id string) bool {
			t := b.talks[id]
			if excess <= 0 || over && !(t.known && t.channel == "") {
				return false
			}
			excess--
			delete(b.talks, id)
			delete(b.lacking, id)
			return true
		})
	}
}

// others returns the members other than one.
func (t *talk) others(from chat.Name) []chat.Name {
	var others []chat.Name
	for _, n := range t.present {
		if n.User() != from.User() {
			others = append(others, n)
		}
	}
	return others
}

func (t *talk) member(u chat.User) *seen {
	s, ok := t.members[u]
	if !ok {
		s = &seen{}
		t.members[u] = s
	}
	return s
}
