package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"natter/chat"
	"natter/session/delivery"
)

// The limits of the book. Beyond them it forgets the oldest sessions, or all names: lines are less
// exact then, but none is missing.
const (
	maxSessions = 16384
	maxNames    = 65536
	maxParsed   = 16384
)

// book makes entries of what arrives. It remembers the names in audit records and, for each session,
// what was seen of it. It belongs to one goroutine.
type book struct {
	show    string
	shared  bool
	maxText int // bytes
	// ask returns who is in a session now; false if it is not known. May be nil.
	ask func(id string) (chat.WatchReply, bool)

	seed    maphash.Seed       // of the texts that were shown
	parsed  map[string]address // by subject
	names   map[chat.User]chat.Name
	talks   map[string]*talk // by session id
	lacking map[string]bool  // ids of talks some of whose messages are missing
	order   []string         // the keys of talks and perhaps more, oldest first
	directs directs
	shown   int  // messages of members
	missed  bool // something was missed: the counts are not complete
}

func newBook(cfg Config) *book {
	b := &book{
		show: cfg.Show, shared: cfg.Shared, maxText: cfg.MaxText,
		seed: maphash.MakeSeed(), parsed: map[string]address{}, names: map[chat.User]chat.Name{}, talks: map[string]*talk{}, lacking: map[string]bool{}, directs: newDirects(),
	}
	if b.maxText == 0 {
		b.maxText = maxText
	}
	return b
}

// address is what a subject says.
type address struct {
	chat.Address
	route *chat.Route // nil if it is of none
}

// parse is chat.Parse with a cache: it takes longer than everything else that is done with a message.
func (b *book) parse(subject string) address {
	a, ok := b.parsed[subject]
	if ok {
		return a
	}
	if len(b.parsed) >= maxParsed {
		clear(b.parsed)
	}
	if route, at, ok := chat.Parse(subject); ok {
		a = address{at, route}
	}
	b.parsed[subject] = a
	return a
}

// feed handles one message of the broker. Subjects of other routes have no entries.
func (b *book) feed(subject string, data []byte, now time.Time) []entry {
	parsed := b.parse(subject)
	route, at := parsed.route, parsed.Address
	switch {
	case route == nil:
		return nil
	case route.To() == chat.Observer && route != chat.Stored.Route:
		return b.audit(at.Kind, data, now)
	case b.show != ShowAll:
		return nil
	case route == chat.Said.Route:
		return b.message(at, data, now)
	case route == chat.Stored.Route:
		return b.storedRecord(at, data, now)
	case route == chat.Direct.Route:
		return b.direct(at, data, now)
	}
	return nil
}

func (b *book) audit(kind string, data []byte, now time.Time) []entry {
	var a chat.Audit
	if err := json.Unmarshal(data, &a); err != nil {
		return []entry{unreadable("audit record", "audit", 0, data, now)}
	}
	if kind != chat.AuditRefused.Kind { // who asked may have made up the names
		b.learn(a.User)
		for _, n := range a.Users {
			b.learn(n)
		}
	}
	e := entry{at: a.Time, kind: kind, event: a.Event, head: chat.CleanLine(a.Text), audit: &a}
	if e.at.IsZero() {
		e.at = now
	}
	before := b.follow(kind+" "+a.Event, a, &e, now)
	if b.show == ShowNone && kind != "server" && kind != "error" {
		return nil
	}
	return append(before, e)
}

// follow updates a session from an audit record. It adds to the record's line what the book knows,
// and returns the lines that come before it.
func (b *book) follow(what string, a chat.Audit, e *entry, now time.Time) (before []entry) {
	switch what {
	case "action session.start":
		t := b.talk(a.Session)
		t.whole = !t.known && t.shown == 0
		t.become(a.Channel, a.Users, now)
	case "action session.member", "action session.moved":
		b.talk(a.Session).become(a.Channel, a.Users, now)
	case "action session.end":
		t := b.talk(a.Session)
		before = b.gaps(a.Session, t, now, true)
		if b.show == ShowAll && t.whole {
			e.head += ", " + count(t.shown, "message")
		}
		t.become("", nil, now)
	case "server server.stopped":
		if b.show == ShowAll && !b.shared && !b.missed {
			e.head += ", " + count(b.shown+b.directs.arrived, "message")
		}
	}
	return before
}

// message handles a frame of a member.
func (b *book) message(at chat.Address, data []byte, now time.Time) []entry {
	id := chat.SessionOf(at.Session)
	t := b.talk(id)
	where := b.standing(id, t, at, now)
	from, what := b.nameOf(at.User), fmt.Sprintf("%s %s", short(id), at.User)
	if where == stranger {
		return []entry{notMember(short(id), from, data, now)}
	}
	f, err := delivery.ParseFrame(data, b.maxText)
	if err != nil {
		most := 0
		if errors.Is(err, delivery.ErrTextTooLong) {
			most = b.maxText
		}
		return []entry{unreadable(fmt.Sprintf("message in %s from %s", short(id), from), what, most, data, now)}
	}
	return b.lines(id, t, at.User, f.Messages, where == late, now)
}

