package transfer

import (
	"time"

	"natter/chat"
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

// Time is a monotonic time: how long it is since a moment that the caller chooses.
type Time = time.Duration

// never is later than every deadline.
const never = Time(1<<63 - 1)

// Reason is why a transfer ended for a receiver, or pauses.
type Reason uint8

// The reasons.
const (
	Denied   Reason = 1 // the receiver does not want it
	Stopped  Reason = 2 // one of the two users stopped it
	Changed  Reason = 3 // the source is not what it was when it was offered
	Unread   Reason = 4 // the source cannot be read
	Damaged  Reason = 5 // pieces or the whole are not what their hashes say, again and again
	NotAsIs  Reason = 6 // more, less or something else than was offered
	TooLarge Reason = 7 // more than the receiver takes
	Full     Reason = 8 // no space is left at the receiver
	Unkept   Reason = 9 // the receiver cannot write
	TooOften Reason = 10
	Unknown  Reason = 11 // the other side knows of no such transfer

	lastReason = Unknown
)

var reasons = [...]string{"", "denied", "stopped", "source changed", "source cannot be read", "damaged", "not what was offered", "too large", "no space left", "cannot be written",
	"asks for too much too often", "not known there"}

// String names a reason.
func (r Reason) String() string { return reasons[min(r, lastReason)] }

// Input is what happens. The fields that a kind does not name are not read.
type Input struct {
	Kind    InputKind
	From    chat.User // to a Sender: of MessageIn, LinkUp, LinkDown: the receiver; of ReadDone, Sent: the lane
	Message Message   // of MessageIn; its Data is the core's from now on
	Index   uint64    // of Written, WriteFailed: the piece; of ReadDone: the first piece
	Data    []byte    // of ReadDone: the pieces, one behind the other
	Yes     bool      // of LinkUp to a Sender: the receiver can listen to a shared channel; of ReadDone: the content ends here
	Reason  Reason    // of WriteFailed, SyncFailed, RecordFailed, PlaceFailed, ReadFailed
	N       int64     // of Limit: bytes
}

// InputKind tells inputs apart.
type InputKind uint8

// The kinds of input.
const (
	Tick InputKind = iota // time has passed

	MessageIn // a message, of whom the channel vouches for
	LinkUp    // there is a way to the other side, perhaps again: what was under way is lost
	LinkDown  // there is none
	Cancel    // the user stops the transfer

	// To a Receiver.

	Accept       // the user accepts; only after the event Offered
	Decline      // the user does not
	Written      // a piece is written, not yet synced
	WriteFailed  // it is not; the core keeps no data of it
	Synced       // all that was written before SyncData is durable
	SyncFailed   // nobody knows what is
	Recorded     // the records are in the journal and synced
	RecordFailed // they are not
	Placed       // the files have their names
	PlaceFailed  // they cannot
	Limit        // so much memory may be used from now on

	// To a Sender.

	ReadDone   // pieces that were asked for
	ReadFailed // they cannot be read
	Sent       // the transport has taken a piece of a lane
)

// Effect is what is to be done after a step, in order. The fields that a kind does not name
// are zero.
type Effect struct {
	Kind    EffectKind
	To      chat.User        // of a Sender's Send: the receiver, or Everyone; of ReadPieces: the lane
	Message Message          // of Send; of KeepPage Index and Data
	Index   uint64           // of WritePiece, ReadPieces, CacheHashes
	Count   int              // of ReadPieces
	Data    []byte           // of WritePiece
	Hashes  []tree.Hash      // of CacheHashes
	Records []journal.Record // of AppendRecords
	Yes     bool             // of Listen
	Event   Event            // of Tell
}

// Everyone is, as a receiver, all that listen to the shared channel. hashLane and streamLane
// are lanes on which nothing is sent.
const (
	Everyone   chat.User = "*"
	hashLane   chat.User = "#"
	streamLane chat.User = "-"
)

// EffectKind tells effects apart.
type EffectKind uint8

// The kinds of effect.
const (
	Send EffectKind = iota + 1 // a message; of an Offer or Page, the caller adds Data; a Piece is answered by Sent
	Tell                       // an event for the user
	Over                       // nothing is left to do, except to answer who has not heard of it

	// Of a Receiver.

	KeepPage      // a page of the list, so that the offer is known after a restart
	WritePiece    // answered by Written or WriteFailed
	SyncData      // answered by Synced or SyncFailed
	AppendRecords // to the journal, which is synced then; answered by Recorded or RecordFailed
	Place         // give the files their names, or find that they have them; answered by Placed or PlaceFailed
	Listen        // to the shared channel, or no more

	// Of a Sender.

	ReadPieces  // answered by ReadDone or ReadFailed, in the order asked for each lane
	CacheHashes // hashes of pieces from Index on, for the next run
)

// EventKind tells events apart.
type EventKind uint8

// The kinds of event.
const (
	Offered  EventKind = iota + 1 // to the receiver: the list is complete, the user may be asked
	Started                       // the receiver has accepted
	Progress                      // at most twice a second
	Stalled                       // nothing has moved for a while
	Paused                        // the receiver waits, for Reason
	GoesOn                        // after Stalled or Paused
	Ended                         // for this receiver: with Reason, or everything has arrived and is verified
)

// Event is what a user is told.
type Event struct {
	Kind   EventKind
	Who    chat.User // the receiver; of a Receiver's event empty
	Reason Reason
	Have   int64   // bytes that are verified
	Size   int64   // of the content, or -1
	Rate   float64 // bytes a second
	Left   Time    // until the end at this rate, or -1: not known
	Root   tree.Hash
}
