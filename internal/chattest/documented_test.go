package chattest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// documentedLine is what docs/console.md says of an event.
type documentedLine struct{ kinds, msgs, keys []string }

// documented reads the tables of docs/console.md: the levels of kinds, and the events.
func documented(t *testing.T) (levels map[string]string, events map[string]documentedLine) {
	t.Helper()
	page := string(must(os.ReadFile("../../docs/console.md"))(t))
	levels, events = map[string]string{}, map[string]documentedLine{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| `([A-Z]+)` \\|").FindAllStringSubmatch(page, -1) {
		levels[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([a-z, ]+) \\| ([a-z, ]+) \\| (.*) \\|$").FindAllStringSubmatch(page, -1) {
		keys := strings.Fields(strings.ReplaceAll(m[4], "`", ""))
		events[m[1]] = documentedLine{strings.Split(m[2], ", "), strings.Split(m[3], ", "), keys}
	}
	if len(levels) != 6 || len(events) < 30 {
		t.Fatalf("the page has %d kinds and %d events", len(levels), len(events))
	}
	return levels, events
}

// TestJSONLinesAreDocumented: what an evening puts on a console for programs has the levels and
// the keys that docs/console.md says.
func TestJSONLinesAreDocumented(t *testing.T) {
	in := chattest.Run(t)
	s := &screens{t: t, json: true}
	links := must(coord.Embed(in.Server))(t)
	t.Cleanup(links.Close)
	s.add(links.Tap, "", in.Coord.Watched, false)
	evening(t, in)
	in.StopCoordinator()
	s.end()
	levels, events := documented(t)
	seen := map[string]bool{}
	for line := range strings.Lines(s.out.String()) {
		var l map[string]any
		must0(t, json.Unmarshal([]byte(line), &l))
		event, kind := fmt.Sprint(l["event"]), fmt.Sprint(l["kind"])
		row, ok := events[event]
		i := slices.Index(row.kinds, kind)
		if !ok || i < 0 || l["level"] != levels[kind] || l["msg"] != row.msgs[i] {
			t.Errorf("not documented: %s", line)
			continue
		}
		seen[kind+" "+event] = true
		for key := range maps.Keys(l) {
			if !slices.Contains(append([]string{"time", "level", "msg", "kind", "event"}, row.keys...), key) {
				t.Errorf("%q of %s is not documented: %s", key, event, line)
			}
		}
		if _, ok := l["text"]; ok != (kind == "message") {
			t.Errorf("a text, or none: %s", line)
		}
	}
	for _, want := range []string{
		"request user.request", "refused user.refused", "action user.registered", "action user.lost", "action user.back", "action user.removed", "action key.changed",
		"action presence.changed", "action status.changed", "action list.sent", "action invitation.new", "action invitation.answer", "action invitation.end",
		"action session.start", "action session.member", "action session.end", "message message", "message direct", "action admin", "refused admin",
		"server server.stopped", "refused console.unreadable", "refused console.not_member",
	} {
		if !seen[want] {
			t.Errorf("the evening has no %s", want)
		}
	}
}

// evening has most of what can happen happen.
func evening(t *testing.T, in *chattest.Installation) {
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Log: in.Config.Log}
	alice, bob, carol := chattest.Dial(t, cfg, "alice"), in.User("Bob"), in.User("carol")
	must(alice.List(t.Context()))(t)
	must0(t, alice.Direct(t.Context(), "bob", "hello"))
	_, err := alice.Invite(t.Context(), "nora")
	chattest.Code(t, err, chat.Unavailable)
	denied := must(alice.Invite(t.Context(), "bob"))(t)
	chattest.Wait[session.Invited](bob)
	must0(t, bob.Answer(t.Context(), denied.ID, false))
	group := chattest.Chat(bob, alice, carol)
	must0(t, carol.Leave(t.Context()))
	chattest.Wait[session.MemberLeft](alice)
	says(t, bob, "hello", alice)
	alice.Close()
	chattest.Wait[session.MemberLost](bob)
	alice = chattest.Dial(t, cfg, "alice")
	chattest.Wait[session.MemberBack](bob)
	said := brokertest.Member(t, in.Server, "mallory", group.ID)
	speak(t, said, group.ID, "mallory", "msg", "1 1 1767366245000 0:1\nx\n")
	must0(t, said.Flush())
	must0(t, bob.Quit(t.Context()))
	chattest.Wait[session.Ended](alice)
	speak(t, brokertest.Member(t, in.Server, "bob", "unknown"), "unknown", "bob", "msg", "x")
	operator := brokertest.Operator(t, in.Server)
	for range 2 {
		_, err := rpc.Call(t.Context(), operator.Conn, chat.AdminKick, chat.Address{}, chat.KickRequest{Target: chat.Target{Name: "bob"}})
		if err != nil {
			chattest.Code(t, err, chat.NothingToDo)
		}
	}
	must0(t, carol.Exit(t.Context()))
	must0(t, alice.Exit(t.Context()))
	away := must(client.Dial(t.Context(), cfg))(t)
	t.Cleanup(away.Close)
	must(away.Rotate(t.Context(), "alice"))(t)
}
