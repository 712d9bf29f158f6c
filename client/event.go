package client

import (
	"time"

	"natter/chat"
	"natter/session"
)

// Event is something that a user should hear: one of the types of this file. Events come in the
// order in which they happened. Texts and names that others wrote are as they were sent: pass
// them through chat.Clean before they are shown.
//
// As JSON an event has the keys of its type, durations in nanoseconds, and no key for an error
// that is not a *chat.Error: that is for logs.
type Event any

// What happens to sessions; Session in them is the record afterwards.
type (
	Invited         = session.Invited
	InvitationEnded = session.InvitationEnded
	Accepted        = session.Accepted
	Opened          = session.Opened
	MemberLeft      = session.MemberLeft
	MemberLost      = session.MemberLost
	MemberBack      = session.MemberBack
	Ended           = session.Ended
)

// What members say in the open session, and what becomes of what the user says.
type (
	Texts         = session.Texts
	Bye           = session.Bye
	StoredLost    = session.StoredLost
	NotDelivered  = session.NotDelivered
	MessageWaits  = session.MessageWaits
	MessageStored = session.MessageStored
	Sent          = session.Sent // with Config.Sent
	Slowed        = session.Slowed
	TooFast       = session.TooFast
)

// DirectText is a direct message.
type DirectText struct {
	From chat.Name `json:"from"`
	Text string    `json:"text"`
}

// DirectTooFast means that a user's client sends direct messages faster than the coordinator allows:
// some were not accepted. It is told once a minute.
type DirectTooFast struct {
	From chat.Name `json:"from"`
}

// InvitationsHeld means that the coordinator has held invitations back, because too many came at
// once.
type InvitationsHeld struct {
	N int `json:"n"` // since the last one of these
}

// PresenceChanged comes after Watch.
type PresenceChanged struct{ chat.PresenceNotice }

// Lost means that the connection to the server was lost; it is tried again for ever.
type Lost struct {
	Server string `json:"server"` // as Client.Server has it
	Err    error  `json:"-"`      // for a log; nil if nobody has said why
}

// Unsafe means that a lost connection does not come back because it would not be safe. It is sent
// once for each loss; the connection is still tried again.
type Unsafe struct {
	Err error `json:"error"` // a *chat.Error
}

// Connected means that the connection is back. Missed session events come after it.
type Connected struct {
	Server string        `json:"server"` // as Client.Server has it
	After  time.Duration `json:"after"`  // that it was away, as far as is known
	// Forgotten: the connection was up, and After is 0. The coordinator did not know the user.
	Forgotten bool `json:"forgotten,omitempty"`
	Moved     bool `json:"moved,omitempty"` // the server has other data than before: whatever was open has ended
	Sent      int  `json:"sent,omitempty"`  // messages that waited and are sent now
	// Chat is the session that was open before, as it is now; nil if there was none, or if its
	// end is told later.
	Chat *chat.Session `json:"chat,omitempty"`
}

// CoordinatorAway and CoordinatorBack mean that the coordinator does not answer although the broker
// does, and that it answers again.
type (
	CoordinatorAway struct{}
	CoordinatorBack struct{}
)

// Stopping means that the server is about to restart.
type Stopping struct{}

// SignedOut is the end: the server no longer wants this user, or not on this
// terminal.
type SignedOut struct {
	Reason    string `json:"reason,omitempty"`    // a sentence
	Elsewhere bool   `json:"elsewhere,omitempty"` // the user has signed in on another terminal
	Operator  bool   `json:"operator,omitempty"`  // by the operator; otherwise Reason is what the server has said
}

// TranscriptFailed is sent once for each file that cannot be written.
type TranscriptFailed struct {
	Err error `json:"-"` // for a log
}
