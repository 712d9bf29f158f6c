package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"natter/chat"
)

// stand is a book and a clock.
type stand struct {
	*book
	at time.Time
}

func newStand() *stand {
	return &stand{newBook(Config{Show: ShowAll}), time.Unix(1000, 0)}
}

func (s *stand) feeds(subject string, v any) string {
	data, _ := json.Marshal(v)
	return s.reads(subject, data)
}

func (s *stand) reads(subject string, data []byte) string {
	text := textOf(s.feed(subject, data, s.at))
	return strings.ReplaceAll(text, s.at.UTC().Format("15:04:05.000 "), "")
}

func (s *stand) hears(event, channel string, users ...chat.Name) string {
	return s.feeds("chat.audit.action", chat.Audit{Event: event, Text: event, Session: sid, Channel: channel, Users: users, Time: s.at})
}

func (s *stand) says(channel string, u chat.User, n uint64, text string) string {
	return s.reads(chat.Said.Subject(chat.Address{User: u, Session: channel}), frame(n, text))
}

func (s *stand) stores(u chat.User, ns ...uint64) string {
	var p chat.StoredMessages
	for _, n := range ns {
		p.Messages = append(p.Messages, chat.Message{N: n, Text: fmt.Sprint("text ", n)})
	}
	return s.feeds(chat.Stored.Subject(chat.Address{User: u, Session: sid}), p)
}

func is(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%swant\n%s", what, got, want)
	}
}

// Only who can be heard is shown and counted: members, on the present channel.
func TestNotAMember(t *testing.T) {
	s := newStand()
	s.hears("session.start", sid, "alice", "bob", "carol", "dave")
	is(t, "a member", s.says(sid, "carol", 1, "one"), "MESSAGE  7f3a9c carol: one\n")
	s.hears("session.member", sid+"-1", "alice", "bob", "dave")
	is(t, "a moment after leaving", s.says(sid, "carol", 2, "two"), "MESSAGE  7f3a9c carol (not a member): two\n")
	is(t, "the same again", s.says(sid, "carol", 2, "two"), "")
	is(t, "a member who has not changed the channel yet", s.says(sid, "bob", 1, "hi"), "MESSAGE  7f3a9c bob: hi\n")
	is(t, "and said again where others are", s.says(sid+"-1", "bob", 1, "hi"), "")
	s.at = s.at.Add(lateTime)
	is(t, "an old ticket", s.says(sid, "carol", 3, "three"), "REFUSED  7f3a9c carol: not a member, 1 message of 16 bytes not shown\n")
	is(t, "nobody ever", s.says(sid+"-1", "mallory", 1, "x"), "REFUSED  7f3a9c mallory: not a member, 1 message of 12 bytes not shown\n")
	s.at = s.at.Add(moveTime)
	is(t, "a former epoch", s.says(sid, "bob", 2, "x"), "REFUSED  7f3a9c bob: not a member, 1 message of 12 bytes not shown\n")
	is(t, "the present one", s.says(sid+"-1", "bob", 2, "x"), "MESSAGE  7f3a9c bob: x\n")
	is(t, "what is counted", s.hears("session.end", "", "alice", "bob", "dave"), "ACTION   session.end, 3 messages\n")
	is(t, "on its way at the end", s.says(sid+"-1", "dave", 1, "x"), "MESSAGE  7f3a9c dave (not a member): x\n")
	s.at = s.at.Add(lateTime)
	is(t, "after the end", s.says(sid+"-1", "bob", 3, "x"), "REFUSED  7f3a9c bob: not a member, 1 message of 12 bytes not shown\n")
	is(t, "in all", s.feeds("chat.audit.server", chat.Audit{Event: "server.stopped", Text: "stopped", Time: s.at}), "SERVER   stopped, 3 messages\n")
}

// Of a session whose beginning it did not see, a console asks, and says nothing as long as it
// is not told.
func TestAskedForMembers(t *testing.T) {
	s := newStand()
	is(t, "nobody to ask", s.says(sid, "bob", 3, "x"), "MESSAGE  7f3a9c bob: x\n")
	asked, answer, ok := 0, chat.WatchReply{}, false
	s.ask = func(id string) (chat.WatchReply, bool) {
		asked++
		return answer, ok
	}
	is(t, "no answer", s.says(sid, "bob", 4, "x"), "MESSAGE  7f3a9c bob: x\n")
	s.says(sid, "bob", 5, "x")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	s.at = s.at.Add(askAgain)
	answer, ok = chat.WatchReply{Channel: sid + "-2", Users: []chat.Name{"alice", "Bob"}}, true
	is(t, "on its way when the answer came", s.says(sid, "bob", 6, "x"), "MESSAGE  7f3a9c bob (not a member): x\n")
	s.at = s.at.Add(lateTime)
	is(t, "a former epoch", s.says(sid, "bob", 7, "x"), "REFUSED  7f3a9c bob: not a member, 1 message of 12 bytes not shown\n")
	is(t, "a member", s.says(sid+"-2", "alice", 1, "x"), "MESSAGE  7f3a9c alice: x\n")
	answer = chat.WatchReply{Channel: sid + "-3", Users: []chat.Name{"alice", "Bob"}}
	s.at = s.at.Add(askAgain)
	is(t, "a record was missed", s.says(sid+"-3", "bob", 7, "x"), "MESSAGE  7f3a9c bob: x\n")
	answer = chat.WatchReply{}
	s.doubt()
	s.at = s.at.Add(lateTime)
	s.says(sid+"-3", "bob", 8, "x")
	s.at = s.at.Add(lateTime)
	is(t, "its end was missed", s.says(sid+"-3", "bob", 9, "x"), "REFUSED  7f3a9c bob: not a member, 1 message of 12 bytes not shown\n")
}

