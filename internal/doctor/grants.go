package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/internal/setup"
)

const fixCreds = "Copy the file again from where chatcoord init has written it. If another program made it, make it with\nexactly the rights of the table in docs/operations.md."

// soon is how long before their end credentials are worth a warning.
const soon = 7 * 24 * time.Hour

// files compares what each credentials file says with what it should say.
func (e *exam) files() {
	before := len(e.findings)
	var right []string
	for _, r := range setup.Roles {
		creds := e.Keys.Creds(r)
		if creds == nil {
			continue
		}
		inChat := creds.Account == e.Keys.ChatID
		switch {
		case r.InSystem() && inChat:
			e.fail("system account", fixCreds, "%s is of the account that users are in, not of the system account", r.File())
		case !r.InSystem() && !inChat:
			e.fail("credentials", fixCreds, "%s is of another account than store.creds", r.File())
		}
		if more, less := compare(creds.Grant, r.Grant(e.Keys.ChatID, creds.User)); len(more)+len(less) > 0 {
			e.wrongGrant(r, more, less)
		} else {
			right = append(right, r.File())
		}
		if left := creds.Expires.Sub(e.Now()); !creds.Expires.IsZero() && left < soon && left > 2*time.Hour {
			e.warn("credentials", fixCreds, "%s expires on %s", r.File(), creds.Expires.Format(time.DateOnly))
		}
	}
	if len(e.findings) == before {
		e.ok("grants", "each file says what is needed and no more: %s", strings.Join(right, ", "))
	}
}

func (e *exam) wrongGrant(r setup.Role, more, less []string) {
	if len(less) > 0 {
		e.fail("grants", fixCreds, "%s lacks a right: %s", r.File(), strings.Join(less, ", "))
	}
	if len(more) > 0 {
		e.fail("grants", fixCreds, "%s has a right that nobody should have there: %s", r.File(), strings.Join(more, ", "))
	}
}

// compare tells what one grant has more than another, and what less.
func compare(have, want chat.Grant) (more, less []string) {
	diff := func(what string, a, b []string, to *[]string) {
		for _, s := range a {
			if !slices.Contains(b, s) {
				*to = append(*to, what+" "+s)
			}
		}
	}
	diff("publish", have.Publish, want.Publish, &more)
	diff("subscribe", have.Subscribe, want.Subscribe, &more)
	diff("subscribe, not denied,", want.DenySubscribe, have.DenySubscribe, &more)
	diff("publish", want.Publish, have.Publish, &less)
	diff("subscribe", want.Subscribe, have.Subscribe, &less)
	return more, less
}

const fixRights = "The server gives other rights than the credentials say. Look at the default permissions, mappings and\nexports of the account; accounts.conf of chatcoord init has those that are right."

// grants tries what each connection should be able to do, if its file says so.
func (e *exam) grants() {
	before, tried := len(e.findings), 0
	for _, r := range setup.Roles {
		if nc := e.conns[r.Name]; nc != nil {
			creds := e.Keys.Creds(r)
			tried += e.tryGrant(r.File(), nc, shared(creds.Grant, r.Grant(e.Keys.ChatID, creds.User)))
		}
	}
	if len(e.findings) == before {
		e.ok("rights", "%d rights tried with the server: what is needed works", tried)
	}
}

// shared is what two grants have in common.
func shared(a, b chat.Grant) chat.Grant {
	both := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
	}
	return chat.Grant{Publish: both(a.Publish, b.Publish), Subscribe: both(a.Subscribe, b.Subscribe)}
}

// tryGrant tries whether a connection can do what a grant says, and returns how much it has
// tried.
func (e *exam) tryGrant(who string, nc *nats.Conn, g chat.Grant) int {
	tried := 0
	judge := func(what, subject string, may bool) {
		if tried++; !may {
			e.fail("rights", fixRights, "%s cannot %s %s", who, what, subject)
		}
	}
	for _, s := range g.Publish {
		if s := harmless(s); s != "" {
			judge("publish to", s, mayPublish(nc, s))
		}
	}
	for _, s := range g.Subscribe {
		judge("subscribe to", s, maySubscribe(nc, s))
	}
	return tried
}

// judgeServer compares what the server says that a connection may do with what it should.
func (e *exam) judgeServer(check, who string, have, want chat.Grant) {
	more, less := compare(have, want)
	if len(more) > 0 {
		e.fail(check, fixRights, "the server gives %s a right that nobody should have there: %s", who, strings.Join(more, ", "))
	}
	if len(less) > 0 {
		e.fail(check, fixRights, "the server does not give %s a right: %s", who, strings.Join(less, ", "))
	}
}

// harmless is a subject that a right covers and that does nothing; "" if there is none.
func harmless(right string) string {
	if right == chat.Enter.Pattern() {
		return "" // what is published there is answered
	}
	s := strings.ReplaceAll(right, "*", "doctor")
	if rest, ok := strings.CutSuffix(s, ">"); ok {
		s = rest + "doctor.probe"
	}
	if slices.ContainsFunc(chat.TappingGrant().Subscribe, func(tapped string) bool { return matches(tapped, s) }) {
		return "" // what is published there is on consoles, or kept
	}
	return s
}

// matches reports whether a subscription receives what is published on a subject.
func matches(subscription, subject string) bool {
	have := strings.Split(subject, ".")
	for i, token := range strings.Split(subscription, ".") {
		switch {
		case token == ">":
			return i < len(have)
		case i >= len(have), token != "*" && token != have[i]:
			return false
		}
	}
	return strings.Count(subscription, ".")+1 == len(have)
}

// mayPublish publishes nothing on a subject and reports whether the server let it.
func mayPublish(nc *nats.Conn, subject string) bool {
	return nc.Publish(subject, nil) == nil && !violates(nc, `for publish to "`+subject+`"`)
}

// maySubscribe subscribes for a moment.
func maySubscribe(nc *nats.Conn, subject string) bool {
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		return false
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	return !violates(nc, `for subscription to "`+subject+`"`)
}

// violates waits until the server has dealt with everything sent and reports whether
// what it last complained about ends with what: it answers in order.
func violates(nc *nats.Conn, what string) bool {
	if nc.FlushTimeout(answerTimeout) != nil {
		return true
	}
	err := nc.LastError()
	return err != nil && strings.HasSuffix(strings.ToLower(err.Error()), strings.ToLower(what))
}
