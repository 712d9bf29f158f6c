// Package store keeps records in a stream that all replicas of a coordinator follow.
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
package store
