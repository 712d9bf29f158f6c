package session

import (
	"maps"
	"slices"

	"natter/chat"
)

// Audience returns the users who must be told that the record has changed: those who were in the
// session or are in it now, in order. Before is the zero Session when
// there was none.
func Audience(before, after chat.Session) []chat.User {
	told := map[chat.User]bool{}
	for _, m := range slices.Concat(before.Present(), after.Present()) {
		told[m.User()] = true
	}
	return slices.Sorted(maps.Keys(told))
}
