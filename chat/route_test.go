package chat_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"natter/chat"
)

// full is an address that fills every route.
var full = chat.Address{User: "alice", To: "bob", Session: sid}

func TestSubjectParseAndWildcardAgree(t *testing.T) {
	for _, r := range chat.Routes() {
		subject := r.Subject(full)
		back, a, ok := chat.Parse(subject)
		if !ok || back != r {
			t.Errorf("%s is not parsed as its own route", subject)
			continue
		}
		if a.Kind != r.Kind || back.Subject(a) != subject {
			t.Errorf("%s parsed as %+v gives %s", subject, a, back.Subject(a))
		}
		if strings.Contains(r.Pattern(), "{user}") != (a.User == "alice") {
			t.Errorf("%s: user %q", subject, a.User)
		}
		if !matches(r.Wildcard(), subject) {
			t.Errorf("%s does not match its wildcard %s", subject, r.Wildcard())
		}
	}
}

func TestEveryRouteHasItsOwnSubjects(t *testing.T) {
	for _, r := range chat.Routes() {
		for _, other := range chat.Routes() {
			if other != r && matches(other.Wildcard(), r.Subject(full)) {
				t.Errorf("the handler of %s hears %s", other.Pattern(), r.Pattern())
			}
		}
	}
}

func TestEveryRouteIsDescribed(t *testing.T) {
	for _, r := range chat.Routes() {
		if r.Doc == "" || (r.Payload == nil && r != chat.Chunk.Route && r != chat.Said.Route) {
			t.Errorf("%s: doc %q, payload %v", r.Pattern(), r.Doc, r.Payload)
		}
	}
	if chat.Invite.Reply != reflect.TypeFor[chat.SessionReply]() || chat.Said.Reply != nil {
		t.Errorf("replies: invite %v, msg %v", chat.Invite.Reply, chat.Said.Reply)
	}
}

func TestForeignSubjectsAreNotParsed(t *testing.T) {
	for _, subject := range []string{
		"", "chat", "chat.", "chat.lobby", "chat.lobby.", "chat.lobby.other", "chat.lobby.enter.x",
		"chat.coord.hello", "chat.coord.hello.", "chat.coord.hello.Alice", "chat.coord.hello.*", "chat.coord.hello.>",
		"chat.coord.hello.admin", "chat.coord.hello.al ice", "chat.coord.hello.alice.x", "chat.coord.other.alice", "chat.coord..alice",
		"chat.user.alice.other", "chat.dm.bob", "chat.dm.*.alice", "chat.dm.bob.9", "chat.session..msg.alice",
		"chat.session." + sid + ".msg.lobby", "chat.session." + sid + ".file.alice", "chat.session." + sid + ".file.x y.alice",
		"Chat.lobby.enter", "natter.state.user.alice", "$JS.API.INFO", "_IN.alice.x",
	} {
		if r, a, ok := chat.Parse(subject); ok {
			t.Errorf("%q is parsed as %s, %+v", subject, r.Pattern(), a)
		}
	}
}

func TestIncompleteAddressPanics(t *testing.T) {
	for name, fill := range map[string]func(){
		"no user":     func() { chat.Invite.Subject(chat.Address{}) },
		"no receiver": func() { chat.Direct.Subject(chat.Address{User: "alice"}) },
		"no session":  func() { chat.Said.Subject(chat.Address{User: "alice"}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			fill()
		})
	}
}

// grants of one connection of each party, for the address full seen from its
// sender and from its receiver. Some parties have several connections.
var (
	senders = map[chat.Party][]chat.Grant{
		chat.Anyone:      {chat.LobbyGrant()},
		chat.AUser:       {chat.UserGrant("alice")},
		chat.AMember:     {chat.MemberGrant("alice", sid)},
		chat.Operator:    {chat.OperatorGrant()},
		chat.Coordinator: {chat.AnsweringGrant(), chat.StoringGrant(), chat.TappingGrant()},
	}
	others = map[chat.Party][]chat.Grant{
		chat.Anyone:   {chat.LobbyGrant()},
		chat.AUser:    {chat.UserGrant("bob"), chat.UserGrant("alic"), chat.UserGrant("alice2")},
		chat.AMember:  {chat.MemberGrant("bob", sid), chat.MemberGrant("alice", sid+"-1"), chat.MemberGrant("alice", "0")},
		chat.Operator: {chat.OperatorGrant()},
		chat.Observer: {chat.ObserverGrant("_INBOX.O"), chat.AuditGrant()},
	}
)

func maySend(grants []chat.Grant, subject string) bool {
	return slices.ContainsFunc(grants, func(g chat.Grant) bool { return listed(g.Publish, subject) })
}

func mayHear(grants []chat.Grant, subject string) bool {
	return slices.ContainsFunc(grants, func(g chat.Grant) bool { return listed(g.Subscribe, subject) })
}

