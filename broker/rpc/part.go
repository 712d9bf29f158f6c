package rpc

import (
	"cmp"
	"iter"
	"slices"
)

// Part is the part of a list that follows what an asker has: those with a greater key, in
// the order of their keys, at most so many of them; and whether there are more. It is for
// lists that do not fit into one message.
func Part[T any](all iter.Seq[T], key func(T) string, after string, most int) (part []T, more bool) {
	for one := range all {
		if key(one) > after {
			part = append(part, one)
		}
	}
	slices.SortFunc(part, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return part[:min(len(part), most)], len(part) > most
}
