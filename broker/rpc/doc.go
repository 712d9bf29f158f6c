// Package rpc is requests and their answers over NATS: how they are called, served, limited
// and audited.
//
// [Handle] serves a route as an endpoint of a NATS micro service. The caller is the
// last token of the subject, which the broker vouches for. A request is served only
// if its reply subject lies in the caller's own inbox: reply subjects are never
// checked by the server, and a service that answers anywhere would carry out what the
// caller may not do.
//
// [Call] sends a request again until there is an answer: requests are safe to repeat.
// [Tell] publishes a notice, and [Audit] writes the audit records.
package rpc