// TestOnlyTheSenderMaySend: the sender of each route may send on it, and nobody
// else, the same party under another name or in another session included.
func TestOnlyTheSenderMaySend(t *testing.T) {
	for _, r := range chat.Routes() {
		subject := r.Subject(full)
		for party, grants := range senders {
			if got, want := maySend(grants, subject), party == r.From(); got != want {
				t.Errorf("%s may send on %s: %v, want %v", party, subject, got, want)
			}
		}
		for party, grants := range senders {
			if arrival := r.Arrival(full); arrival != subject && maySend(grants, arrival) {
				t.Errorf("%s may send on %s, past the server's forwarding", party, arrival)
			}
		}
		for party, grants := range others {
			oneOfMany := party == chat.AUser || party == chat.AMember
			if (oneOfMany || party != r.From()) && maySend(grants, subject) {
				t.Errorf("another %s may send on %s", party, subject)
			}
		}
	}
}

// TestOnlyReceiversHear: a route is heard by its receiver; beyond that only by
// observers, by the coordinator's tap, and in a session by all its members.
func TestOnlyReceiversHear(t *testing.T) {
	for _, r := range chat.Routes() {
		subject := r.Subject(full)
		if r.From() == chat.Coordinator && r.To() == chat.AUser {
			hear(t, r, subject, "alice", "bob") // of a notice, the user is the receiver
		} else {
			hear(t, r, subject, "bob", "carol")
		}
		watching := chat.ObserverGrant("_INBOX.O")
		if denied := listed(watching.DenySubscribe, subject); !mayHear([]chat.Grant{watching}, subject) || denied != (r.From() == chat.Observer) {
			t.Errorf("observers do not hear %s, or each other", subject)
		}
		if got, want := mayHear([]chat.Grant{chat.AuditGrant()}, subject), strings.HasPrefix(subject, "chat.audit."); got != want {
			t.Errorf("who reads the audit log hears %s: %v", subject, got)
		}
		if mayHear([]chat.Grant{chat.LobbyGrant(), chat.OperatorGrant()}, subject) {
			t.Errorf("the lobby or the operator hears %s", subject)
		}
	}
}

func hear(t *testing.T, r *chat.Route, subject string, receiver, other chat.User) {
	t.Helper()
	arrival := r.Arrival(full)
	shared := r == chat.Said.Route || r == chat.Signal.Route
	for _, test := range []struct {
		who     string
		grants  []chat.Grant
		want    bool
		subject string
	}{
		{"the user", []chat.Grant{chat.UserGrant(receiver)}, r.To() == chat.AUser, arrival},
		{"another user", []chat.Grant{chat.UserGrant(other)}, false, arrival},
		{"a user on the sent subject", []chat.Grant{chat.UserGrant(other), chat.UserGrant(receiver)}, r.To() == chat.AUser && arrival == subject, subject},
		{"the member", []chat.Grant{chat.MemberGrant(receiver, sid)}, r.To() == chat.AMember, subject},
		{"another member", []chat.Grant{chat.MemberGrant(other, sid)}, shared, subject},
		{"a member of another epoch", []chat.Grant{chat.MemberGrant(receiver, sid+"-1")}, false, subject},
		{"the coordinator's answering half", []chat.Grant{chat.AnsweringGrant()}, r.To() == chat.Coordinator, subject},
		{"the tap", []chat.Grant{chat.TappingGrant()}, r == chat.Said.Route || r == chat.Direct.Route || r.To() == chat.Observer, subject},
	} {
		if got := mayHear(test.grants, test.subject); got != test.want {
			t.Errorf("%s hears %s: %v, want %v", test.who, test.subject, got, test.want)
		}
	}
}

// TestNobodySharesAnInbox: nobody hears the answers of another, whatever names are
// chosen; reserved names keep the inboxes of lobby, coordinator and operator.
func TestNobodySharesAnInbox(t *testing.T) {
	inboxes := map[string]string{
		"lobby": chat.LobbyInbox, "storing": chat.StoreInbox, "operator": chat.AdminInbox,
		"alice": chat.Inbox("alice"), "bob": chat.Inbox("bob"),
	}
	grants := map[string]chat.Grant{
		"lobby": chat.LobbyGrant(), "storing": chat.StoringGrant(), "operator": chat.OperatorGrant(),
		"alice": chat.UserGrant("alice"), "bob": chat.UserGrant("bob"),
	}
	for owner, inbox := range inboxes {
		for who, g := range grants {
			if got := listed(g.Subscribe, inbox+".1"); got != (who == owner) {
				t.Errorf("%s hears the inbox of %s: %v", who, owner, got)
			}
		}
		if last := inbox[strings.LastIndex(inbox, ".")+1:]; owner != "alice" && owner != "bob" {
			if _, err := chat.ParseName(last); err == nil {
				t.Errorf("somebody can be called %s and read %s", last, inbox)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range chat.Routes() {
		f.Add(r.Subject(full))
	}
	f.Add("chat.session.*.msg.alice")
	f.Fuzz(func(t *testing.T, subject string) {
		r, a, ok := chat.Parse(subject)
		if ok && r.Subject(a) != subject {
			t.Errorf("%q parsed as %+v gives %q", subject, a, r.Subject(a))
		}
	})
}
