// Package presence is who is here, under which name, and who may see it.
//
//	lobby: Enter ──▶ account reserved ──▶ ticket
//	user:  Hello ──▶ here ⇄ lost ──▶ gone
//	                  │       (grace)
//	                  └─ Exit ──▶ gone
//
// A name is asked for in the lobby and refused there with a reason, because the broker
// never tells a client why it was refused. Whoever gets a ticket says hello on a
// connection of their own; that takes the name. From then on the broker's own events
// tell whether the user is connected: a lost connection keeps name and sessions for the
// grace time, and the same key takes its place again.
//
// A user is available or chatting; neither is stored: both are read from the open
// sessions. A user is at one terminal at a time: another one is refused, or signs the
// first one out. Who hides is seen by nobody and sees no list. Presence is never broadcast:
// viewers who ask are told of changes, collected for a quarter of a second. Whom a user
// blocks learns nothing that would not be so if there were no such user.
package presence
