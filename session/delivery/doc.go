// Package delivery carries what members of a session say to the other members: once, in
// each sender's order, through lost connections, restarts and sleeping computers, without
// the coordinator on the way.
//
//	Say ──▶ ┌──────┐ ── Publish, Receipt, Announce ──▶ the other members (core NATS)
//	frames ▶│ Core │ ── Store, Fetch ────────────────▶ the coordinator
//	time ──▶└──────┘ ── Tell ────────────────────────▶ the user
//
// Core is the protocol as a value: it has no clock, no goroutine, no connection and no lock.
// Step takes one input and the time and appends effects to the caller's buffer; Next says
// when to step again with a Tick. So that it can be simulated, everything else is in Conn:
// the connection, the goroutines and the only mutex.
//
// # The protocol
//
// Messages are numbered per sender and session, without gaps. A sender keeps each message
// until every member has acknowledged it, and sends what waits while a publish is under way
// in one frame. Receivers take messages in order, drop duplicates by number, and announce
// where they stand to a sender of whom something is missing, who sends it again. Receipts
// are cumulative. After a connection has come up, a member announces where it stands to all.
//
// What a member does not get now, because they are lost or silent or the sender leaves, is
// handed to the coordinator, which stores it until the member asks for it.
//
// A program that was started anew is a new incarnation: the coordinator numbers them, and
// each has numbers of its own behind those of all before (chat.FirstOf). It believes nobody
// about how far its predecessor had counted, so that no member who is silent or lies can
// stop it. The others learn where the numbers begin from its announcement, and ask for what
// is stored of the former incarnation before they skip what is between. As a receiver it is
// told by each sender what the former one had acknowledged.
//
// # Peers
//
// A member is, for each of the others, a peer in one of these states:
//
//	joining   we have come up and they have not said where they stand
//	in sync   they are connected and acknowledge
//	slow      they have acknowledged nothing for a second although there was something
//	lost      the coordinator says that their connection is lost
//	left      they are not a member now; only what is stored of them is still taken
//
// Nobody waits for a peer that is slow or lost: it holds up neither the window nor the
// others, gets one message as a probe when something is sent again, and the rest a moment
// after it has answered.
package delivery
