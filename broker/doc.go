// Package broker is what natter asks of NATS: dial, call, serve, tell, and the log
// that every replica follows. It knows nothing about chat beyond its routes.
//
// # State
//
// A [Log] is one replica's copy of a stream with one record per subject. Every
// change of state is one [Step]: a rule reads the records as they will be, returns
// one new record, and the record is published on the condition that the stream has
// not moved since. What a rule decided upon can therefore not have changed, on any
// replica, and nobody needs a transaction. A lost race applies what is new and runs
// the rule again.
//
//	requests ─▶ Step ─▶ [ rules on tentative rows ] ─▶ publish, expecting revision n
//	                                                         │ acknowledged: n+1
//	readers ◀── committed rows ◀─────────────────────────────┤
//	                 ▲                                       ▼
//	                 └────────── ordered consumer ◀────── stream ◀── other replicas
//
// Steps that wait together are committed together: each is published with the
// revision and the id of the one before it, so that it is stored right behind that
// one or not at all, and only then are acknowledgements awaited. A refusal is no
// less certain than a record: it is given only once nothing is stored that the rule
// has not seen. When an acknowledgement is lost, the ids tell which records are
// there, and no step is carried out twice.
//
// # Requests
//
// [Handle] serves a route as an endpoint of a NATS micro service. The asker is the
// last token of the subject, which the broker vouches for. A request is served only
// if its reply subject lies in the asker's own inbox: reply subjects are never
// checked by the server, and whoever answers would otherwise carry out what the
// asker may not do.
package broker