// storedRecord handles a record of stored messages.
func (b *book) storedRecord(at chat.Address, data []byte, now time.Time) []entry {
	var p chat.StoredMessages
	if err := json.Unmarshal(data, &p); err != nil {
		return []entry{unreadable("record of stored messages", "stored", 0, data, now)}
	}
	return b.stored(at, p.Messages, now)
}

// stored returns the lines of messages that a member has stored and that the coordinator has checked.
func (b *book) stored(at chat.Address, messages []chat.Message, now time.Time) []entry {
	return b.lines(at.Session, b.talk(at.Session), at.User, messages, false, now)
}

// lines returns the lines of messages that came together, without those that were shown before.
// Messages that may have come too late for everybody are marked, and so is another text with a number
// that was shown: members have read one or the other. Neither is counted.
func (b *book) lines(id string, t *talk, u chat.User, messages []chat.Message, late bool, now time.Time) (entries []entry) {
	s, from := t.member(u), b.nameOf(u)
	line := func(mark string, said []chat.Message) {
		if s.others == nil {
			s.others = t.others(from)
		}
		entries = append(entries, entry{
			at: now, kind: "message", event: "message",
			head: short(id) + " " + string(from) + mark + ": ", said: said,
			session: short(id), from: from, to: s.others, outside: late,
		})
	}
	var again []chat.Message
	fresh := messages[:0]
	for _, m := range messages {
		sum := maphash.String(b.seed, m.Text)
		switch first := s.mark(m.N, !t.whole, now); {
		case s.knows(m.N, sum):
			continue
		case first || late:
			fresh = append(fresh, m)
		default:
			again = append(again, m)
		}
		s.remember(m.N, sum)
	}
	if s.lacks() && !b.shared {
		b.lacking[id] = true
	}
	switch {
	case len(fresh) == 0:
	case late:
		line(" (not a member)", fresh)
	default:
		line("", fresh)
		t.shown += len(fresh)
		b.shown += len(fresh)
	}
	for _, m := range again {
		line(fmt.Sprintf(" (number %d again)", m.N), []chat.Message{m})
	}
	return entries
}

// due returns the lines that are due.
func (b *book) due(now time.Time) []entry {
	var entries []entry
	for id := range b.lacking {
		entries = append(entries, b.gaps(id, b.talks[id], now, false)...)
	}
	return append(entries, b.directs.due(b, now)...)
}

// gaps returns the lines about messages of a session that have been missing for a while, or about all
// missing ones.
func (b *book) gaps(id string, t *talk, now time.Time, all bool) []entry {
	delete(b.lacking, id)
	if t == nil {
		return nil
	}
	var entries []entry
	for u, s := range t.members {
		for _, m := range s.overdue(now, all) {
			entries = append(entries, gap(short(id), b.nameOf(u), m, now))
		}
		if s.lacks() {
			b.lacking[id] = true
		}
	}
	return entries
}

// gap returns the line for missing numbers: the sender may have skipped them, or they were lost on
// the way to this console.
func gap(session string, from chat.Name, m span, now time.Time) entry {
	text := fmt.Sprintf("numbers %d to %d of %s in session %s have not come by", m.first, m.last, from, session)
	if m.first == m.last {
		text = fmt.Sprintf("number %d of %s in session %s has not come by", m.first, from, session)
	}
	return entry{at: now, kind: "server", event: "console.gap", head: text, session: session, from: from, count: int(min(m.last-m.first+1, 1<<53))}
}

// doubt notes that unknown messages were missed: what is known of sessions may be out of date, and
// missing numbers were reported.
func (b *book) doubt() {
	b.missed = true
	clear(b.lacking)
	for _, t := range b.talks {
		t.whole, t.known, t.checked = false, false, time.Time{}
		for _, s := range t.members {
			s.doubt()
		}
	}
}

// learn remembers a name as it is typed.
func (b *book) learn(n chat.Name) {
	if _, err := chat.ParseName(string(n)); err != nil {
		return
	}
	if len(b.names) >= maxNames {
		clear(b.names)
	}
	b.names[n.User()] = n
}

// nameOf returns a user's name as it is shown.
func (b *book) nameOf(u chat.User) chat.Name {
	if n, ok := b.names[u]; ok {
		return n
	}
	return chat.Name(u)
}

// short returns the part of a session's id that people see.
func short(id string) string { return chat.CleanLine(chat.Session{ID: id}.Short()) }
