package presence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/presence"
)

var (
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	one  = presence.Connection{Server: "S", ID: 1, Address: "127.0.0.1:1"}
	two  = presence.Connection{Server: "S", ID: 2, Address: "127.0.0.1:2"}
)

func here(name chat.Name, p chat.Presence) presence.Record {
	return presence.Record{Name: name, Key: "K" + string(name), State: presence.Here, Presence: p, Connection: one, Since: noon}
}

// outcome writes what a rule returned, for comparison.
func outcome(r presence.Record, err error) string {
	var told *chat.Error
	switch {
	case errors.Is(err, chat.ErrUnchanged):
		return "unchanged"
	case errors.As(err, &told):
		return string(told.Code)
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("%s %s connection %d", r.State, r.Presence, r.Connection.ID)
}

func TestArrive(t *testing.T) {
	lost := here("alice", chat.Visible)
	lost.State, lost.LostAt, lost.Grace = presence.Lost, noon, time.Minute
	gone := here("alice", chat.Visible)
	gone.State = presence.Gone
	for _, c := range []struct {
		what   string
		before presence.Record
		key    string
		conn   presence.Connection
		online int
		want   string
		says   chat.Presence
	}{
		{"a free name", presence.Record{}, "Kalice", one, 1, "here  connection 1", ""},
		{"after a farewell nothing is left of before", gone, "Kalice", two, 1, "here  connection 2", ""},
		{"another key takes a free name", gone, "Kother", two, 1, "here  connection 2", ""},
		{"the last place", presence.Record{}, "Kalice", one, 2, "here  connection 1", ""},
		{"no place", presence.Record{}, "Kalice", one, 3, "full", ""},
		{"who is here needs no place", lost, "Kalice", two, 3, "here visible connection 2", ""},
		{"the same connection again", here("alice", chat.Visible), "Kalice", one, 1, "unchanged", ""},
		{"the same connection, its address is not known this time", here("alice", chat.Visible), "Kalice", presence.Connection{Server: "S", ID: 1}, 1, "unchanged", ""},
		{"a new connection", here("alice", chat.HiddenAway), "Kalice", two, 1, "here hidden connection 2", ""},
		{"another key", here("alice", chat.Visible), "Kother", two, 1, "taken", ""},
		{"a free name and a choice", presence.Record{}, "Kalice", one, 1, "here visible connection 1", chat.Visible},
		{"the same connection and another choice", here("alice", chat.Visible), "Kalice", one, 1, "here hidden connection 1", chat.HiddenAway},
		{"the same choice again", here("alice", chat.Visible), "Kalice", one, 1, "unchanged", chat.Visible},
		{"another key while the owner is lost", lost, "Kother", two, 1, "taken", ""},
	} {
		a := presence.Arrival{Name: "alice", Key: c.key, Presence: c.says, Connection: c.conn}
		r, err := presence.Arrive(c.before, a, c.online, 3, noon)
		if got := outcome(r, err); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if err == nil && (r.Grace != 0 || !r.LostAt.IsZero() || r.Key != c.key) {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
}

func TestSteps(t *testing.T) {
	alice := here("alice", chat.Visible)
	lost, err := presence.Lose(alice, time.Minute, noon)
	if got := outcome(lost, err); got != "lost visible connection 1" || lost.Grace != time.Minute {
		t.Fatalf("lose: %s, %+v", got, lost)
	}
	gone, err := presence.Remove(lost, chat.ByLoss)
	if got := outcome(gone, err); got != "gone visible connection 1" || gone.Reason != chat.ByLoss {
		t.Fatalf("remove: %s, %+v", got, gone)
	}
	for what, c := range map[string]struct {
		rule func() (presence.Record, error)
		want string
	}{
		"lose twice":           {func() (presence.Record, error) { return presence.Lose(lost, time.Hour, noon) }, "unchanged"},
		"lose who is gone":     {func() (presence.Record, error) { return presence.Lose(gone, time.Hour, noon) }, "unchanged"},
		"remove twice":         {func() (presence.Record, error) { return presence.Remove(gone, chat.ByLeave) }, "unchanged"},
		"hide":                 {func() (presence.Record, error) { return presence.Choose(alice, chat.HiddenAway) }, "here hidden connection 1"},
		"the same choice":      {func() (presence.Record, error) { return presence.Choose(alice, chat.Visible) }, "unchanged"},
		"no choice":            {func() (presence.Record, error) { return presence.Choose(alice, chat.Undecided) }, "arguments"},
		"another word":         {func() (presence.Record, error) { return presence.Choose(alice, "loud") }, "arguments"},
		"a choice after all":   {func() (presence.Record, error) { return presence.Choose(gone, chat.Visible) }, "not_registered"},
		"watching":             {func() (presence.Record, error) { return presence.StartWatching(alice) }, "here visible connection 1"},
		"watching from beyond": {func() (presence.Record, error) { return presence.StartWatching(gone) }, "not_registered"},
	} {
		if got := outcome(c.rule()); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

func TestRoster(t *testing.T) {
	lost := here("dora", chat.Visible)
	lost.State = presence.Lost
	users := []presence.Record{
		here("erin", chat.Visible), here("Carol", chat.Visible), here("alice", chat.Visible),
		here("bob", chat.Visible), here("hidden", chat.HiddenAway), here("fresh", chat.Undecided), lost,
	}
	with := map[chat.User][]presence.Record{
		"bob": {here("hidden", chat.HiddenAway), here("Carol", chat.Visible), here("alice", chat.Visible)}, "erin": {here("hidden", chat.HiddenAway)},
	}
	listed := presence.Listed(slices.Values(users), func(u chat.User) []presence.Record { return with[u] })
	entries, err := presence.Roster(here("alice", chat.Visible), listed, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%s busy=%t with %v someone=%t", e.Name, e.Busy, e.With, e.Someone))
	}
	want := []string{
		"bob busy=true with [alice Carol] someone=true", "Carol busy=false with [] someone=false",
		"dora busy=false with [] someone=false", "erin busy=true with [] someone=true",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for _, viewer := range []presence.Record{here("hidden", chat.HiddenAway), here("fresh", chat.Undecided)} {
		if _, err := presence.Roster(viewer, listed, nil); !errors.Is(err, &chat.Error{Code: chat.Hidden}) {
			t.Errorf("%s sees a list: %v", viewer.Name, err)
		}
	}
	if _, err := presence.Roster(presence.Record{}, listed, nil); !errors.Is(err, &chat.Error{Code: chat.NotRegistered}) {
		t.Errorf("nobody sees a list: %v", err)
	}
}

func TestSuggest(t *testing.T) {
	taken := map[chat.User]bool{"bob2": true, "bob-3": true}
	free := func(n chat.Name) bool { return !taken[n.User()] }
	if got := presence.Suggest("Bob", free); !slices.Equal(got, []chat.Name{"Bob-2", "Bob3", "Bob4"}) {
		t.Errorf("suggested %v", got)
	}
	long := chat.Name(strings.Repeat("x", chat.MaxName))
	for _, name := range presence.Suggest(long, free) {
		if _, err := chat.ParseName(string(name)); err != nil || name == long {
			t.Errorf("suggested %q: %v", name, err)
		}
	}
	if got := presence.Suggest("bob", func(chat.Name) bool { return false }); len(got) != 0 {
		t.Errorf("suggested %v where nothing is free", got)
	}
}

func TestStale(t *testing.T) {
	for _, c := range []struct {
		asked, revision uint64
		stale           bool
	}{{0, 9, false}, {9, 9, false}, {10, 9, false}, {8, 9, true}} {
		if err := presence.Stale(c.asked, c.revision); (err != nil) != c.stale {
			t.Errorf("asked at %d, changed at %d: %v", c.asked, c.revision, err)
		}
	}
}

// What an answer has taken does not count as a difference of clocks.
func TestAhead(t *testing.T) {
	asked, heard := noon, noon.Add(time.Second)
	for now, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: 0, 500 * time.Millisecond: 0, time.Hour: time.Hour - time.Second, -24 * time.Hour: -24 * time.Hour,
	} {
		if got := presence.Ahead(asked, asked.Add(now), heard); got != want {
			t.Errorf("%s after it was asked: %s ahead, not %s", now, got, want)
		}
	}
}
