package ui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"natter/chat"
)

// status is the second column of the list.
func status(e chat.Entry) string {
	if !e.Busy {
		return "Available"
	}
	return "Chatting with " + partners(e)
}

// partners returns the first three names and the number of the others. Users whom the viewer may not
// see are "someone".
func partners(e chat.Entry) string {
	const most = 3
	var all []string
	for _, n := range e.With {
		all = append(all, string(n))
	}
	if e.Someone || len(all) == 0 {
		all = append(all, "someone")
	}
	if len(all) > most {
		return strings.Join(all[:most-1], ", ") + " and " + strconv.Itoa(len(all)-most+1) + " more"
	}
	return strings.Join(all, ", ")
}

// clientList returns the list in the form of the third seed.
func clientList(users []chat.Entry) string {
	names := make([]chat.Name, len(users))
	for i, e := range users {
		names[i] = e.Name
	}
	return "CLIENT_LIST<" + chat.Names(names) + ">"
}

// available returns the users who chat with nobody, by name.
func available(users []chat.Entry) []chat.Name {
	var free []chat.Name
	for _, e := range users {
		if !e.Busy {
			free = append(free, e.Name)
		}
	}
	slices.SortFunc(free, func(a, b chat.Name) int { return cmp.Compare(a.User(), b.User()) })
	return free
}

// numbered is the most users for whom every group has a number: 4 of them make 11
// groups, 5 would make 26.
const numbered = 4

// groups returns all sets of two or more of the names: by size, then in the order of names.
// There are 2^n - n - 1.
func groups(names []chat.Name) [][]chat.Name {
	var all [][]chat.Name
	for size := 2; size <= len(names); size++ {
		all = append(all, combinations(names, size)...)
	}
	return all
}

// combinations returns the sets of that size, first those with the first name.
func combinations(names []chat.Name, size int) [][]chat.Name {
	switch {
	case size == 0:
		return [][]chat.Name{nil}
	case size > len(names):
		return nil
	}
	var all [][]chat.Name
	for _, rest := range combinations(names[1:], size-1) {
		all = append(all, append([]chat.Name{names[0]}, rest...))
	}
	return append(all, combinations(names[1:], size)...)
}
