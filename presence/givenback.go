package presence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"natter/broker/store"
	"natter/chat"
)

// A ticket with which its holder may speak is valid as long as the user is present. When the
// user leaves or is removed, the ticket is given back: the coordinator refuses a hello with it at
// once, closes connections that are made with it, and has the servers revoke it.

const (
	// leftAfter is how long the coordinator waits before it has the servers revoke such a ticket.
	// So a ticket that is made in the same second is not revoked, whatever the clocks of two
	// replicas say.
	leftAfter = 5 * time.Second
	// leftPause times the duration of the last push is the pause before the next one: each push
	// costs something for every open connection.
	leftPause = 20
	// mostLeft bounds the keys of users who have left in the account's JWT, which every server
	// reads: the last ones are in it. The coordinator refuses the others.
	mostLeft = 4096
	// strayFor is how long a connection with a ticket that was given back stays open: its client
	// learns so from the answer to its hello, and asks in the lobby.
	strayFor = 2 * time.Second
	// sweepEvery is how often expired tickets that were given back are forgotten.
	sweepEvery = 10 * time.Minute
)

var errGivenBack = chat.Errorf(chat.NotRegistered, "This ticket was given back when its user left, or was removed. Ask for another one in the lobby.")

// given is a key whose tickets were given back at a time.
type given struct {
	key string
	at  time.Time
}

// givenBack sorts tickets that were given back: tell are those that the servers must revoke, keep
// those that they need not, because their users are present again or too many have left since.
// young reports whether some were given back within leftAfter.
func givenBack(s *Service, left []given, now time.Time) (tell, keep []given, young bool) {
	slices.SortFunc(left, func(a, b given) int { return b.at.Compare(a.at) })
	for _, g := range left {
		switch since := now.Sub(g.at); {
		case since < leftAfter:
			young = young || since >= 0
		case len(tell) >= mostLeft || len(s.Users.By(store.Committed, g.key)) > 0:
			keep = append(keep, g)
		default:
			tell = append(tell, g)
		}
	}
	return tell, keep, young
}

// changedVoid reports whether a change concerns tickets that were given back, and whether it
// concerns anything else.
func changedVoid(before, after Revoked) (given, more bool) {
	for key, v := range after.Keys {
		if v == before.Keys[key] {
			continue
		}
		given, more = given || v.Left, more || !v.Left
	}
	for key, v := range before.Keys {
		if _, still := after.Keys[key]; !still {
			more = more || !v.Left
		}
	}
	return given, more
}

// hasLeft reports whether the owner of a key was a user once, and is not present.
func hasLeft(s *Service, u chat.User, key string) bool {
	row, _ := s.Users.Get(store.Committed, string(u))
	if row.Record.Present() {
		return false
	}
	void, _ := s.Revoked.Get(store.Committed, string(u))
	_, known := void.Record.Keys[key]
	return known || row.Record.State == Gone && row.Record.Key == key
}

// armGiveBack has the tickets of a user who has left or was removed given back: by the replica
// that removed the user, or later by another one.
func armGiveBack(s *Service, c store.Change[Record]) {
	key, r := c.Key+" give back", c.Record
	if r.State != Gone || r.Reason == chat.ByOperator { // see signOut
		s.jobs.Cancel(key)
		return
	}
	at, wait := time.Now(), time.Duration(0)
	if !c.Own {
		at, wait = at.Add(-2*others), others // what the other replica has stored is not earlier
	}
	s.jobs.After(key, wait, "give back the tickets of a user", func(ctx context.Context) error { return giveBack(s, ctx, r.User(), r.Key, at) })
	if c.Own {
		s.jobs.After(c.Key+" close", closeWithin, "close the connections of a user who has left", func(context.Context) error { return disconnectLeft(s, r.User(), r.Key) })
	}
}

// giveBack stores that the tickets of a user who has left are void.
func giveBack(s *Service, ctx context.Context, u chat.User, key string, at time.Time) error {
	if row, _ := s.Users.Get(store.Committed, string(u)); row.Record.Present() {
		return nil
	}
	acc, _, err := s.Accounts.Get(ctx, u)
	if err != nil {
		return err
	}
	if acc.Key != key || !acc.Taken() { // tickets of a former key are void already, and a user who has never connected has one for a minute
		return nil
	}
	_, err = s.Revoked.Update(ctx, string(u), func(_ store.View, r Revoked) (Revoked, error) { return GiveBack(r, key, at) })
	return err
}

// disconnectLeft closes the connections that a user who has left did not close.
func disconnectLeft(s *Service, u chat.User, key string) error {
	if !hasLeft(s, u, key) {
		return nil
	}
	return s.live.Disconnect(s.live.LinksOf(key, func(c Link) bool { return c.Holder == u && c.Speaks }))
}

// readmit revokes the tickets that a user gave back no longer: by the clock, the next ticket
// would be void, too.
func readmit(s *Service, ctx context.Context, record, key string) error {
	row, err := s.Revoked.Update(ctx, record, func(_ store.View, r Revoked) (Revoked, error) { return Readmit(r, key) })
	if err == nil {
		err = s.log.Await(ctx, row.Revision)
	}
	if err == nil {
		err = s.pushRevoked(ctx, row.Revision)
	}
	return err
}

// pushLater has the servers revoke the tickets of all users who have left, together.
func pushLater(s *Service) {
	if s.Revoker == nil || !s.push.waiting.CompareAndSwap(false, true) {
		return
	}
	wait := max(leftAfter+time.Second, leftPause*time.Duration(s.push.took.Load())) // they count in whole seconds
	s.jobs.After(" left", wait, revoking, func(ctx context.Context) error {
		s.push.waiting.Store(false)
		return s.pushRevoked(ctx, s.log.Revision()+1)
	})
}

// sweepLater forgets all expired tickets that were given back, together.
func sweepLater(s *Service) {
	if s.push.sweeping.CompareAndSwap(false, true) {
		s.jobs.After(" sweep", sweepEvery, "forget what has expired", func(ctx context.Context) error { return sweep(ctx, s) })
	}
}

func sweep(ctx context.Context, s *Service) error {
	s.push.sweeping.Store(false)
	now := s.settled()
	due := map[string]bool{}
	for _, row := range s.Revoked.Snapshot() {
		for _, v := range row.Record.Keys {
			if v.Left {
				sweepLater(s)
				due[row.Key] = due[row.Key] || !now.Before(v.Until)
			}
		}
	}
	var records []string
	for record, is := range due {
		if is {
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return nil
	}
	if err := s.pushRevoked(ctx, s.log.Revision()+1); err != nil {
		return err
	}
	return each(records, func(record string) error {
		if _, err := s.Revoked.Update(ctx, record, func(_ store.View, r Revoked) (Revoked, error) { return Forget(r, now) }); err != nil {
			return fmt.Errorf("of %s: %w", record, err)
		}
		return nil
	})
}
