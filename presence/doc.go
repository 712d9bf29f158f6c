// Package presence knows which users are present, under which names, and who may see them.
//
//	lobby: Enter ──▶ account reserved ──▶ ticket
//	user:  Hello ──▶ here ⇄ lost ──▶ gone
//	                  │       (grace)
//	                  └─ Exit ──▶ gone
//
// A client asks for a name in the lobby and is refused there with a reason, because the broker
// never tells a client why it was refused. A client with a ticket says hello on a connection of
// its own, and the name is taken. From then on the broker's events say whether the user is
// connected. After a lost connection the user keeps name and sessions for the grace time, and
// the same key can come back.
//
// A user is available or chatting; neither is stored: both are read from the open
// sessions. A user is at one terminal at a time: another one is refused, or signs the
// first one out. Hidden users are seen by nobody and see no list. Presence is never broadcast:
// viewers who ask get the changes, collected for a quarter of a second. For users whom somebody
// blocks, everything looks as if the blocking user did not exist.
package presence
