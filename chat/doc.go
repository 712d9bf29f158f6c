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
package chat
