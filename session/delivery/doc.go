// Package delivery delivers the messages of a session's members to the other members: once, in each
// sender's order, despite lost connections, restarts and sleeping computers, and without the
// coordinator in between.
//
//	Say ──▶ ┌──────┐ ── Publish, Receipt, Announce ──▶ the other members (core NATS)
//	frames ▶│ Core │ ── Store, Fetch ────────────────▶ the coordinator
//	time ──▶└──────┘ ── Tell ────────────────────────▶ the user
//
// Core is the protocol as a value: it has no clock, no goroutine, no connection and no lock. Step
// takes one input and the time and appends effects to the caller's buffer; Next says when to step
// again with a Tick. Everything else is in Conn, so that the core can be simulated: the connection,
// the goroutines and the only mutex.
//
// # The protocol
//
// Messages are numbered per sender and session, without gaps. A sender keeps each message
// until every member has acknowledged it, and collects messages into one frame while a publish is
// under way. Receivers take messages in order, drop duplicates by number, and announce their state
// to a sender whose messages are missing, who sends them again. Receipts are cumulative. After a
// connection has come up, a member announces its state to all.
//
// Messages that a member does not receive now, because they are lost or silent or the sender leaves,
// are stored by the coordinator until the member fetches them.
//
// A program that was started again is a new incarnation: the coordinator numbers them, and each has
// message numbers of its own, higher than all before (chat.FirstOf). It does not ask others how far
// the former one had counted, so that no member who is silent or lies can stop it. The others learn
// the first number from its announcement, and fetch what is stored of the former incarnation before
// they skip the numbers between. As a receiver it is told by each sender what the former one had
// acknowledged.
//
// # Peers
//
// A member is, for each of the others, a peer in one of these states:
//
//	joining   our connection is up and they have not announced themselves
//	in sync   they are connected and acknowledge
//	slow      they have acknowledged nothing for a second although there was something
//	lost      the coordinator says that their connection is lost
//	left      they are no longer a member; only their stored messages are taken
//
// A slow or lost peer holds up neither the window nor the others. When something is sent again, it
// is sent one message as a probe, and the rest soon after it has answered.
package delivery
