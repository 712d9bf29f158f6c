package presence

import (
	"context"
	"maps"
	"sync"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// pending are the names that were asked for at this replica and not taken yet.
type pending struct {
	mu    sync.Mutex
	names map[string]map[chat.User]time.Time // until when, by whose they are
}

// add notes a name for each of some owners, unless one of them has as many as allowed already; 0
// is no limit. fresh reports that none of them had it.
func (p *pending) add(u chat.User, owners map[string]int, now, until time.Time) (fresh, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh = true
	for owner, most := range owners {
		maps.DeleteFunc(p.names[owner], func(_ chat.User, until time.Time) bool { return !now.Before(until) })
		_, again := p.names[owner][u]
		fresh = fresh && !again
		if most > 0 && !again && len(p.names[owner]) >= most {
			return false, false
		}
	}
	if p.names == nil {
		p.names = map[string]map[chat.User]time.Time{}
	}
	for owner := range owners {
		if p.names[owner] == nil {
			p.names[owner] = map[chat.User]time.Time{}
		}
		p.names[owner][u] = until
	}
	return fresh, true
}

// undo removes what add has noted.
func (p *pending) undo(u chat.User, owners map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for owner := range owners {
		if delete(p.names[owner], u); len(p.names[owner]) == 0 {
			delete(p.names, owner)
		}
	}
}

// drop forgets a name that was taken, or is free.
func (p *pending) drop(u chat.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for owner, names := range p.names {
		if delete(names, u); len(names) == 0 {
			delete(p.names, owner)
		}
	}
}

// mayReserve refuses an asker who has reserved many names and taken none. The error says to wait,
// because the asker may be one of many users at one address.
func (s *Service) mayReserve(name chat.Name, from string, q chat.EnterRequest, now time.Time) (undo func(), err error) {
	owners := map[string]int{"address " + rpc.Network(from): s.ConnLimits.Reserved}
	if id, ok := chat.ReadPass(q.Pass, q.Key); ok && s.Invited {
		owners["pass "+id+" "+q.Key] = s.ConnLimits.ReservedByPass
	}
	switch fresh, ok := s.pending.add(name.User(), owners, now, now.Add(chat.Hold)); {
	case !ok:
		return nil, rpc.TooFast("names asked for and not taken", time.Second)
	case fresh:
		return func() { s.pending.undo(name.User(), owners) }, nil
	}
	return func() {}, nil
}

const (
	// released is how long after its end a reservation is removed: its ticket has expired.
	released = time.Second
	// tombstoneFor is how long the tombstone of a reservation stays, so that the ledger of the state
	// has it.
	tombstoneFor = time.Minute
)

// accountSeen removes reservations that have ended, and names that were freed: otherwise clients
// that ask for names and take none would fill ACCOUNTS, and nobody could make room in it. It is
// called for the records that were there at the start, too.
func (s *Service) accountSeen(u chat.User, r account.Record, revision uint64, gone bool) {
	key := " reserved " + string(u)
	switch {
	case gone:
		s.jobs.After(key, tombstoneFor, "purge a reservation", func(ctx context.Context) error { return s.Accounts.Purge(ctx, u, revision) })
	case reservation(r):
		s.jobs.After(key, max(time.Until(r.Reserved), 0)+released, "remove a reservation", func(ctx context.Context) error { return s.release(ctx, u) })
	case r.Nobodys():
		s.jobs.After(key, max(time.Until(r.Freed), 0)+released, "remove a freed name", func(ctx context.Context) error {
			return s.Accounts.Release(ctx, u, func(r account.Record) bool { return r.Nobodys() && !s.settled().Before(r.Freed) })
		})
	default:
		s.jobs.Cancel(key)
	}
	if !reservation(r) {
		s.pending.drop(u)
	}
}

// reservation reports whether a name was asked for and not taken.
func reservation(r account.Record) bool { return r.Key != "" && !r.Taken() && r.Deleted.IsZero() }

// release removes a reservation that has ended, unless its user is present: then the login is not
// noted yet.
func (s *Service) release(ctx context.Context, u chat.User) error {
	if row, _ := s.Users.Get(store.Committed, string(u)); row.Record.Present() {
		return s.noteEntered(ctx, u, row.Record.Key)
	}
	return s.Accounts.Release(ctx, u, func(r account.Record) bool { return reservation(r) && time.Now().After(r.Reserved) })
}
