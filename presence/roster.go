package presence

import (
	"cmp"
	"iter"
	"slices"

	"natter/chat"
)

// Listed returns the roster of all visible users, ordered by name, each with their partners. A
// hidden partner has no name in it.
func Listed(users iter.Seq[Record], partners func(chat.User) []Record) []chat.Entry {
	entries := []chat.Entry{}
	for r := range users {
		if r.Visible() {
			entries = append(entries, EntryOf(r, partners(r.User())))
		}
	}
	slices.SortFunc(entries, func(a, b chat.Entry) int { return cmp.Compare(a.Name.User(), b.Name.User()) })
	return entries
}

// Roster returns the part of a list that a viewer may see: all others, without the users who
// block the viewer. Code Hidden if the viewer is hidden.
func Roster(viewer Record, listed []chat.Entry, blockers map[chat.User]bool) ([]chat.Entry, error) {
	if err := MaySee(viewer); err != nil {
		return nil, err
	}
	listed = withoutBlockers(listed, blockers)
	i, found := slices.BinarySearchFunc(listed, viewer.User(), func(e chat.Entry, u chat.User) int { return cmp.Compare(e.Name.User(), u) })
	if !found {
		return listed, nil
	}
	return slices.Concat(listed[:i], listed[i+1:]), nil
}

// withoutBlockers returns entries as a user sees them whom the blockers block: without the
// blockers, who are "someone" where they chat with others.
func withoutBlockers(entries []chat.Entry, blockers map[chat.User]bool) []chat.Entry {
	if len(blockers) == 0 {
		return entries
	}
	seen := []chat.Entry{}
	for _, e := range entries {
		if blockers[e.Name.User()] {
			continue
		}
		with := slices.DeleteFunc(slices.Clone(e.With), func(n chat.Name) bool { return blockers[n.User()] })
		if len(with) < len(e.With) {
			e.With, e.Someone = slices.Clip(with), true
		}
		seen = append(seen, e)
	}
	return seen
}

// MaySee returns an error if a user may not see others: hidden users see no list.
func MaySee(viewer Record) error {
	switch {
	case !viewer.Present():
		return errNotHere
	case viewer.Presence != chat.Visible:
		return chat.Errorf(chat.Hidden, "You are hidden, so there is no list. /show to be listed and see the list.")
	}
	return nil
}

// EntryOf returns the roster's line for one user.
func EntryOf(r Record, partners []Record) chat.Entry {
	e := chat.Entry{Name: r.Name, Busy: len(partners) > 0}
	for _, p := range partners {
		if p.Visible() {
			e.With = append(e.With, p.Name)
		} else {
			e.Someone = true
		}
	}
	slices.SortFunc(e.With, func(a, b chat.Name) int { return cmp.Compare(a.User(), b.User()) })
	return e
}
