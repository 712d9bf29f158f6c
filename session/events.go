package session

import (
	"slices"

	"natter/chat"
)

// Event is something that happened to a session, as one of its members should
// hear it. Events are derived from two states of the record (see Diff), and each
// carries the later of the two: after a jump, the session of an Opened may be
// closed already.
type Event interface{ isEvent() }

// Invited: the listener is asked to join.
type Invited struct {
	Session chat.Session `json:"session"`
}

// Accepted: somebody else accepted; Count of Of guests have by now. When that was
// the last one, Opened follows.
type Accepted struct {
	Session chat.Session `json:"session"`
	By      chat.Name    `json:"by"`
	Count   int          `json:"count"`
	Of      int          `json:"of"`
}

// InvitationEnded: a proposal closed before the chat began. Session.Reason says
// why and Session.By whose doing it was.
type InvitationEnded struct {
	Session chat.Session `json:"session"`
}

// Opened: the chat has begun.
type Opened struct {
	Session chat.Session `json:"session"`
}

// MemberLeft: a member left. If that was the end, Ended follows; otherwise the
// others go on. A member who leaves hears it of themselves, and nothing after it
// but the Ended that it caused.
type MemberLeft struct {
	Session chat.Session `json:"session"`
	Name    chat.Name    `json:"name"`
	Reason  chat.Reason  `json:"reason"` // ByLeave, ByLoss or ByOperator
}

// MemberLost: a member's connection is lost; the grace time runs.
type MemberLost struct {
	Session chat.Session `json:"session"`
	Name    chat.Name    `json:"name"`
}

// MemberBack: a lost member is back.
type MemberBack struct {
	Session chat.Session `json:"session"`
	Name    chat.Name    `json:"name"`
}

// Ended: the chat is over for everybody. Session.Reason says why and Session.By
// whose doing it was.
type Ended struct {
	Session chat.Session `json:"session"`
}

// Texts is what a member said: one message or several, in order.
type Texts struct {
	Session  string         `json:"session"` // id
	From     chat.Name      `json:"from"`
	Messages []chat.Message `json:"messages"` // as they were sent: clean the texts before they are shown
}

// Bye is a member who says bye, or takes it back. When everybody has said it, the
// session ends by itself.
type Bye struct {
	Session string    `json:"session"`
	From    chat.Name `json:"from"`
	Back    bool      `json:"back,omitempty"` // taken back
}

// StoredLost means that messages which a member had stored in the user's mailbox are lost: the
// server's state was damaged.
type StoredLost struct {
	Session string    `json:"session"`
	From    chat.Name `json:"from"`
}

// NotDelivered is a message that not everybody has acknowledged before the session ended,
// or for quite a while.
type NotDelivered struct {
	Session string `json:"session"`
	Text    string `json:"text"`
	Kept    bool   `json:"kept,omitempty"`    // it may arrive yet: it is tried again
	Unknown bool   `json:"unknown,omitempty"` // it may have arrived: only the acknowledgement is missing
}

// MessageWaits means that messages of the user have been neither received by a connected member nor
// stored for a moment. It is sent once, until everything has arrived.
type MessageWaits struct {
	Session string      `json:"session"`
	For     []chat.Name `json:"for"`               // who has not received it
	Offline bool        `json:"offline,omitempty"` // because the listener's connection is down: that of the talk or, from a client, the user's
}

// MessageStored means that messages of the user are stored on the server for members who cannot
// receive them now. It is sent once, until they have them.
type MessageStored struct {
	Session string      `json:"session"`
	For     []chat.Name `json:"for"`
}

// Slowed means that the user writes faster than the coordinator allows. It is sent once.
type Slowed struct {
	Session string `json:"session"`
	Rate    int    `json:"rate"` // messages a second
}

// TooFast is a member whose client exceeds the rate: some of their messages are accepted only later.
type TooFast struct {
	Session string    `json:"session"`
	From    chat.Name `json:"from"`
}

// Sent reports the state of a message of the user.
type Sent struct {
	Session string    `json:"session"`
	N       uint64    `json:"n"`
	State   SentState `json:"state"`
	Text    string    `json:"text"`
}

// SentState is the state of a message.
type SentState string

// The states. A stored message arrives when its receivers come back.
const (
	Sending   SentState = "sending"
	Stored    SentState = "stored"
	Delivered SentState = "delivered" // everybody who is still in the session has it
	Failed    SentState = "failed"    // the session has ended first, and somebody did not get it
	Unknown   SentState = "unknown"   // the session has ended first, and somebody may have got it or not
)