// What goes to others through the store is shown once, whichever way it goes besides.
func TestStored(t *testing.T) {
	s := newStand()
	s.hears("session.start", sid, "alice", "bob")
	s.says(sid, "alice", 1, "text 1")
	is(t, "stored", s.stores("alice", 1, 2, 3), "MESSAGE  7f3a9c alice: text 2\nMESSAGE  7f3a9c alice: text 3\n")
	is(t, "stored for somebody else as well", s.stores("alice", 2, 3), "")
	is(t, "and sent", s.says(sid, "alice", 3, "text 3")+s.says(sid, "alice", 4, "text 4"), "MESSAGE  7f3a9c alice: text 4\n")
	is(t, "the end", s.hears("session.end", ""), "ACTION   session.end, 4 messages\n")
	is(t, "stored at the end", s.stores("alice", 5), "MESSAGE  7f3a9c alice: text 5\n")
}

// Whoever uses a number for two texts may have one member read the one and another the other:
// both are shown, once each, and one of them is counted.
func TestNumberUsedTwice(t *testing.T) {
	s := newStand()
	s.hears("session.start", sid, "alice", "bob")
	is(t, "stored", s.stores("alice", 1), "MESSAGE  7f3a9c alice: text 1\n")
	is(t, "another text", s.says(sid, "alice", 1, "secret"), "MESSAGE  7f3a9c alice (number 1 again): secret\n")
	is(t, "that again", s.says(sid, "alice", 1, "secret"), "")
	for n := range uint64(maxTexts - 2) {
		s.says(sid, "alice", n+2, "x")
	}
	is(t, "the same after many others", s.says(sid, "alice", 1, "secret"), "")
	for n := range uint64(2 * maxTexts) {
		s.says(sid, "alice", maxTexts+n, "x")
	}
	is(t, "after more than are remembered", s.says(sid, "alice", 1, "secret"), "MESSAGE  7f3a9c alice (number 1 again): secret\n")
	is(t, "the end", s.hears("session.end", ""), fmt.Sprintf("ACTION   session.end, %d messages\n", 3*maxTexts-1))
	direct := chat.Direct.Subject(chat.Address{User: "bob", To: "carol"})
	is(t, "direct", s.feeds(direct, chat.DirectMessage{N: 1, Incarnation: "r", Text: "one"}), "MESSAGE  bob -> carol (direct): one\n")
	is(t, "another text", s.feeds(direct, chat.DirectMessage{N: 1, Incarnation: "r", Text: "two"}), "MESSAGE  bob -> carol (direct, number 1 again): two\n")
	is(t, "both again", s.feeds(direct, chat.DirectMessage{N: 1, Incarnation: "r", Text: "one"})+s.feeds(direct, chat.DirectMessage{N: 1, Incarnation: "r", Text: "two"}), "")
}

// A direct message that was not shown because there were too many is shown when it comes again:
// its receiver takes it then.
func TestDirectAfterAFlood(t *testing.T) {
	s := newStand()
	direct := chat.Direct.Subject(chat.Address{User: "bob", To: "carol"})
	last := ""
	for n := uint64(1); !strings.HasPrefix(last, "REFUSED"); n++ {
		last = s.feeds(direct, chat.DirectMessage{N: n, Incarnation: "r", Text: "x"})
	}
	first := chat.DirectMessage{N: 10_000, Incarnation: "r", Text: "y"}
	is(t, "too many", s.feeds(direct, first), "REFUSED  bob: more than 50 direct messages a second, 1 not shown\n")
	s.at = s.at.Add(time.Second)
	is(t, "again", s.feeds(direct, first), "MESSAGE  bob -> carol (direct): y\n")
}

