// Package client is a user without a terminal, for bots and for chatcli: it asks for a name, keeps
// its key, stays connected, and turns what comes in into events.
//
//	Dial ──▶ Enter ──▶ requests: SetPresence, List, Invite, Answer, Direct, ...
//	            │
//	            ├────▶ Session: Say, Quit, Leave, ...
//	            │
//	            └────▶ Events: what happened, in order
//
// A bot dials, enters a name, makes itself visible, and reads Events until they are closed; the
// example of this package is one that repeats what it is told. Every method may be called by
// several goroutines at once, but those that enter a name and Rotate.
//
// A client has one connection for the user and one for the open session. Either may be lost at any
// time: it is tried again for ever, and afterwards the client asks for everything and adds events
// for what has changed. Before a ticket expires
// a second connection with a new one takes the place of the first.
//
// # Errors
//
// An error is a *chat.Error, whose code is for programs and whose sentence is for people, as in
// errors.Is(err, &chat.Error{Code: chat.Busy}); another one is a fault, to be logged. Every
// request of a client may be refused with these codes, and its method names the others:
//
//   - NotRegistered: the user has not entered a name, or is signed out
//   - NotConnected: there was no connection for two seconds, and nothing was asked; or it was lost
//     before the answer
//   - Timeout: the coordinator has not answered for ten seconds; it may have done it
//   - Rate: too many requests; Wait says when it can be tried again
//   - Full: nothing can be stored for now
//   - Internal: a fault of the coordinator
//
// # Parts
//
// Client is what a program sees. Its parts have one job each, and a lock of their own:
//
//   - owner: the user's name and key; set before a name is taken, without a lock
//   - lobby: the connection on which a ticket is asked for
//   - link: the user's connection and its ticket, how both are renewed, and requests on it
//   - login: hello, presence and revisions
//   - chats: the sessions that are known; Session is the user's part in one of them
//   - directs: direct messages
//   - blocks: the users whom the user blocks
//
// All of them share the configuration, the queue of events and the worker, a goroutine that
// applies what changes sessions in order.
//
// No lock is held over I/O, and two of them only in these orders: that of login before that of
// chats, and that of link before that of its pulse.
package client
