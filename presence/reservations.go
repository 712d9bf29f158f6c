package presence

import (
	"context"
	"time"

	"natter/broker"
	"natter/chat"
	"natter/presence/account"
)

const (
	// released is how long after its end a reservation is removed: its ticket has expired.
	released = time.Second
	// tombstoneFor is how long the tombstone of a reservation stays: the ledger of the state
	// must have seen it.
	tombstoneFor = time.Minute
)

// accountSeen removes reservations that have ended: whoever asks for names and takes none
// would fill ACCOUNTS otherwise. It is told of what was there at the start, too.
func (s *Service) accountSeen(u chat.User, r account.Record, revision uint64, gone bool) {
	key := " reserved " + string(u)
	switch {
	case gone:
		s.chores.After(key, tombstoneFor, "purge a reservation", func(ctx context.Context) error { return s.Accounts.Purge(ctx, u, revision) })
	case reservation(r):
		s.chores.After(key, max(time.Until(r.Reserved), 0)+released, "remove a reservation", func(ctx context.Context) error { return s.release(ctx, u) })
	default:
		s.chores.Cancel(key)
	}
}

// reservation reports whether a name was asked for and not taken.
func reservation(r account.Record) bool { return r.Key != "" && !r.Taken() && r.Deleted.IsZero() }

// release removes a reservation that has ended, unless its user is here: then the login is
// yet to be noted.
func (s *Service) release(ctx context.Context, u chat.User) error {
	if row, _ := s.Users.Get(broker.Committed, string(u)); row.Record.Present() {
		return s.noteEntered(ctx, u, row.Record.Key)
	}
	return s.Accounts.Release(ctx, u, func(r account.Record) bool { return reservation(r) && time.Now().After(r.Reserved) })
}