// Messages longer than members take reach nobody.
func TestTooLong(t *testing.T) {
	s := newStand()
	s.maxText = 10
	is(t, "too long", s.says(sid, "bob", 1, "hello, world"), "REFUSED  message in 7f3a9c from bob is longer than 10 bytes, 24 bytes\n")
	direct := chat.Direct.Subject(chat.Address{User: "bob", To: "carol"})
	is(t, "direct", s.feeds(direct, chat.DirectMessage{N: 1, Text: "hello, world"}), "REFUSED  direct message from bob is longer than 10 bytes, 29 bytes\n")
}

// A direct message counts when it has been acknowledged; one that is not is told.
func TestDirectMessages(t *testing.T) {
	s := newStand()
	say := func(from, to chat.User, m chat.DirectMessage) string {
		data, _ := json.Marshal(m)
		entries := s.feed(chat.Direct.Subject(chat.Address{User: from, To: to}), data, s.at)
		for _, e := range entries {
			if e.direct != nil {
				s.directs.await(*e.direct, s.at)
			}
		}
		return strings.ReplaceAll(textOf(entries), s.at.UTC().Format("15:04:05.000 "), "")
	}
	is(t, "a question", say("bob", "carol", chat.DirectMessage{Ask: 1, Incarnation: "r"}), "")
	is(t, "shown", say("bob", "carol", chat.DirectMessage{N: 1, Incarnation: "r", Text: "one"}), "MESSAGE  bob -> carol (direct): one\n")
	is(t, "again", say("bob", "carol", chat.DirectMessage{N: 1, Incarnation: "r", Text: "one"}), "")
	say("bob", "carol", chat.DirectMessage{N: 2, Incarnation: "r", Text: "two"})
	say("mallory", "bob", chat.DirectMessage{Ack: 2, Incarnation: "r"})
	say("carol", "bob", chat.DirectMessage{Ack: 1, Incarnation: "r"})
	say("carol", "bob", chat.DirectMessage{Ack: 2, Incarnation: "another"})
	if s.at = s.at.Add(ackTime - 1); len(s.due(s.at)) > 0 {
		t.Error("told too early")
	}
	s.at = s.at.Add(1)
	got := strings.ReplaceAll(textOf(s.due(s.at)), s.at.UTC().Format("15:04:05.000 "), "")
	is(t, "not acknowledged", got, "SERVER   1 direct message from bob to carol: not acknowledged within 3 s, so it may not have been shown there\n")
	is(t, "in the end", s.feeds("chat.audit.server", chat.Audit{Event: "server.stopped", Text: "stopped", Time: s.at}), "SERVER   stopped, 1 message\n")
	lines := 0
	for n := range uint64(10_000) {
		if got := say("mallory", chat.User(fmt.Sprintf("x%d", n)), chat.DirectMessage{N: n + 1, Text: "x"}); strings.HasPrefix(got, "MESSAGE") {
			lines++
		} else {
			is(t, "a flood", got, "REFUSED  mallory: more than 50 direct messages a second, 1 not shown\n")
		}
	}
	if lines != 500 {
		t.Errorf("%d lines", lines)
	}
}

// What a client can cause as often as it likes is one line in ten seconds.
func TestCoalescing(t *testing.T) {
	c, at := coalescer{}, time.Unix(1000, 0)
	b := newBook(Config{Show: ShowAll})
	pass := func(u chat.User, text string) string {
		var all []entry
		for _, e := range b.feed(chat.Said.Subject(chat.Address{User: u, Session: sid}), []byte(text), at) {
			all = append(all, c.pass(e, at)...)
		}
		return shownText(all)
	}
	is(t, "the first", pass("bob", "12345"), "REFUSED  message in 7f3a9c from bob is unreadable, 5 bytes\n")
	for range 100_000 {
		is(t, "another", pass("bob", "1"), "")
	}
	is(t, "another sender", pass("carol", "1"), "REFUSED  message in 7f3a9c from carol is unreadable, 1 byte\n")
	is(t, "a message", pass("bob", string(frame(1, "x"))), "MESSAGE  7f3a9c bob: x\n")
	is(t, "too early", shownText(c.due(at.Add(coalesceFor-1), false)), "")
	is(t, "in time", shownText(c.due(at.Add(coalesceFor), false)), "REFUSED  message in 7f3a9c from bob: 100000 are unreadable, 100000 bytes together\n")
	is(t, "nothing more", shownText(c.due(at.Add(3*coalesceFor), false)), "")
	if len(c) != 0 {
		t.Errorf("%d kinds are remembered", len(c))
	}
	pass("bob", "1")
	pass("bob", "1")
	is(t, "at the end", shownText(c.due(at, true)), "REFUSED  message in 7f3a9c from bob is unreadable, 1 byte\n")
	for n := range 3 * maxKinds {
		pass(chat.User(fmt.Sprintf("u%d", n)), "1")
	}
	if len(c) > maxKinds {
		t.Errorf("%d kinds", len(c))
	}
}

func shownText(entries []entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(string(appendText(nil, e, time.UTC, false)[len("00:00:00.000 "):]))
	}
	return b.String()
}
