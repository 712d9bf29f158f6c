package presence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// Revoker tells the NATS servers which tickets are void.
type Revoker interface {
	// Revoke revokes the tickets of keys that were made until a time, in whole seconds, and closes
	// their connections. For the keys in over, nothing is revoked from now on.
	Revoke(ctx context.Context, void map[string]time.Time, over []string) error
}

// Revocations is the table of what is void, by user or, where none is known, by key.
type Revocations = store.Table[Revoked]

// NewRevocations adds the table to a log. Its index finds records by key.
func NewRevocations(l *store.Log, changed func(store.Change[Revoked])) *Revocations {
	return store.NewTable(l, "revoked", store.TableConfig[Revoked]{
		Gone: func(r Revoked) bool { return len(r.Keys) == 0 },
		Index: func(r Revoked) []string {
			var keys []string
			for key := range r.Keys {
				keys = append(keys, key)
			}
			return keys
		},
		Changed: changed,
	})
}

// push tells the servers what is void: one push at a time, and not too often, because each costs
// something for every open connection.
type push struct {
	turn     chan struct{} // guards the rest
	last     time.Time
	revision uint64 // what the servers know

	took     atomic.Int64 // nanoseconds of the last one
	waiting  atomic.Bool  // a push of tickets that were given back is due
	sweeping atomic.Bool  // a sweep of them is due
}

const (
	pushEvery = time.Second
	revoking  = "revoke tickets"
)

// RevokedChanged makes sure that the servers are told of a change, by the replica that made it or
// later by another one. It runs on the log's goroutine.
func (s *Service) RevokedChanged(c store.Change[Revoked]) {
	s.jobs.Cancel("revoked " + c.Key)
	if next := c.Record.Next(); !next.IsZero() {
		s.when("revoked "+c.Key, next, "forget what has expired", func(ctx context.Context) error {
			return s.forgetRevoked(ctx, c.Key)
		})
	}
	given, more := changedVoid(c.Before, c.Record)
	if given {
		pushLater(s)
		sweepLater(s)
	}
	if !c.Own && more {
		s.jobs.After(" revoke", others, revoking, func(ctx context.Context) error { return s.pushRevoked(ctx, s.log.Revision()) })
	}
}

// forgetRevoked has the servers forget what has expired, and then forgets it itself.
func (s *Service) forgetRevoked(ctx context.Context, key string) error {
	if err := s.pushRevoked(ctx, s.log.Revision()+1); err != nil {
		return err
	}
	_, err := s.Revoked.Update(ctx, key, func(_ store.View, r Revoked) (Revoked, error) { return Forget(r, s.settled()) })
	return err
}

// revoke revokes the tickets of keys, which are grouped by the record that they belong to. It is
// false if the servers have not been told yet, or cannot be told.
func (s *Service) revoke(ctx context.Context, keys map[string][]string) bool {
	revision, all := s.storeRevoked(ctx, keys)
	if s.Revoker == nil {
		return false
	}
	err := s.log.Await(ctx, revision)
	if err == nil {
		err = s.pushRevoked(ctx, revision)
	}
	if err != nil {
		s.Log.Error("revoke tickets", "err", err)
		s.jobs.Do(revoking, func(ctx context.Context) error { return s.pushRevoked(ctx, revision) })
	}
	return err == nil && all
}

// storeRevoked stores what is void. It returns the revision, and whether everything is stored.
func (s *Service) storeRevoked(ctx context.Context, keys map[string][]string) (uint64, bool) {
	var mu sync.Mutex
	var revision uint64
	err := each(slices.Collect(maps.Keys(keys)), func(record string) error {
		row, err := s.Revoked.Update(ctx, record, func(_ store.View, r Revoked) (Revoked, error) { return Revoke(r, keys[record], s.latest()) })
		if err != nil {
			return fmt.Errorf("of %s: %w", record, err)
		}
		mu.Lock()
		defer mu.Unlock()
		revision = max(revision, row.Revision)
		return nil
	})
	if err != nil {
		s.Log.Error("revoke tickets", "err", err)
	}
	return revision, err == nil
}

// pushRevoked tells the servers what is void, unless they know a revision already.
func (s *Service) pushRevoked(ctx context.Context, revision uint64) error {
	if s.Revoker == nil {
		return nil
	}
	select {
	case s.push.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait to revoke tickets: %w", ctx.Err())
	}
	defer func() { <-s.push.turn }()
	if s.push.revision >= revision {
		return nil
	}
	select {
	case <-time.After(time.Until(s.push.last.Add(pushEvery))):
	case <-ctx.Done():
		return fmt.Errorf("wait to revoke tickets: %w", ctx.Err())
	}
	known, begin := s.log.Revision(), time.Now()
	void, over, young := s.void(s.settled(), begin)
	if err := s.Revoker.Revoke(ctx, void, over); err != nil {
		return fmt.Errorf("revoke tickets: %w", err)
	}
	s.push.last, s.push.revision = time.Now(), known
	s.push.took.Store(int64(time.Since(begin)))
	if young {
		pushLater(s)
	}
	return nil
}

// void is what the servers must know, and what they may forget. young tells that somebody
// has left too short a time before now.
func (s *Service) void(settled, now time.Time) (void map[string]time.Time, over []string, young bool) {
	void, drop := map[string]time.Time{}, map[string]bool{}
	var left []given
	for _, row := range s.Revoked.Snapshot() {
		for key, v := range row.Record.Keys {
			switch {
			case !settled.Before(v.Until):
				drop[key] = true
			case v.Left:
				left = append(left, given{key, v.At})
			case v.At.After(void[key]):
				void[key] = v.At
			}
		}
	}
	tell, keep, young := givenBack(s, left, now)
	for _, g := range keep {
		drop[g.key] = true
	}
	for _, g := range tell {
		if g.at.After(void[g.key]) {
			void[g.key] = g.at
		}
	}
	for key := range drop {
		if _, again := void[key]; !again {
			over = append(over, key)
		}
	}
	return void, over, young
}

// bearable is what the clocks of two replicas may differ.
const bearable = 2 * time.Second

// setBack is why somebody cannot come in who was signed out by a clock that was ahead of
// ours: the servers would take a ticket of now for one of those that are void.
func setBack(at, now time.Time) error {
	return chat.Errorf(chat.Denied, "The server's clock was set back: it says %s, and tickets of this key are void until %s. Ask its operator to check the clock.",
		account.Moment(now), account.Moment(at))
}

// awaitMintable waits until a ticket for a key is not void from the beginning: revocations
// count in whole seconds.
func (s *Service) awaitMintable(ctx context.Context, key string) error {
	var at time.Time
	now := time.Now()
	for _, row := range s.Revoked.By(store.Committed, key) {
		v := row.Record.Keys[key]
		switch {
		case v.Left && v.At.Sub(now) > bearable && !v.Until.IsZero(): // the clock was set back
			if err := readmit(s, ctx, row.Key, key); err != nil {
				return err
			}
		case v.Left: // the servers do not know it, or it is past: see givenBack
		case v.At.After(at):
			at = v.At
		}
	}
	wait := at.Add(time.Second).Sub(now)
	switch {
	case at.IsZero() || wait <= 0:
		return nil
	case wait > bearable:
		return setBack(at, now)
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return chat.Errorf(chat.Timeout, "The coordinator could not carry this out in time; try again.")
	}
}
