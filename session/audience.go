package session

import (
	"maps"
	"slices"

	"natter/chat"
)

// Audience returns everybody who must be told that the record has changed: whoever
// was in the session or is in it now, in order. Before is the zero Session when
// there was none.
func Audience(before, after chat.Session) []chat.User {
	told := map[chat.User]bool{}
	for _, m := range slices.Concat(before.Present(), after.Present()) {
		told[m.User()] = true
	}
	return slices.Sorted(maps.Keys(told))
}
