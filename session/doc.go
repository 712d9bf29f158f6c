// Package session holds invitations and the conversations they become.
//
// # The picture
//
//	            Answer: all accept
//	Propose ──▶ proposed ─────────▶ open ──── End, Leave, Repair ──▶ closed
//	               │                  └─ Leave, Repair: a group goes on, next epoch
//	               └─ Answer: deny, Withdraw, Expire, Repair ─────▶ closed
//
// An invitation is a session in state proposed, seen from a guest; it has no
// record of its own. A state only goes forward, and a closed record says why
// (Reason) and whose doing it was (By). The reason also tells whether the chat
// had ever begun: the first four belong to invitations, the others to chats.
//
// # Rules, effects, stories
//
// A rule (session.go) takes the record, who acts and the time, and returns the
// record after the step or an error. It calls no clock and talks to nobody, and
// it never changes the value that it was given. An error is a *chat.Error, whose
// sentence is for the one who asked; or ErrUnchanged, when the step was done
// already, so that a request which is repeated after a lost answer is harmless.
//
// What a step means to others is not announced along the way. It is computed from
// the records before and after it: Effects says who must be told, and Story, on
// the listener's side, what they should hear. Story takes any two states, not only
// neighbours, so notices may be repeated or missed.
//
// # One record, one step
//
// Every step changes exactly one record, and it is stored only if nothing else has
// changed since the rule looked at the World. Hence nothing is ever locked:
// whether somebody is busy is derived from the open sessions, and the accept of
// the last guest opens the chat for all or, when one of them has meanwhile gone
// elsewhere, for nobody.
//
// A step can make another record pointless: whoever enters a chat is no longer
// available to those who have invited them, and whoever is gone for good is still
// named in a record. Repair is the step that follows from that. It may come late,
// or never if its replica dies: no other rule relies on it.
//
// # Messages
//
// What members say goes from one to the others by way of the broker alone (talk.go,
// wire.go). The sender keeps it until everybody has acknowledged it, and sends it again
// when a connection was lost; receivers drop what they have. What somebody does not get now,
// because they are lost or silent or the sender leaves, is handed to the coordinator
// (keep.go), which stores it (parked.go): then it outlives its sender. So a message is
// sending, perhaps stored, delivered; or it is told as not delivered. That something has been
// sending for a second, and that something is stored, is told once (waits.go), for as long as
// it is so: every message is not an event.
//
// A number is never used twice, and that depends on nobody but the coordinator: a program
// that is started anew within the grace time gets a run of its own, whose numbers lie
// behind those of all before. It neither waits for the other members nor believes what they
// say of it, so one who keeps silent or lies cannot hold it up. The others learn where the
// run begins from its first sync. Before they skip what is between, they ask for what is
// stored of the former run. What is neither there nor comes again had never been
// acknowledged: it is lost with the run that said it, which has told nobody otherwise.
//
// A new run as a receiver is told by each sender what the former one had acknowledged, and
// hears the rest. It waits for that two seconds at most before it asks for what is stored:
// whoever is silent for so long may have something repeated that the former run had shown.
//
// The end of a session lets go of what is stored, and its members tell their users what has
// not arrived. Who had left before cannot be told any more: what they said stays for those
// who are about to hear of the end, who take it first (Collect).
//
// # What is promised
//
//   - Nobody is in two open sessions.
//   - Nobody is in an open session without having accepted it.
//   - Either all members of a session are busy with it, or none is.
//   - An invitation has one outcome, and everybody is told the same one.
//   - Who is hidden, absent or unknown cannot be told apart by inviting them.
//
// What is not promised: that a user is asked by one host at a time. Several
// invitations may wait for the same guest; accepting one closes the others.
package session
