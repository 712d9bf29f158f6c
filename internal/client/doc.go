// Package client is a user without a terminal: it asks for a name, keeps its key, stays
// connected, and turns what comes in into events.
//
//	Dial ──▶ Enter ──▶ requests: SetPresence, List, Invite, Answer, Say, Quit, ...
//	            │
//	            └────▶ Events: what happened, in order
//
// A client has one connection for the user and one for the session that is open. Either
// may be lost at any time: it is tried again for ever, and afterwards the client asks
// for everything it should know and tells only what has changed. Before a ticket expires
// a second connection with a new one takes the place of the first.
package client
