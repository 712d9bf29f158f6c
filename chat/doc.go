// Package chat is the vocabulary of natter: names, errors, the table of routes,
// the grants computed from it, and the payloads that travel on it. It imports
// the standard library only, and everything else imports it.
//
// # The picture
//
//	        chat.lobby.*        anyone, before a name is theirs
//	anyone ───────────────▶ ┌─────────────┐
//	        chat.coord.*.u      │ coordinator │ ── chat.audit.* ──▶ observers
//	user u ───────────────▶ └──────┬──────┘
//	   ▲    chat.user.u.*          │
//	   └───────────────────────────┘
//	user   ── chat.dm.to.from ─▶ server ─ _DM.to.from ─▶ user
//	member ── chat.session.s.msg.member ────▶ members
//
// A subject is spelled once, in the table (routes.go), together with who sends
// it, who receives it and what it carries. Callers, handlers, connection rights,
// the console and docs/protocol.md are computed from that table.
//
// # What is promised here
//
// The vouched-for user of a subject is its last token (of a notice, the receiver
// is the second), and a connection's grant contains that very token: the broker
// itself enforces who speaks. No payload ever says who its sender is.
//
// # Glossary
//
// One word per thing, in code, comments and logs:
//
//   - route: a kind of subject, with who sends it, who receives it and what it carries
//   - grant: what a connection may publish and subscribe, computed from the routes
//   - ticket: the credentials of one connection, signed by the coordinator, valid for hours
//   - lobby: the account of connections that have no name yet
//   - account: a name and its key, stored also while the user is absent
//   - login: a user's presence, from hello to exit or the end of the grace time
//   - takeover: a login of the same user at another terminal, which signs the first one out
//   - roster: the present users whom one user may see
//   - session: an invitation and the chat that it becomes; one record
//   - member: a user in a session; guest: one who was invited and has not accepted
//   - epoch: a session's channel and who may hear it; a new one when a member leaves
//   - incarnation: one run of a user's program, with message numbers of its own
//   - frame: one payload of messages, from one sender
//   - receipt: how far a receiver has taken a sender's messages
//   - mailbox: messages that the coordinator stores for a member until they fetch them
//   - record: one value under one subject of a stream, replaced as a whole
//   - step: a rule run on a record, and the record that it returns, stored or refused
//   - revision: the sequence of a record in its stream; of a reply, how much its sender knew
//   - tombstone: a record which says that its key is deleted; purged after a while
//   - replica: one of several coordinators on the same streams
//   - dispatch: passing each change to one replica, which notifies users
//   - job: work of the coordinator without a request, repeated until it is done
//   - outage: a time in which nothing can be stored
//   - strike: an invalid request, counted against its sender
//   - audit log: the records of requests, actions and refusals, read by observers
//   - transcript: the file in which a client records its user's own chats
package chat
