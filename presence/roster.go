package presence

import (
	"iter"
	"slices"
	"sort"
	"strings"

	"natter/chat"
)

// Roster is the list that a viewer may see: every other visible user, ordered by
// name, with the partners of those who chat. A partner who is hidden is only
// counted. Code Hidden if the viewer is hidden.
func Roster(viewer Record, users iter.Seq[Record], partners func(chat.User) []Record) ([]chat.Entry, error) {
	if err := MaySee(viewer); err != nil {
		return nil, err
	}
	type line struct {
		user  chat.User // folded once, not at each comparison
		entry chat.Entry
	}
	var lines []line
	me := viewer.User()
	for r := range users {
		if u := r.User(); r.Visible() && u != me {
			lines = append(lines, line{u, EntryOf(r, partners(u))})
		}
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(string(a.user), string(b.user)) })
	entries := make([]chat.Entry, len(lines))
	for i, l := range lines {
		entries[i] = l.entry
	}
	return entries, nil
}

// MaySee tells whether a user may see others: who hides sees no list.
func MaySee(viewer Record) error {
	switch {
	case !viewer.Present():
		return errNotHere
	case viewer.Presence != chat.Visible:
		return chat.Errorf(chat.Hidden, "You are hidden, so there is no list. /show to be listed and see the list.")
	}
	return nil
}

// EntryOf is the roster's line for one user.
func EntryOf(r Record, partners []Record) chat.Entry {
	e := chat.Entry{Name: r.Name, Busy: len(partners) > 0}
	for _, p := range partners {
		if p.Visible() {
			e.With = append(e.With, p.Name)
		} else {
			e.Someone = true
		}
	}
	sort.Slice(e.With, func(i, j int) bool { return e.With[i].User() < e.With[j].User() })
	return e
}
