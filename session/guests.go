package session

import (
	"cmp"
	"slices"

	"natter/chat"
)

// parseGuests checks what can be checked without knowing who is present.
func parseGuests(host chat.User, guests []string, maxGroup int) ([]chat.Name, error) {
	if len(guests) == 0 {
		return nil, chat.Errorf(chat.Arguments, "Name somebody to invite.")
	}
	var typed []chat.Name
	seen := map[chat.User]bool{}
	for _, g := range guests {
		name, err := chat.ParseName(g)
		switch u := name.User(); {
		case err != nil:
			return nil, err
		case u == host:
			return nil, chat.Errorf(chat.Self, "That is you.")
		case seen[u]:
			return nil, chat.Errorf(chat.Arguments, "%s is named twice.", name)
		}
		seen[name.User()] = true
		typed = append(typed, name)
	}
	if len(typed) > 1 && len(typed)+1 > maxGroup {
		return nil, chat.Errorf(chat.GroupLarge, "A group chat has at most %d members.", maxGroup)
	}
	return typed, nil
}

// gather makes the members of a proposal, if all of the guests can be invited.
func gather(w World, host chat.User, typed []chat.Name) ([]chat.Member, error) {
	name, _, _ := w.User(host)
	members := []chat.Member{{Name: name, Accepted: true}}
	for _, t := range typed {
		guest, visible, ok := w.User(t.User())
		if !ok || !visible || w.Blocks(t.User(), host) {
			// One sentence for all cases, with the name as it was typed: the name as a hidden or
			// blocking user writes it would tell that they are present.
			return nil, chat.Errorf(chat.Unavailable, "%s is not available.", t)
		}
		if s, busy := Busy(w, t.User()); busy {
			return nil, chat.Errorf(chat.Busy, "%s is not available: chatting with %s.", guest, partners(w, s, t.User(), host))
		}
		members = append(members, chat.Member{Name: guest})
	}
	return members, nil
}

// partners tells a viewer with whom u chats, by name. Users who are hidden, or block the viewer, are
// "someone".
func partners(w World, s chat.Session, u, viewer chat.User) string {
	var names []chat.Name
	hidden := false
	for _, name := range s.Others(u) {
		if _, visible, ok := w.User(name.User()); ok && visible && !w.Blocks(name.User(), viewer) {
			names = append(names, name)
		} else {
			hidden = true
		}
	}
	slices.SortFunc(names, func(a, b chat.Name) int { return cmp.Compare(a.User(), b.User()) })
	if hidden {
		names = append(names, "someone")
	}
	return chat.Names(names)
}

// crossing finds the invitation to the host alone from the only guest. An
// invitation to a group does not count: the host did not invite the others. Neither does one of a
// user who blocks the host by now.
func crossing(w World, host chat.User, typed []chat.Name) (chat.Session, bool) {
	for _, s := range w.Of(host) {
		if s.State == chat.Proposed && !s.Group() && len(typed) == 1 && s.Host == typed[0].User() && !w.Blocks(s.Host, host) {
			return s, true
		}
	}
	return chat.Session{}, false
}

// crossed reports whether a chat of two is with the only guest, who had invited first.
func crossed(s chat.Session, guests []string) bool {
	if s.Group() || len(guests) != 1 {
		return false
	}
	guest, err := chat.ParseName(guests[0])
	return err == nil && guest.User() == s.Host
}

// waiting finds the host's own open invitation.
func waiting(w World, host chat.User) (chat.Session, bool) {
	for _, s := range w.Of(host) {
		if s.State == chat.Proposed && s.Host == host {
			return s, true
		}
	}
	return chat.Session{}, false
}

// sameGuests reports whether the proposal has exactly these guests.
func sameGuests(s chat.Session, typed []chat.Name) bool {
	if len(s.Guests()) != len(typed) {
		return false
	}
	for _, t := range typed {
		if _, in := s.Member(t.User()); !in {
			return false
		}
	}
	return true
}
