package console

import (
	"encoding/json"
	"fmt"
	"time"

	"natter/broker"
	"natter/chat"
)

// What the book keeps at most; beyond it forgets the oldest, or all names, and
// lines get less exact but no fewer.
const (
	maxSessions = 16384
	maxNames    = 65536
)

// book turns what arrives into entries. It keeps the names that audit records
// told and, per session, what was seen of it. It belongs to one goroutine.
type book struct {
	show   string
	shared bool
	names  map[chat.User]chat.Name
	talks  map[string]*talk // by session id
	shown  int              // messages, direct ones included
	order  []string         // the keys of talks and perhaps more, oldest first
	direct *broker.Recent[directKey]
}

// directKey is a direct message: its sender may send it again, and it is shown once.
type directKey struct {
	from, to chat.User
	run      string
	n        uint64
}

// maxDirects is how many direct messages are recognised when they come again.
const maxDirects = 1 << 14

// talk is what the book knows about a session.
type talk struct {
	begun   bool // its beginning was seen, so numbers start at 1
	shown   int
	present []chat.Name // its members, if that was seen
	members map[chat.User]*seen
}

func newBook(show string, shared bool) *book {
	return &book{
		show: show, shared: shared, names: map[chat.User]chat.Name{}, talks: map[string]*talk{},
		direct: broker.NewRecent[directKey](maxDirects),
	}
}

// feed takes one message of the broker. Subjects that are not of the console's
// routes say nothing.
func (b *book) feed(subject string, data []byte, now time.Time) []entry {
	route, at, ok := chat.Parse(subject)
	switch {
	case !ok:
		return nil
	case route == chat.Said.Route:
		return b.message(at, data, now)
	case route == chat.Direct.Route:
		return b.directMessage(at, data, now)
	case route.To() == chat.Observer:
		return b.audit(at.Kind, data, now)
	}
	return nil
}

func (b *book) audit(kind string, data []byte, now time.Time) []entry {
	var a chat.Audit
	if err := json.Unmarshal(data, &a); err != nil {
		return []entry{unreadable("audit record", data, now)}
	}
	b.learn(a.User)
	for _, n := range a.Users {
		b.learn(n)
	}
	e := entry{at: a.Time, kind: kind, event: a.Event, head: chat.CleanLine(a.Text), audit: &a}
	if e.at.IsZero() {
		e.at = now
	}
	switch kind + " " + a.Event {
	case "action session.start":
		b.talk(a.Session).begun = true
		b.talk(a.Session).present = a.Users
	case "action session.member":
		b.talk(a.Session).present = a.Users
	case "action session.end":
		e.head += b.closing(a.Session)
	case "server server.stopped":
		if b.show == ShowAll && !b.shared {
			e.head += ", " + count(b.shown, "message")
		}
	}
	if b.show == ShowNone && kind != "server" && kind != "error" {
		return nil
	}
	return []entry{e}
}

// closing is what the book adds to the end of a session, and forgets it.
func (b *book) closing(id string) string {
	t := b.talks[id]
	delete(b.talks, id)
	if b.show != ShowAll || b.shared {
		return ""
	}
	shown := 0
	if t != nil {
		shown = t.shown
	}
	return ", " + count(shown, "message")
}

func (b *book) message(at chat.Address, data []byte, now time.Time) []entry {
	if b.show != ShowAll {
		return nil
	}
	id := chat.SessionOf(at.Session)
	short := chat.Session{ID: id}.Short()
	from := b.nameOf(at.User)
	var m chat.Message
	if err := json.Unmarshal(data, &m); err != nil || m.N == 0 {
		return []entry{unreadable(fmt.Sprintf("message in %s from %s", chat.CleanLine(short), from), data, now)}
	}
	t := b.talk(id)
	fresh, skipped := t.member(at.User).mark(m.N, !t.begun)
	if !fresh {
		return nil
	}
	t.shown++
	b.shown++
	var entries []entry
	if skipped > 0 && !b.shared {
		entries = append(entries, gap(short, from, skipped, now))
	}
	return append(entries, entry{
		at: now, kind: "message", event: "message",
		head: fmt.Sprintf("%s %s: ", chat.CleanLine(short), from), body: &m.Text,
		session: short, from: from, to: t.others(from),
	})
}

func (b *book) directMessage(at chat.Address, data []byte, now time.Time) []entry {
	if b.show != ShowAll {
		return nil
	}
	from, to := b.nameOf(at.User), b.nameOf(at.To)
	var m chat.DirectMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return []entry{unreadable(fmt.Sprintf("direct message from %s to %s", from, to), data, now)}
	}
	if m.N == 0 { // an acknowledgement, or a question before it is sent
		return nil
	}
	if len(m.Run) <= chat.MaxTerminal && !b.direct.Add(directKey{at.User, at.To, m.Run, m.N}) {
		return nil
	}
	b.shown++
	return []entry{{
		at: now, kind: "message", event: "direct",
		head: fmt.Sprintf("%s -> %s (direct): ", from, to), body: &m.Text,
		from: from, to: []chat.Name{to},
	}}
}

// gap is the line for messages that this console was not given.
func gap(session string, from chat.Name, skipped uint64, now time.Time) entry {
	text := fmt.Sprintf("%s of session %s from %s not shown", count(skipped, "message"), chat.CleanLine(session), from)
	return entry{at: now, kind: "server", event: "console.gap", head: text, session: session, from: from, count: int(min(skipped, 1<<53))}
}

// unreadable is the line for something that is not what its subject promises. What
// it holds is not shown: it may be anything.
func unreadable(what string, data []byte, now time.Time) entry {
	return entry{at: now, kind: "refused", event: "console.unreadable", head: fmt.Sprintf("%s is unreadable, %s", what, count(len(data), "byte"))}
}

// learn remembers how a name is typed.
func (b *book) learn(n chat.Name) {
	if _, err := chat.ParseName(string(n)); err != nil {
		return
	}
	if len(b.names) >= maxNames {
		clear(b.names)
	}
	b.names[n.User()] = n
}

// nameOf is how a user is shown.
func (b *book) nameOf(u chat.User) chat.Name {
	if n, ok := b.names[u]; ok {
		return n
	}
	return chat.Name(u)
}

// talk finds a session, or begins to remember it.
func (b *book) talk(id string) *talk {
	if t, ok := b.talks[id]; ok {
		return t
	}
	if len(b.order) >= maxSessions {
		b.forget()
	}
	t := &talk{members: map[chat.User]*seen{}}
	b.talks[id] = t
	b.order = append(b.order, id)
	return t
}

// forget drops from order what has ended, and then the oldest quarter.
func (b *book) forget() {
	var open []string
	known := map[string]bool{}
	for _, id := range b.order {
		if _, ok := b.talks[id]; ok && !known[id] {
			known[id] = true
			open = append(open, id)
		}
	}
	if excess := len(open) - maxSessions*3/4; excess > 0 {
		for _, id := range open[:excess] {
			delete(b.talks, id)
		}
		open = open[excess:]
	}
	b.order = open
}

// others are those whom a member speaks to.
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
