package brokertest_test

import (
	"slices"
	"strings"
	"testing"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
)

const sid = "00112233445566778899aabbccddeeff"

// concrete are subjects of every kind there is, ours and NATS's own, of alice, of
// somebody else and of nobody.
var concrete = []string{
	"chat.lobby.enter", "chat.lobby.other", "chat.lobby",
	"chat.coord.hello.alice", "chat.coord.hello.bob", "chat.coord.other.alice", "chat.coord.alice", "chat.coord.hello.x.alice", "chat.coord.hello.alice.x",
	"chat.user.alice.session", "chat.user.bob.session",
	"chat.dm.bob.alice", "chat.dm.alice.bob", "chat.dm.alice", "chat.dm.x.bob.alice",
	"chat.session." + sid + ".msg.alice", "chat.session." + sid + ".msg.bob",
	"chat.session." + sid + ".sig.alice", "chat.session." + sid + ".sig.bob", "chat.session." + sid + ".other.alice",
	"chat.session." + sid + ".file.bob.alice", "chat.session." + sid + ".file.alice.bob", "chat.session." + sid + ".file.bob.carol",
	"chat.session." + sid + "-1.msg.alice", "chat.session.0.msg.alice", "chat.session.0.file.alice.bob",
	"chat.audit.request", "chat.admin.users", "chat",
	"natter.state.user.alice", "$JS.API.INFO", "$JS.API.STREAM.DELETE.LIVE", "$JS.ACK.LIVE.x.1.1.1.1.0", "$SYS.REQ.SERVER.PING", "$SRV.PING",
	"_IN.alice.1", "_IN.bob.1", "_IN.alice." + sid + ".1", "_IN.alice." + sid + "-1.1", "_IN.lobby.1", "_IN.coordinator.1", "_IN.admin.1",
	"_INBOX.1", "_INBOX.O.1", "_INBOX.P.1", "chat.watch.session", "_R_.1", "other",
}

// wild are what somebody would subscribe to who wants more than is theirs.
var wild = []string{
	">", "*", "*.>", "chat.>", "chat.*", "chat.*.>", "chat.lobby.>", "chat.lobby.*",
	"chat.coord.>", "chat.coord.*.*", "chat.coord.*.alice", "chat.coord.hello.*",
	"chat.user.>", "chat.user.*.>", "chat.user.*.session", "chat.user.alice.>", "chat.user.alice.*", "chat.user.bob.>",
	"chat.dm.>", "chat.dm.*.*", "chat.dm.*.alice", "chat.dm.alice.*", "chat.dm.alice.>", "chat.dm.bob.*",
	"chat.session.>", "chat.session.*.>", "chat.session.*.*.*", "chat.session.*.msg.*",
	"chat.session." + sid + ".>", "chat.session." + sid + ".*.*", "chat.session." + sid + ".*.>", "chat.session." + sid + ".msg.*", "chat.session." + sid + ".msg.>",
	"chat.session." + sid + ".file.>", "chat.session." + sid + ".file.*.*", "chat.session." + sid + ".file.alice.*", "chat.session." + sid + ".file.bob.*", "chat.session." + sid + ".*.*.*",
	"chat.session." + sid + "-1.*.*", "chat.session.0.*.*",
	"chat.audit.>", "chat.audit.*", "chat.admin.>", "chat.admin.*",
	"natter.>", "natter.state.>", "$JS.>", "$JS.API.>", "$SYS.>", "$SYS.ACCOUNT.>", "$SRV.>",
	"_IN.>", "_IN.*.>", "_IN.*", "_IN.alice.>", "_IN.alice.*", "_IN.bob.>", "_IN.alice." + sid + ".>", "_IN.alice." + sid + ".*",
	"_IN.lobby.>", "_IN.coordinator.>", "_IN.admin.>", "_INBOX.>", "_INBOX.*", "_INBOX.*.>", "_INBOX.*.*", "_INBOX.O.>", "_INBOX.P.>", "chat.watch.>", "chat.watch.*", "chat.*.session", "_R_.>",
}

// TestRights asks the server, for each kind of connection and every subject, and
// compares with the grant.
func TestRights(t *testing.T) {
	srv := brokertest.Run(t)
	dial := func(g chat.Grant) func(*testing.T) *brokertest.Conn {
		return func(t *testing.T) *brokertest.Conn { return brokertest.Dial(t, srv, g, chat.Inbox("alice")) }
	}
	with := func(f func(testing.TB, *embedded.Server) *brokertest.Conn) func(*testing.T) *brokertest.Conn {
		return func(t *testing.T) *brokertest.Conn { return f(t, srv) }
	}
	for name, kind := range map[string]struct {
		grant chat.Grant
		dial  func(*testing.T) *brokertest.Conn
	}{
		"lobby":     {chat.LobbyGrant(), with(brokertest.Lobby)},
		"user":      {chat.UserGrant("alice"), dial(chat.UserGrant("alice"))},
		"member":    {chat.MemberGrant("alice", sid), dial(chat.MemberGrant("alice", sid))},
		"observer":  {chat.ObserverGrant("_INBOX.O"), dial(chat.ObserverGrant("_INBOX.O"))},
		"audit":     {chat.AuditGrant(), dial(chat.AuditGrant())},
		"operator":  {chat.OperatorGrant(), with(brokertest.Operator)},
		"answering": {chat.AnsweringGrant(), dial(chat.AnsweringGrant())},
		"storing":   {chat.StoringGrant(), dial(chat.StoringGrant())},
		"tapping":   {chat.TappingGrant(), dial(chat.TappingGrant())},
		"nothing":   {chat.Grant{}, dial(chat.Grant{})},
	} {
		t.Run(name, func(t *testing.T) {
			c := kind.dial(t)
			for _, s := range concrete {
				if got, want := c.MayPublish(t, s), allowed(kind.grant.Publish, s); got != want {
					t.Errorf("may publish %s: %v, want %v", s, got, want)
				}
			}
			queue := len(kind.grant.DenySubscribe) == 0
			for _, s := range append(concrete, wild...) {
				want := allowed(kind.grant.Subscribe, s) && !slices.Contains(kind.grant.DenySubscribe, s)
				if got := c.MaySubscribe(t, s, ""); got != want {
					t.Errorf("may subscribe to %s: %v, want %v", s, got, want)
				}
				if got := c.MaySubscribe(t, s, "q"); got != (want && queue) {
					t.Errorf("may subscribe to %s in a queue group: %v, want %v", s, got, want && queue)
				}
			}
		})
	}
}

func allowed(list []string, subject string) bool {
	for _, pattern := range list {
		if covers(pattern, subject) {
			return true
		}
	}
	return false
}

// covers reports whether the server takes subject for a part of pattern. It is more
// generous than one should think: where the pattern ends with *, the subject may
// end with >. chat.TestGrantsAreNotWidened shows that this gives nothing away.
func covers(pattern, subject string) bool {
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
