// Package transfer is the protocol by which files go from one sender to one receiver or
// several: offered, accepted, sent in pieces that are verified one by one, and resumed after
// the loss of either side.
//
// This package is the protocol only. Package download is the disk of a receiver, package source
// that of a sender, and package direct connects them; nothing goes through the broker yet, and no
// program offers a file: see "What is not here".
//
//	messages ▶ ┌──────────┐ ── Send ─────────────────────▶ the other side
//	time     ▶ │ Sender   │ ── ReadPieces, CacheHashes ──▶ the source
//	answers  ▶ │ Receiver │ ── WritePiece, SyncData, ────▶ the disk
//	           └──────────┘    AppendRecords, Place
//	                        ── Tell ─────────────────────▶ the user
//
// Sender and Receiver are values without clock, goroutine, connection or lock, as in package
// delivery. Step takes one input and the time and appends effects; Next says when to step
// again with a Tick. There is one of them for each transfer. All that they know of each other
// is in messages (codec.go), which may be lost, repeated or come late.
//
// # The protocol
//
// The content of a transfer is the contents of all its files, one behind the other (package
// manifest), cut into pieces of 128 KiB (package tree). A sender offers the summary of a list;
// a receiver asks for its pages, checks each, and has its user decide. Then it says which
// pieces it wants, in ranges: what is missing first, and never more than its window. That
// grows with what comes, to two seconds of it, 16 MiB, or the memory it was given.
//
// The sender reads what is wanted, the lowest piece first, tells the hashes of what it has
// read and then sends it. It says how much of what was wanted has been sent (State), so that a
// receiver knows what was lost. It knows nothing of a receiver that this one would not tell it
// again. Once it has hashed everything it tells the root.
//
// A receiver writes pieces that are what their hashes say, syncs them each 4 MiB or second,
// and records them in its journal only then (package journal). Of what is recorded nothing is
// wanted again: a receiver that is started anew wants the rest. When everything is recorded
// and has the root that was told, the files get their names.
//
// # Several receivers
//
// Each receiver has a lane of its own, on which the transport has few pieces at a time. Those
// that are near each other get pieces together, on a channel that they share, and each of
// these is published once. Who falls behind goes on alone; nobody is waited for longer than
// a quarter of a second. Who accepts when the others are further ahead than that is near
// them only if they wait for something. Only a stream, which cannot be read twice, is as fast as the slowest.
//
// # Who lies
//
// Neither side believes the other. A receiver takes only pieces that it wants and verifies
// them; it ends with a reason when too many are damaged, when sizes, hashes or roots
// contradict each other or the offer, and when the sender says again and again that it has
// sent what does not come. A sender ends with a reason when a receiver wants too much at once
// or too often. Messages are as authentic as the channel that they come on.
//
// # What is not here
//
// The way through the broker, the order of many transfers, limits on offers
// and rates, sealing. A piece is one message here, whatever the
// size of messages on the way. A transfer that is kept while its sender is away.
package transfer
