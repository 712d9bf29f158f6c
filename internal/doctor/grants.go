package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/internal/setup"
)

const mendCreds = "Copy the file again from where chatcoord init has written it. If another program made it, make it with\nexactly the rights of the table in docs/operations.md."

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
			e.fail("system account", mendCreds, "%s is of the account that users are in, not of the system account", r.File())
		case !r.InSystem() && !inChat:
			e.fail("credentials", mendCreds, "%s is of another account than store.creds", r.File())
		}
		if more, less := compare(creds.Grant, r.Grant(e.Keys.ChatID)); len(more)+len(less) > 0 {
			e.wrongGrant(r, more, less)
		} else {
			right = append(right, r.File())
		}
		if left := creds.Expires.Sub(e.Now()); !creds.Expires.IsZero() && left < soon && left > 2*time.Hour {
			e.warn("credentials", mendCreds, "%s expires on %s", r.File(), creds.Expires.Format(time.DateOnly))
		}
	}
	if len(e.findings) == before {
		e.ok("grants", "each file says what is needed and no more: %s", strings.Join(right, ", "))
	}
}

func (e *exam) wrongGrant(r setup.Role, more, less []string) {
	if len(less) > 0 {
		e.fail("grants", mendCreds, "%s lacks a right: %s", r.File(), strings.Join(less, ", "))
	}
	if len(more) > 0 {
		e.fail("grants", mendCreds, "%s has a right that nobody should have there: %s", r.File(), strings.Join(more, ", "))
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
	diff("queue groups, not denied by", want.DenySubscribe, have.DenySubscribe, &more)
	diff("publish", want.Publish, have.Publish, &less)
	diff("subscribe", want.Subscribe, have.Subscribe, &less)
	return more, less
}

const mendRights = "The server gives other rights than the credentials say. Look at the default permissions, mappings and\nexports of the account; accounts.conf of chatcoord init has those that are right."

// grants tries what each connection should be able to do, and some of what it should
// not.
func (e *exam) grants() {
	before, tried := len(e.findings), 0
	for _, r := range setup.Roles {
		nc := e.conns[r.Name]
		if nc == nil {
			continue
		}
		tried += e.tryGrant(r.File(), nc, r.Grant(e.Keys.ChatID))
	}
	if len(e.findings) == before {
		e.ok("rights", "%d rights tried with the server: what is needed works, what is not is refused", tried)
	}
}

// tryGrant compares what a connection can do with a grant, and returns how much it has
// tried.
func (e *exam) tryGrant(who string, nc *nats.Conn, g chat.Grant) int {
	tried := 0
	judge := func(what, subject string, may, should bool) {
		tried++
		switch {
		case should && !may:
			e.fail("rights", mendRights, "%s cannot %s %s", who, what, subject)
		case may && !should:
			e.fail("rights", mendRights, "%s can %s %s, which it should not", who, what, subject)
		}
	}
	for _, s := range g.Publish {
		if s := harmless(s); s != "" {
			judge("publish to", s, mayPublish(nc, s), true)
		}
	}
	for _, s := range g.Subscribe {
		judge("subscribe to", s, maySubscribe(nc, s, ""), true)
	}
	for _, s := range forbiddenToPublish {
		judge("publish to", s, mayPublish(nc, s), covered(g.Publish, s))
	}
	for _, s := range forbiddenToHear {
		judge("subscribe to", s, maySubscribe(nc, s, ""), covered(g.Subscribe, s))
	}
	if len(g.DenySubscribe) > 0 {
		judge("join a queue group on", g.Subscribe[0], maySubscribe(nc, g.Subscribe[0], "doctor"), false)
	}
	return tried
}

// What is tried with those who should not: nobody listens to these, and no stream has
// them.
var (
	forbiddenToPublish = []string{
		chat.StateRoot + ".doctor.probe", "$JS.API.STREAM.DELETE.DOCTOR_NO_SUCH_STREAM", "$SYS.REQ.DOCTOR.PROBE",
		"chat.user.admin.doctor", "chat.coord.doctor.admin", "chat.admin.doctor", chat.AdminInbox + ".doctor", "chat.session.doctor.msg.admin",
	}
	forbiddenToHear = []string{
		chat.StateRoot + ".>", "$JS.>", "$SYS.>", "chat.coord.>", "chat.session.*.msg.*", "chat.user.*.session", chat.InboxRoot + ".>", ">",
	}
)

// harmless is a subject that a right covers and that does nothing; "" if there is none.
func harmless(right string) string {
	if strings.HasPrefix(right, "chat.audit.") || right == chat.Enter.Pattern() {
		return "" // what is published there is kept, or answered
	}
	s := strings.TrimSuffix(right, ">")
	if s != right {
		return s + "doctor.probe"
	}
	return strings.ReplaceAll(right, "*", "doctor")
}

// covered tells whether one of the rights covers a subject.
func covered(rights []string, subject string) bool {
	return slices.ContainsFunc(rights, func(right string) bool {
		return covers(strings.Split(right, "."), strings.Split(subject, "."))
	})
}

func covers(right, subject []string) bool {
	for i, token := range right {
		switch {
		case token == ">":
			return len(subject) > i
		case i >= len(subject), subject[i] == ">":
			return false
		case token != "*" && token != subject[i]:
			return false
		}
	}
	return len(right) == len(subject)
}

// mayPublish publishes nothing on a subject and tells whether the server let it.
func mayPublish(nc *nats.Conn, subject string) bool {
	return nc.Publish(subject, nil) == nil && !violates(nc, `for publish to "`+subject+`"`)
}

// maySubscribe subscribes for a moment.
func maySubscribe(nc *nats.Conn, subject, queue string) bool {
	sub, err := nc.QueueSubscribeSync(subject, queue)
	if err != nil {
		return false
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	what := `for subscription to "` + subject + `"`
	if queue != "" {
		what += ` using queue "` + queue + `"`
	}
	return !violates(nc, what)
}

// violates waits until the server has dealt with everything sent and tells whether
// what it last complained about ends with what: it answers in order.
func violates(nc *nats.Conn, what string) bool {
	if nc.FlushTimeout(patience) != nil {
		return true
	}
	err := nc.LastError()
	return err != nil && strings.HasSuffix(strings.ToLower(err.Error()), strings.ToLower(what))
}
