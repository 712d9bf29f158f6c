// Package session holds invitations and the conversations they become: the rules, and the
// events that follow from them. It imports package chat only; package server runs the rules
// in a coordinator.
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
// (Reason) and whose doing it was (By). The reason also reports whether the chat
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
// the records before and after it: Audience says who must be told, and Diff, on
// the listener's side, what they should hear. Diff takes any two states, not only
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
// A step can make another record pointless: a user who enters a chat is no longer
// available to those who have invited them, and a user who is gone for good is still
// named in a record. Repair is the step that follows from that. It may come late,
// or never if its replica dies: no other rule relies on it.
//
// # Messages
//
// What members say goes from one to the others by way of the broker alone: see package
// delivery. What somebody does not get now is stored by the coordinator (package server), and
// outlives its sender. The end of a session deletes what is stored, and its members tell
// their users what has not arrived. Those who had left before cannot be told: what they said
// stays for members who are about to hear of the end, who fetch it first.
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
