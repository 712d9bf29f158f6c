// Package direct connects the two sides of a transfer with each other, without the broker in
// between: TCP with TLS 1.3, when one of them reaches the other. Nothing uses it yet.
//
//	Hello ◀───── through the session ─────▶ Hello
//	┌──────────┐ accepts          dials ┌──────────┐
//	│ Listener │ ◀───────────────────── │ Connect  │   and the same the other way round
//	└──────────┘                        └──────────┘
//	        Conn ◀── transfer.Message ──▶ Conn
//
// Each side draws an Identity for a transfer: a key that nobody else ever sees, and a pin by
// which the other side knows it. The pins are exchanged in the session, where the broker
// vouches for who says what, and so a connection is as authentic as a message there.
//
// # What others learn
//
// An address is told to nobody who has not been accepted: the first Hello of a sender, which
// goes with the offer, has its pin only. The receiver's comes when its user has accepted, the
// sender's addresses in answer to that. As each knows the other's pin before it tells its own
// addresses, it expects the other from then on, and nobody is refused for coming early.
//
// A listener answers only those who name it (see serverName), and takes only those with a pin
// that it expects. All others are closed without a word.
//
// # What others cannot do
//
// Who has been accepted may name eight addresses. They must not make a program look around
// where they cannot: loopback and the program's own addresses are dialled only if the other
// program is on the same host (see mark), link-local ones and ports below 1024 never. Each
// address is dialled once, at a time that does not depend on what happened with the others,
// and Connect fails when its time is over, not before. So nobody can tell from when a program
// comes, or gives up, what there is at an address.
//
// # One connection of several
//
// Both sides listen and dial, and there may be several connections with the right pins. The
// sender of the transfer sends an empty frame on one of them; the receiver answers it with
// another, and both close the rest. The answer also tells a sender that has dialled that its
// pin was accepted, which in TLS 1.3 the side that dials does not know from the handshake.
package direct