func (MessageWaits) isEvent()    {}
func (MessageStored) isEvent()   {}
func (Slowed) isEvent()          {}
func (TooFast) isEvent()         {}
func (Texts) isEvent()           {}
func (Bye) isEvent()             {}
func (Sent) isEvent()            {}
func (NotDelivered) isEvent()    {}
func (StoredLost) isEvent()      {}
func (Invited) isEvent()         {}
func (Accepted) isEvent()        {}
func (InvitationEnded) isEvent() {}
func (Opened) isEvent()          {}
func (MemberLeft) isEvent()      {}
func (MemberLost) isEvent()      {}
func (MemberBack) isEvent()      {}
func (Ended) isEvent()           {}

// Diff returns the events between two states of a session, for the user me. The states need not
// follow each other: events in between are returned as far as the later one shows them. Before is
// the zero Session if me did not know it; then a session that is over has no events. A state that is
// not newer has no events.
func Diff(me chat.User, before, after chat.Session) []Event {
	unknown := before.State == ""
	switch {
	case age(after) < age(before) || after.Epoch < before.Epoch:
		return nil // an old notice
	case before.State == chat.Closed || unknown && after.State == chat.Closed:
		return nil
	case !involved(me, before, after):
		return nil
	}
	return slices.Concat(
		asked(me, before, after),
		accepts(me, before, after),
		opening(before, after),
		leavers(me, before, after),
		connections(me, before, after),
		ending(me, before, after),
	)
}

// age orders the states.
func age(s chat.Session) int {
	return slices.Index([]chat.State{chat.Proposed, chat.Open, chat.Closed}, s.State)
}

// involved reports whether what happened concerns me: a member, unless they had left
// before it begins.
func involved(me chat.User, before, after chat.Session) bool {
	if before.State != "" {
		_, in := before.Member(me)
		return in
	}
	_, in := after.Member(me)
	return in
}

func asked(me chat.User, before, after chat.Session) []Event {
	m, _ := after.Member(me)
	if before.State == "" && after.State == chat.Proposed && !m.Accepted {
		return []Event{Invited{after}}
	}
	return nil
}

// accepts returns an event for every other guest who has accepted. Their order is not recorded; the
// last count is right in any case.
func accepts(me chat.User, before, after chat.Session) []Event {
	if before.State != chat.Proposed && after.State != chat.Proposed {
		return nil // a user who comes back to a chat is not told how it began
	}
	var events []Event
	count := 0
	guests := after.Members[min(1, len(after.Members)):]
	var by []chat.Name
	for i, m := range guests {
		was, _ := memberBefore(before, i+1, m)
		switch {
		case m.Accepted && !was.Accepted && m.User() != me:
			by = append(by, m.Name)
		case m.Accepted:
			count++
		}
	}
	for _, name := range by {
		count++
		events = append(events, Accepted{Session: after, By: name, Count: count, Of: len(guests)})
	}
	return events
}

// memberBefore finds the i-th member of a later state in an earlier one, where they are
// nearly always in the same place, which saves a search through a large group for each.
func memberBefore(before chat.Session, i int, m chat.Member) (chat.Member, bool) {
	if i < len(before.Members) && before.Members[i].Name == m.Name && before.Members[i].Left == "" {
		return before.Members[i], true
	}
	return before.Member(m.User())
}

func opening(before, after chat.Session) []Event {
	if before.State != chat.Open && Begun(after) {
		return []Event{Opened{after}}
	}
	return nil
}

// leavers returns who has left, or only that me has.
func leavers(me chat.User, before, after chat.Session) []Event {
	if before.State == "" {
		return nil // Opened shows who is in it
	}
	var events []Event
	for i, m := range after.Members {
		if _, was := memberBefore(before, i, m); !was || m.Left == "" {
			continue
		}
		event := MemberLeft{Session: after, Name: m.Name, Reason: m.Left}
		if m.User() == me {
			return []Event{event}
		}
		events = append(events, event)
	}
	if hasLeft(after, me) || !leaves(after.Reason) {
		return events
	}
	for _, u := range after.By {
		events = append(events, MemberLeft{Session: after, Name: after.NameOf(u), Reason: after.Reason})
	}
	return events
}

// connections returns whose connection was lost or has come back, in an open session.
func connections(me chat.User, before, after chat.Session) []Event {
	if after.State != chat.Open || hasLeft(after, me) {
		return nil
	}
	var events []Event
	for i, m := range after.Members {
		was, _ := memberBefore(before, i, m)
		lost := was.Lost && before.State == chat.Open
		switch {
		case m.Left != "" || m.Lost == lost || m.User() == me:
		case m.Lost:
			events = append(events, MemberLost{Session: after, Name: m.Name})
		default:
			events = append(events, MemberBack{Session: after, Name: m.Name})
		}
	}
	return events
}

func ending(me chat.User, before, after chat.Session) []Event {
	switch {
	case after.State != chat.Closed || hasLeft(after, me):
		return nil
	case Begun(after), before.State == chat.Open:
		return []Event{Ended{after}}
	}
	return []Event{InvitationEnded{after}}
}

func hasLeft(s chat.Session, u chat.User) bool {
	_, in := s.Member(u)
	return !in
}
