package chat_test

import (
	"slices"
	"strings"
	"testing"

	"natter/chat"
)

const sid = "00112233445566778899aabbccddeeff"

// TestGrants is the list of who may do what, to be read and compared.
func TestGrants(t *testing.T) {
	for _, test := range []struct {
		name                     string
		have                     chat.Grant
		publish, subscribe, deny []string
	}{
		{name: "lobby", have: chat.LobbyGrant(),
			publish:   []string{"chat.lobby.enter"},
			subscribe: []string{"_IN.lobby.>"}},
		{name: "user", have: chat.UserGrant("alice"),
			publish:   []string{"chat.coord.*.alice", "chat.dm.*.alice"},
			subscribe: []string{"chat.user.alice.>", "_DM.alice.*", "_IN.alice.>"}},
		{name: "side", have: chat.SideGrant("alice"),
			publish:   []string{"chat.coord.list.alice", "chat.dm.*.alice"},
			subscribe: []string{"_DM.alice.*", "_IN.alice.>"}},
		{name: "member", have: chat.MemberGrant("alice", sid),
			publish:   []string{"chat.session." + sid + ".msg.alice", "chat.session." + sid + ".sig.alice", "chat.session." + sid + ".to.*.alice", "chat.session." + sid + ".file.*.alice"},
			subscribe: []string{"chat.session." + sid + ".msg.*", "chat.session." + sid + ".sig.*", "chat.session." + sid + ".to.alice.*", "chat.session." + sid + ".file.alice.*", "_IN.alice." + sid + ".>"}},
		{name: "observer", have: chat.ObserverGrant("_INBOX.O"),
			publish:   []string{"chat.watch.session", "$SRV.>"},
			subscribe: []string{"chat.>", "_INBOX.O.>"},
			deny:      []string{"> >", "chat.watch.session"}},
		{name: "observer of the audit log", have: chat.AuditGrant(),
			subscribe: []string{"chat.audit.>"},
			deny:      []string{"> >"}},
		{name: "operator", have: chat.OperatorGrant(),
			publish:   []string{"chat.admin.*"},
			subscribe: []string{"_IN.admin.>"}},
		{name: "answering", have: chat.AnsweringGrant(),
			publish:   []string{"_IN.>", "_INBOX.>", "_R_.>"},
			subscribe: []string{"chat.coord.>", "chat.lobby.>", "chat.admin.>", "chat.watch.>", "$SRV.>"}},
		{name: "storing", have: chat.StoringGrant(),
			publish:   []string{"natter.state.>", "$JS.API.>", "$JS.ACK.>", "chat.user.>", "chat.mailbox.>", "chat.audit.>"},
			subscribe: []string{"_IN.coordinator.>"}},
		{name: "tapping", have: chat.TappingGrant(),
			subscribe: []string{"chat.session.*.msg.*", "chat.mailbox.*.*", "chat.dm.*.*", "chat.audit.>"}},
		{name: "system", have: chat.SystemGrant("ACC"),
			publish:   []string{"$SYS.REQ.>"},
			subscribe: []string{"$SYS.ACCOUNT.ACC.CONNECT", "$SYS.ACCOUNT.ACC.DISCONNECT", "_IN.coordinator.>"}},
	} {
		for what, lists := range map[string][2][]string{
			"publish":   {test.have.Publish, test.publish},
			"subscribe": {test.have.Subscribe, test.subscribe},
			"deny":      {test.have.DenySubscribe, test.deny},
		} {
			if !slices.Equal(lists[0], lists[1]) {
				t.Errorf("%s, %s:\nhave %q\nwant %q", test.name, what, lists[0], lists[1])
			}
		}
	}
}

// TestGrantsAreNotWidened: NATS lets a subscriber write > for a last token *. What
// is heard beyond the list must be nothing that anybody can say.
func TestGrantsAreNotWidened(t *testing.T) {
	for name, g := range map[string]chat.Grant{
		"user": chat.UserGrant("alice"), "member": chat.MemberGrant("alice", sid), "tapping": chat.TappingGrant(),
	} {
		for _, r := range chat.Routes() {
			for _, subject := range everySubject(r) {
				if !listed(g.Subscribe, subject) && listed(widened(g.Subscribe), subject) {
					t.Errorf("%s can widen its rights to %s", name, subject)
				}
			}
		}
	}
}

// TestWideningIsNoticed shows that the test above would fail: it did, when a
// member's list was written with two wildcards.
func TestWideningIsNoticed(t *testing.T) {
	list := []string{"chat.session." + sid + ".*.*"}
	file := chat.Chunk.Subject(chat.Address{User: "bob", To: "carol", Session: sid})
	if listed(list, file) || !listed(widened(list), file) {
		t.Errorf("%s is not found by widening %s", file, list)
	}
}

func widened(list []string) []string {
	var wide []string
	for _, s := range list {
		if head, ok := strings.CutSuffix(s, "*"); ok {
			s = head + ">"
		}
		wide = append(wide, s)
	}
	return wide
}

// everySubject fills a route for each of three users, receivers and two sessions.
func everySubject(r *chat.Route) []string {
	var subjects []string
	for _, from := range []chat.User{"alice", "bob", "carol"} {
		for _, to := range []chat.User{"alice", "bob", "carol"} {
			for _, session := range []string{sid, sid + "-1"} {
				a := chat.Address{User: from, To: to, Session: session}
				subjects = append(subjects, r.Subject(a), r.Arrival(a))
			}
		}
	}
	return subjects
}

func listed(list []string, subject string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool { return matches(pattern, subject) })
}

// matches reports whether a NATS pattern matches a subject without wildcards.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}
