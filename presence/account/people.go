package account

import (
	"cmp"
	"slices"
	"time"

	"natter/chat"
)

// Remember notes what a user has chosen and shown; what is empty stays as it is.
// chat.ErrUnchanged if all of that is known.
func Remember(r Record, p chat.Presence, identity string) (Record, error) {
	p, identity = cmp.Or(p, r.Presence), cmp.Or(identity, r.Identity)
	if p == r.Presence && identity == r.Identity {
		return r, chat.ErrUnchanged
	}
	r.Presence, r.Identity = p, identity
	return r, nil
}

// seenEvery is how exactly the last time that a user was here is known: it is told in
// minutes.
const seenEvery = time.Minute

// Seen notes that the holder of the key was here until then. chat.ErrUnchanged if about as
// much is known.
func Seen(r Record, key string, until time.Time) (Record, error) {
	if r.Key != key || !r.Taken() || until.Sub(r.LastLogin) < seenEvery {
		return r, chat.ErrUnchanged
	}
	r.LastLogin = until
	return r, nil
}

// Block adds to the blocks of a user. One without an end is not changed into one with an
// end. Code Self, TooLong; chat.ErrUnchanged if it is there.
func Block(owner chat.User, blocks []chat.Block, b chat.Block, now time.Time) ([]chat.Block, error) {
	if b.Name.User() == owner {
		return blocks, chat.Errorf(chat.Self, "That is you.")
	}
	kept := Holding(blocks, now)
	i, found := find(kept, b.Name.User())
	switch {
	case found && (kept[i] == b || kept[i].Until.IsZero()):
		return blocks, chat.ErrUnchanged
	case found:
		kept[i] = b
		return kept, nil
	case len(kept) >= chat.MaxBlocks:
		return blocks, chat.Errorf(chat.TooLong, "You block %d users, and more cannot be. /unblock NAME makes room.", len(kept))
	}
	return slices.Insert(kept, i, b), nil
}

// Unblock takes a block back. chat.ErrUnchanged if there is none.
func Unblock(blocks []chat.Block, u chat.User, now time.Time) ([]chat.Block, error) {
	kept := Holding(blocks, now)
	i, found := find(kept, u)
	if !found {
		return blocks, chat.ErrUnchanged
	}
	return slices.Delete(kept, i, i+1), nil
}

// Holding are the blocks that have not ended, in a list of their own.
func Holding(blocks []chat.Block, now time.Time) []chat.Block {
	return slices.DeleteFunc(slices.Clone(blocks), func(b chat.Block) bool { return !b.Holds(now) })
}

// Blocks reports whether u is among them.
func Blocks(blocks []chat.Block, u chat.User, now time.Time) bool {
	i, found := find(blocks, u)
	return found && blocks[i].Holds(now)
}

func find(blocks []chat.Block, u chat.User) (int, bool) {
	return slices.BinarySearchFunc(blocks, u, func(b chat.Block, u chat.User) int { return cmp.Compare(b.Name.User(), u) })
}
