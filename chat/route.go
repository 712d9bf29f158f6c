package chat

import (
	"fmt"
	"reflect"
	"strings"
)

// Party is a kind of connection: who may be at an end of a route.
type Party string

// The parties.
const (
	Anyone      Party = "anyone"      // not yet a user: in the lobby
	AUser       Party = "user"        // holds a name
	AMember     Party = "member"      // in an open session
	Operator    Party = "operator"    // runs the coordinator
	Observer    Party = "observer"    // watches
	Coordinator Party = "coordinator" // any replica
)

// family is a set of routes whose subjects differ only in one word, {kind}.
// The placeholders are {user} (vouched for by the broker; of a notice, the
// receiver), {to} (a receiver that the sender chooses), {session} and {kind}.
type family struct {
	pattern  string
	from, to Party
	arrives  string // the pattern under which receivers get it, if the server forwards it to another subject
}

// Route is one row of the protocol: a subject with its sender, its receiver and
// what it carries.
type Route struct {
	Kind    string       // the word that stands for {kind}, or "" if the family has none
	Doc     string       // one sentence
	Payload reflect.Type // what is sent; nil for bytes
	Reply   reflect.Type // what is answered; nil for a notice
	fam     *family
}

// Request is a route that is answered with an R or an Error.
type Request[Q, R any] struct{ *Route }

// Notice is a route that is not answered.
type Notice[M any] struct{ *Route }

// Address fills a route's placeholders; what a route does not have stays empty.
type Address struct {
	User    User
	To      User
	Session string // a channel: see Session.Channel
	Kind    string // by Parse only: the family's word
}

// table is every route, in the order of routes.go.
var table []*Route

// Routes returns every route of the protocol.
func Routes() []*Route { return table }

func request[Q, R any](f *family, kind, doc string) Request[Q, R] {
	r := &Route{Kind: kind, Doc: doc, Payload: reflect.TypeFor[Q](), Reply: reflect.TypeFor[R](), fam: f}
	table = append(table, r)
	return Request[Q, R]{r}
}

func notice[M any](f *family, kind, doc string) Notice[M] {
	r := &Route{Kind: kind, Doc: doc, Payload: reflect.TypeFor[M](), fam: f}
	if r.Payload == reflect.TypeFor[[]byte]() {
		r.Payload = nil
	}
	table = append(table, r)
	return Notice[M]{r}
}

// From is who may send on the route.
func (r *Route) From() Party { return r.fam.from }

// To is who receives from the route.
func (r *Route) To() Party { return r.fam.to }

// Pattern is the subject with its placeholders, as the protocol's page shows it.
func (r *Route) Pattern() string { return strings.ReplaceAll(r.fam.pattern, "{kind}", r.Kind) }

// Arrives is the subject under which its receivers get what is sent on the route, with
// its placeholders.
func (r *Route) Arrives() string { return strings.ReplaceAll(r.fam.arriving(), "{kind}", r.Kind) }

// Subject returns the route's subject for an address. An address that lacks what
// the route needs is a programming error.
func (r *Route) Subject(a Address) string { return r.subject(r.fam.pattern, a) }

// Arrival returns the subject under which the receiver gets what is sent to an address.
func (r *Route) Arrival(a Address) string { return r.subject(r.fam.arriving(), a) }

func (r *Route) subject(pattern string, a Address) string {
	s := fill(pattern, func(p string) string {
		switch p {
		case "{user}":
			return string(a.User)
		case "{to}":
			return string(a.To)
		case "{session}":
			return a.Session
		}
		return r.Kind
	})
	if strings.Contains(s, "..") || strings.HasSuffix(s, ".") {
		panic(fmt.Sprintf("chat: address %+v does not fill %s", a, r.Pattern()))
	}
	return s
}

// Wildcard returns the subject that matches the route for everybody: what its
// handler subscribes to.
func (r *Route) Wildcard() string { return r.wildcard(r.fam.pattern) }

// ArrivalWildcard returns the subject that matches what everybody receives from the route.
func (r *Route) ArrivalWildcard() string { return r.wildcard(r.fam.arriving()) }

func (r *Route) wildcard(pattern string) string {
	return fill(pattern, func(p string) string {
		if p == "{kind}" {
			return r.Kind
		}
		return "*"
	})
}

// Parse finds the route of a subject, sent or received, and what stands in its
// placeholders. It is false for a subject that is not of the protocol or whose user is not a name.
func Parse(subject string) (*Route, Address, bool) {
	have := strings.Split(subject, ".")
	for _, r := range table {
		if a, ok := r.match(r.fam.pattern, have); ok {
			return r, a, true
		}
		if r.fam.arrives == "" {
			continue
		}
		if a, ok := r.match(r.fam.arrives, have); ok {
			return r, a, true
		}
	}
	return nil, Address{}, false
}

func (r *Route) match(pattern string, have []string) (Address, bool) {
	want := strings.Split(pattern, ".")
	a := Address{Kind: r.Kind}
	if len(have) != len(want) {
		return a, false
	}
	for i, w := range want {
		switch w {
		case "{user}", "{to}":
			if !validUser(have[i]) {
				return a, false
			}
			if w == "{user}" {
				a.User = User(have[i])
			} else {
				a.To = User(have[i])
			}
		case "{session}":
			if have[i] == "" {
				return a, false
			}
			a.Session = have[i]
		case "{kind}":
			if have[i] != r.Kind {
				return a, false
			}
		default:
			if have[i] != w {
				return a, false
			}
		}
	}
	return a, true
}

// arriving is the pattern under which receivers get what is sent.
func (f *family) arriving() string {
	if f.arrives != "" {
		return f.arrives
	}
	return f.pattern
}

// fill replaces the placeholders of a pattern.
func fill(pattern string, value func(placeholder string) string) string {
	tokens := strings.Split(pattern, ".")
	for i, t := range tokens {
		if strings.HasPrefix(t, "{") {
			tokens[i] = value(t)
		}
	}
	return strings.Join(tokens, ".")
}
