package presence_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"natter/chat"
	"natter/presence"
)

func TestArriveOnAnotherTerminal(t *testing.T) {
	record := func(terminal string, state presence.State) presence.Record {
		r := here("alice", chat.Visible)
		r.Terminal, r.State = terminal, state
		return r
	}
	after := func(r presence.Record, past ...string) presence.Record {
		r.Past = past
		return r
	}
	at := func(r presence.Record, c presence.Connection) presence.Record {
		r.Connection = c
		return r
	}
	later := noon.Add(time.Hour)
	for _, c := range []struct {
		what      string
		before    presence.Record
		terminal  string
		elsewhere bool
		takeover  bool
		want      string
		over      bool // the older terminal is signed out
	}{
		{"the same one again", record("A", presence.Here), "A", true, false, "A", false},
		{"another one", record("A", presence.Here), "B", true, false, "signed_in", false},
		{"another one, of which only the first one's connection is known", at(record("A", presence.Here), two), "B", false, false, "signed_in", false},
		{"another one that takes over", record("A", presence.Here), "B", true, true, "B", true},
		{"another one, the first is not connected", record("A", presence.Here), "B", false, false, "B", true},
		{"another one in the grace time", record("A", presence.Lost), "B", true, false, "B", false},
		{"one that does not say", record("A", presence.Here), "", true, false, "A", false},
		{"one that does not say and takes over", record("A", presence.Here), "", true, true, "", true},
		{"after one that did not say", record("", presence.Here), "B", true, false, "B", false},
		{"one that was signed out takes over late", after(record("B", presence.Here), "A"), "A", true, true, "signed_in", false},
		{"and when nothing is known of the other one's connection", after(record("B", presence.Here), "A"), "A", false, true, "signed_in", false},
		{"and while it is lost", after(record("B", presence.Lost), "A"), "A", false, true, "signed_in", false},
		{"one that was signed out comes late", after(record("B", presence.Here), "A"), "A", false, false, "signed_in", false},
		{"another one after some", after(record("B", presence.Here), "A"), "C", true, true, "C", true},
		{"the one that is here says it again", after(record("B", presence.Here), "A"), "B", true, true, "B", false},
		{"taking over where nobody is", record("A", presence.Gone), "B", false, true, "B", false},
	} {
		a := presence.Arrival{Name: "alice", Key: "Kalice", Connection: two, Terminal: c.terminal, Elsewhere: c.elsewhere, Takeover: c.takeover}
		r, err := presence.Arrive(c.before, a, 1, 3, later)
		got := r.Terminal
		if told, ok := err.(*chat.Error); ok {
			got = string(told.Code)
			if !told.Since.Equal(noon) || told.Text != "alice is signed in on another terminal since 12:00 UTC." {
				t.Errorf("%s: %+v", c.what, told)
			}
		}
		if got != c.want || err == nil && presence.TakenOver(c.before, r) != c.over {
			t.Errorf("%s: %s %+v, want %s", c.what, got, r, c.want)
		}
		if moved := c.before.Present() && err == nil && r.Terminal != c.before.Terminal && c.before.Terminal != ""; moved && !r.Since.Equal(later) {
			t.Errorf("%s: here since %s", c.what, r.Since)
		}
	}
}

func TestArriveRemembers(t *testing.T) {
	blocks := []chat.Block{{Name: "bob"}}
	a := presence.Arrival{Name: "alice", Key: "Kalice", Remembered: chat.HiddenAway, Blocks: blocks}
	r, err := presence.Arrive(presence.Record{}, a, 0, 0, noon)
	if err != nil || r.Presence != chat.HiddenAway || !r.BlocksUser("bob", noon) || r.BlocksUser("carol", noon) {
		t.Fatalf("%+v, %v", r, err)
	}
	a.Remembered, a.Blocks = chat.Visible, nil // what a record has is newer
	if r, err = presence.Arrive(r, a, 0, 0, noon); err != chat.ErrUnchanged || r.Presence != chat.HiddenAway || !r.BlocksUser("bob", noon) {
		t.Fatalf("%+v, %v", r, err)
	}
	a.Presence = chat.Visible
	if r, err = presence.Arrive(r, a, 0, 0, noon); err != nil || r.Presence != chat.Visible {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestRosterOfTheBlocked(t *testing.T) {
	users := []presence.Record{here("alice", chat.Visible), here("bob", chat.Visible), here("carol", chat.Visible), here("dave", chat.Visible)}
	with := map[chat.User][]presence.Record{"bob": {users[2]}, "carol": {users[1]}, "dave": {users[1], users[2]}}
	listed := presence.Listed(slices.Values(users), func(u chat.User) []presence.Record { return with[u] })
	before := fmt.Sprint(listed)
	entries, err := presence.Roster(users[0], listed, map[chat.User]bool{"bob": true})
	want := []chat.Entry{
		{Name: "carol", Busy: true, With: []chat.Name{}, Someone: true},
		{Name: "dave", Busy: true, With: []chat.Name{"carol"}, Someone: true},
	}
	if err != nil || fmt.Sprint(entries) != fmt.Sprint(want) {
		t.Errorf("alice sees %+v, %v", entries, err)
	}
	if fmt.Sprint(listed) != before {
		t.Error("what others see is changed")
	}
}

func TestPastTerminals(t *testing.T) {
	var r presence.Record
	for i := range 40 {
		a := presence.Arrival{Name: "alice", Key: "Kalice", Terminal: fmt.Sprint(i), Takeover: true}
		var err error
		if r, err = presence.Arrive(r, a, 0, 0, noon); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.Past) != 16 || r.Past[0] != "23" || r.Past[15] != "38" {
		t.Fatalf("%v", r.Past)
	}
	if r, err := presence.Arrive(r, presence.Arrival{Name: "alice", Key: "Kalice", Connection: two}, 0, 0, noon); err != nil || len(r.Past) != 16 {
		t.Fatalf("after the same one: %v, %v", r.Past, err)
	}
}
