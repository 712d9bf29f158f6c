package rpc

import (
	"cmp"
	"iter"
	"slices"
)

// Page is the part of a list that follows what an asker has: those with a greater key, in
// the order of their keys, at most so many of them; and whether there are more. It is for
// lists that do not fit into one message.
func Page[T any](all iter.Seq[T], key func(T) string, after string, most int) (page []T, more bool) {
	for one := range all {
		if key(one) > after {
			page = append(page, one)
		}
	}
	slices.SortFunc(page, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return page[:min(len(page), most)], len(page) > most
}
