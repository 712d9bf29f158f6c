package chat

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is how far a session has come. It only goes forward.
type State string

// The states.
const (
	Proposed State = "proposed" // an invitation, seen from a guest
	Open     State = "open"
	Closed   State = "closed"
)

// Class is who can read a session.
type Class string

// The classes.
const (
	Transparent Class = "transparent" // shown on the coordinator's console
	SealedClass Class = "sealed"      // end-to-end encrypted
)

// Reason is why a session is closed, or why a member is no longer in it.
type Reason string

// The reasons. The first four end an invitation, the others a session.
const (
	ByDeny     Reason = "denied"
	ByExpiry   Reason = "expired"
	ByWithdraw Reason = "withdrawn"
	ByGone     Reason = "gone" // a guest became busy or left before the chat began

	ByQuit     Reason = "quit"
	ByBye      Reason = "bye"
	ByLeave    Reason = "left"
	ByLoss     Reason = "lost"    // did not come back within the grace time
	ByOperator Reason = "removed" // signed out by the operator

	// ByUnknown is of invitations and chats whose end was not seen and that nobody knows of
	// afterwards: for clients; no coordinator says it.
	ByUnknown Reason = "unknown"
)

// Session is one conversation from proposal to end: the record that is stored and
// the one that its members see. Proposed, it is an invitation.
type Session struct {
	ID      string        `json:"id"` // 128 random bits in hex; people see the first six characters
	State   State         `json:"state"`
	Host    User          `json:"host"`
	Members []Member      `json:"members"` // the host first, then the guests as invited
	Class   Class         `json:"class"`
	Epoch   int           `json:"epoch,omitempty"`   // grows when a member leaves: a new channel that the leaver cannot read
	Timeout time.Duration `json:"timeout,omitempty"` // of the proposal
	At      time.Time     `json:"at"`                // when it was proposed, then when it was opened: for people only
	Reason  Reason        `json:"reason,omitempty"`  // Closed: why
	By      []User        `json:"by,omitempty"`      // Closed: who caused it; expired: who did not answer
}

// AwayTooLong reports whether a session has ended because a user did not come back in time.
func (s Session) AwayTooLong(u User) bool {
	return s.State == Closed && s.Reason == ByLoss && slices.Contains(s.By, u)
}

// Member is a user in a session, or one who is asked to be.
type Member struct {
	Name        Name   `json:"name"`
	Accepted    bool   `json:"accepted,omitempty"`
	Left        Reason `json:"left,omitempty"`        // no longer in it, and why
	Incarnation int    `json:"incarnation,omitempty"` // how often the member's program has been started again
	Lost        bool   `json:"lost,omitempty"`        // only as seen by members: the connection is lost, the grace time runs
}

// User returns the member's user.
func (m Member) User() User { return m.Name.User() }

// NewSessionID draws an id.
func NewSessionID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// A member's messages are counted from 1. A program that was started anew cannot know how
// far it had come, and whom to believe: so each incarnation has numbers of its own.
const (
	incarnationBits = 40
	MaxIncarnation  = 1<<(53-incarnationBits) - 1
	MaxMessage      = 1 << 53 // the highest number of a message: what JSON has exactly in every language
)

// FirstOf is the number before the first message of a member's incarnation.
func FirstOf(incarnation int) uint64 { return uint64(incarnation) << incarnationBits }

// IncarnationOf is the incarnation that a message's number belongs to.
func IncarnationOf(n uint64) int { return int(n >> incarnationBits) }

// Short is the part of the id that people see.
func (s Session) Short() string { return s.ID[:min(6, len(s.ID))] }

// Group reports whether more than one was invited.
func (s Session) Group() bool { return len(s.Members) > 2 }

// Channel is the token that stands for the session in its members' subjects: the
// id, and from the second epoch on its number.
func (s Session) Channel() string {
	if s.Epoch == 0 {
		return s.ID
	}
	return s.ID + "-" + strconv.Itoa(s.Epoch)
}

// Watched returns who can speak and be heard in the session.
func (s Session) Watched() WatchReply {
	if s.State != Open {
		return WatchReply{}
	}
	w := WatchReply{Channel: s.Channel()}
	for _, m := range s.Present() {
		w.Users = append(w.Users, m.Name)
	}
	return w
}

// SessionOf is the id of the session that a channel belongs to.
func SessionOf(channel string) string {
	id, _, _ := strings.Cut(channel, "-")
	return id
}

// Member finds a member who has not left.
func (s Session) Member(u User) (Member, bool) {
	for _, m := range s.Members {
		if m.User() == u && m.Left == "" {
			return m, true
		}
	}
	return Member{}, false
}

// Present returns the members who have not left, the host first.
func (s Session) Present() []Member {
	var in []Member
	for _, m := range s.Members {
		if m.Left == "" {
			in = append(in, m)
		}
	}
	return in
}

// Others returns the names of the members who have not left, without u.
func (s Session) Others(u User) []Name {
	var names []Name
	for _, m := range s.Members {
		if m.Left == "" && m.User() != u {
			names = append(names, m.Name)
		}
	}
	return names
}

// NameOf returns the name of a user who is or was in the session.
func (s Session) NameOf(u User) Name {
	for _, m := range s.Members {
		if m.User() == u {
			return m.Name
		}
	}
	return Name(u)
}

// Guests returns the names of those who were invited.
func (s Session) Guests() []Name {
	var names []Name
	for _, m := range s.Members[min(1, len(s.Members)):] {
		names = append(names, m.Name)
	}
	return names
}
