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

// DirectTooFast is somebody whose client sends direct messages faster than the
// coordinator wants: some were not taken. It is told once a minute.
type DirectTooFast struct {
	From chat.Name `json:"from"`
}

// InvitationsHeld are invitations that the coordinator has kept from the user, because too
// many came at once.
type InvitationsHeld struct {
	N int `json:"n"` // since the last one of these
}

// PresenceChanged comes after Watch.
type PresenceChanged struct{ chat.PresenceNotice }

// Lost is the connection to the server going away; it is tried again for ever.
type Lost struct {
	Server string `json:"server"` // as Client.Server has it
	Err    error  `json:"-"`      // for a log; nil if nobody has said why
}

// Unsafe is why a lost connection does not come back, if it would not be safe: once for each
// loss. It is tried again all the same.
type Unsafe struct {
	Err error `json:"error"` // a *chat.Error
}

// Connected is the connection coming back. The session events that were missed
// meanwhile come after it.
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

// CoordinatorAway and CoordinatorBack tell that requests wait while the broker answers.
type (
	CoordinatorAway struct{}
	CoordinatorBack struct{}
)

// Stopping is the server saying that it restarts.
type Stopping struct{}

// SignedOut is the end: the server does not want this user any more, or not on this
// terminal.
type SignedOut struct {
	Reason    string `json:"reason,omitempty"`    // a sentence
	Elsewhere bool   `json:"elsewhere,omitempty"` // the user has signed in on another terminal
	Operator  bool   `json:"operator,omitempty"`  // it was the operator's doing; otherwise Reason is what the server has said
}

// TranscriptFailed is told once per file that cannot be written.
type TranscriptFailed struct {
	Err error `json:"-"` // for a log
}
