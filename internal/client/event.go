package client

import (
	"time"

	"natter/chat"
	"natter/session"
)

// Event is something that a user should hear: one of the types of this file, or a
// session.Event. Events come in the order in which they happened.
type Event any

// What members say in the open session.
type (
	Texts         = session.Texts
	Bye           = session.Bye
	NotDelivered  = session.NotDelivered
	StoredLost    = session.StoredLost
	Sent          = session.Sent
	MessageWaits  = session.MessageWaits
	MessageStored = session.MessageStored
)

// DirectText is a direct message.
type DirectText struct {
	From chat.Name
	Text string
}

// InvitationsHeld are invitations that the coordinator has kept from the user, because too
// many came at once.
type InvitationsHeld struct{ N int }

// DirectTooFast is somebody whose client sends direct messages faster than the
// coordinator wants: some were not taken.
type DirectTooFast struct{ From chat.Name }

// Lost is the connection to the server going away; it is tried again for ever.
type Lost struct {
	Server string
	Err    error
}

// Unsafe is why a lost connection does not come back, if it would not be safe: once for each
// loss. It is tried again all the same.
type Unsafe struct{ Err error } // a *chat.Error

// Connected is the connection coming back. The session events that were missed
// meanwhile come after it.
type Connected struct {
	Server string
	After  time.Duration // that it was away, as far as is known
	// Forgotten: the connection was up, and After is 0. The coordinator did not know the user.
	Forgotten bool
	Moved     bool          // the server has other data than before: whatever was open has ended
	Sent      int           // messages that waited and are sent now
	Chat      *chat.Session // the session that was open before, as it is now; nil if there was none, or if its end is told later
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
	Reason    string
	Elsewhere bool // the user has signed in on another terminal
	Operator  bool // it was the operator's doing; otherwise Reason is what the server has said
}

// TranscriptFailed is told once per file that cannot be written.
type TranscriptFailed struct{ Err error }

// PresenceChanged comes after Watch.
type PresenceChanged struct{ chat.PresenceNotice }
