package delivery

import (
	"time"

	"natter/chat"
	"natter/session"
)

// Time is a monotonic time, since a moment that the caller chooses.
type Time = time.Duration

// never is later than every deadline.
const never = Time(1<<63 - 1)

// Input is an event for a member. Fields that the kind does not name are not read.
type Input struct {
	Kind        InputKind
	From        chat.User // of Frame, Receipt, Announced, ByeSaid, Fetched: the sender, whom the broker vouches for
	Text        string    // of Say
	At          int64     // of Say: the wall clock, in milliseconds since 1970
	N           uint64    // of Receipt: the last message of ours that From has
	Yes         bool      // of ByeSaid: said or taken back; of Bye: the same; of Announced: to all, since its connection has come up
	Epoch       int       // of Joined
	Incarnation int       // of Joined: the incarnation that the coordinator has given
	Frame       Frame     // of FrameIn; Fetched has only its messages

	Announce Announcement         // of Announced
	Session  *chat.Session        // of Record, Over
	Stored   map[chat.User]uint64 // of Stored: for whom, and under which sequence of the store
	First    uint64               // of Stored and StoreFailed: of messages First to Last
	Last     uint64
	Received map[chat.User]uint64 // of Stored: what was deleted
}

// InputKind is the kind of an input.
type InputKind uint8

// The kinds of input.
const (
	Tick InputKind = iota // time has passed

	Say   // the user says Text; ask Admit first
	Bye   // the user says bye
	Drain // the user leaves: everything that somebody lacks must be stored now
	Flush // the user waits for receipts, which are requested at once
	Close // the last receipts must be sent

	Joined     // the connection to the channel of Epoch is up, and subscribed
	JoinFailed // it could not be made
	LinkDown   // the connection is interrupted
	LinkUp     // it is back
	LinkClosed // it does not come back by itself
	Published  // the publish that was asked for last is done
	Unsent     // it is done, and nothing has gone out

	FrameIn   // messages of From
	Receipt   // From has everything of ours up to N
	Announced // From announces its state
	ByeSaid   // From says bye, or takes it back
	Asked     // From wants a receipt at once

	Record      // the session's record has changed
	Over        // the session has ended; what is stored of those who left before is still taken
	Stored      // the coordinator has stored something
	StoreFailed // it failed, or its answer is missing: First to Last may be stored
	Fetched     // messages of From that were stored for us; Yes: some are lost
	FetchDone   // that was everything, or the coordinator refuses
	FetchFailed // it could not be asked
)

// Announcement is the state of a member, as others are told.
type Announcement struct {
	// Have is the last message of the receiver that the sender has.
	Have uint64
	// First is the lowest number of the sender's own messages that somebody may still lack, or its
	// next; 0: not known yet.
	First uint64
	// Acked is the last message of the sender that the receiver has acknowledged, if only
	// by an earlier incarnation.
	Acked uint64
	Ask   bool // the receiver must announce itself, too
}

// Effect is what must be done after a step, in order. Fields that the kind does not name are zero.
type Effect struct {
	Kind  EffectKind
	To    chat.User // of SendReceipt and SendAnnounce: one peer; "": of SendAnnounce, all
	First uint64    // of Publish and Store: messages First to Last of ours
	Last  uint64
	N     uint64 // of SendReceipt
	Yes   bool   // of SendBye, SendAnnounce: with bye; of Join: as another incarnation; of Drained: everything is stored

	Announce Announcement         // of SendAnnounce to one peer
	For      []chat.User          // of Store
	Received map[chat.User]uint64 // of Store: what members have received in another way
	Event    session.Event        // of Tell
}

// EffectKind is the kind of an effect.
type EffectKind uint8

// The kinds of effect.
const (
	Publish      EffectKind = iota + 1 // a frame to all, answered by Published
	SendReceipt                        // a receipt to one peer
	AskReceipts                        // all peers are to send a receipt at once
	SendAnnounce                       // where we stand, to one peer or to all (see Core.Standing)
	SendBye                            // bye, or that it is taken back
	Join                               // a connection to the session's channel, answered by Joined or JoinFailed
	Store                              // by the coordinator, answered by Stored or StoreFailed
	Fetch                              // from the coordinator, answered by Fetched and FetchDone or FetchFailed
	Drained                            // answers Drain
	AllBye                             // everybody has said bye
	Tell                               // an event for the user
	Moved                              // there may be room, or everything may have arrived: those who wait look again
)
