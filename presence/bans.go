package presence

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// Bans is the table of bans.
type Bans = store.Table[account.Ban]

// NewBans adds the table to a log. Its index finds bans by what they ban.
func NewBans(l *store.Log, changed func(store.Change[account.Ban])) *Bans {
	return store.NewTable(l, "ban", store.TableConfig[account.Ban]{
		Gone:    func(b account.Ban) bool { return b.Gone },
		Index:   banWords,
		Changed: changed,
	})
}

func banWords(b account.Ban) []string {
	var words []string
	switch t := b.Target; {
	case t.Name != "":
		words = append(words, "name "+string(chat.Name(t.Name).User()))
	case t.Key != "":
		words = append(words, "key "+t.Key)
	default:
		words = append(words, "network "+t.Network)
	}
	if b.Key != "" {
		words = append(words, "key "+b.Key)
	}
	return words
}

const enforcingBans = "disconnect banned users"

// BanChanged starts the timer of a ban and enforces the ban later, in case the replica that
// made it died, or the request for it was over too soon. It runs on the log's goroutine.
func (s *Service) BanChanged(c store.Change[account.Ban]) {
	end, hold := "ban "+c.Key, "hold "+c.Key
	s.jobs.Cancel(end)
	s.jobs.Cancel(hold)
	if c.Record.Gone {
		return
	}
	if !c.Record.Until.IsZero() {
		s.when(end, c.Record.Until, "end a ban", func(ctx context.Context) error {
			_, err := s.Bans.Update(ctx, c.Key, func(_ store.View, b account.Ban) (account.Ban, error) { return account.End(b, s.settled()) })
			return err
		})
	}
	s.jobs.After(hold, others, enforcingBans, func(ctx context.Context) error { return s.enforce(ctx, c.Record) })
}

// others is how long another replica, or a request, may take to finish what it has begun.
const others = 2 * time.Second

// bansOf returns the bans that may cover a user. It uses the index, because there may be very
// many bans of networks, and it is called for each connection.
func (s *Service) bansOf(u chat.User, key, address string) []account.Ban {
	var bans []account.Ban
	words := []string{"name " + string(u), "key " + key}
	for _, network := range account.Networks(address) {
		words = append(words, "network "+network)
	}
	for _, word := range words {
		for _, row := range s.Bans.By(store.Committed, word) {
			bans = append(bans, row.Record)
		}
	}
	return bans
}

// refuseBanned returns an error if a ban covers a name, a key or an address.
func (s *Service) refuseBanned(name chat.Name, key, address string) error {
	return account.Refuse(s.bansOf(name.User(), key, address), name, key, address, s.settled())
}

// connectionCame disconnects banned users who still have a ticket, and members' connections of
// users who were signed out: the event of such a connection may come after the sign-out.
func (s *Service) connectionCame(c Link) {
	if c.Holder == "" {
		return
	}
	if !c.Member {
		s.entered(c.Holder, c.Key)
		s.watch(c)
	}
	if c.Member && s.removed(c.Holder) {
		s.jobs.Do(enforcingBans, func(ctx context.Context) error { return s.disconnectRemoved(ctx, c) })
		return
	}
	now := s.settled()
	for _, b := range s.bansOf(c.Holder, c.Key, c.Address) {
		if b.Standing(now) && b.Covers(c.Holder, c.Key, c.Address) {
			s.jobs.Do(enforcingBans, func(ctx context.Context) error { return s.enforce(ctx, b) })
			return
		}
	}
}

// removed reports whether a user was signed out by the operator and has not come back.
func (s *Service) removed(u chat.User) bool {
	row, _ := s.Users.Get(store.Committed, string(u))
	return row.Record.State == Gone && row.Record.Reason == chat.ByOperator
}

// disconnectRemoved closes a connection of a user who was signed out, unless the user is present again.
func (s *Service) disconnectRemoved(ctx context.Context, c Link) error {
	if err := s.Users.Sync(ctx); err != nil {
		return err
	}
	if !s.removed(c.Holder) {
		return nil
	}
	s.revoke(ctx, map[string][]string{string(c.Holder): {c.Key}})
	return s.live.Disconnect([]Link{c})
}

// enforceBans enforces every ban.
func (s *Service) enforceBans(ctx context.Context) error {
	found := map[string]account.Ban{}
	look := func(u chat.User, key, address string) {
		for _, b := range s.bansOf(u, key, address) {
			found[account.BanKey(b.Target)] = b
		}
	}
	for r := range s.everybody() {
		look(r.User(), r.Key, r.Connection.Address)
	}
	for _, c := range s.live.Links(func(Link) bool { return true }) {
		look(c.Holder, c.Key, c.Address)
	}
	for _, b := range found {
		if err := s.enforce(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// enforce signs out everybody whom a ban covers, unless the ban has been taken back.
func (s *Service) enforce(ctx context.Context, b account.Ban) error {
	row, _ := s.Bans.Get(store.Committed, account.BanKey(b.Target))
	if b = row.Record; !b.Standing(s.settled()) {
		return nil
	}
	if users := s.meant(b); len(users) > 0 {
		_, err := s.signOut(ctx, users, nil, b.Reason)
		return err
	}
	return nil
}

// meant returns the users whom a ban covers and who are present or connected.
func (s *Service) meant(b account.Ban) map[chat.User]bool {
	users := map[chat.User]bool{}
	for r := range s.everybody() {
		if b.Covers(r.User(), r.Key, r.Connection.Address) {
			users[r.User()] = true
		}
	}
	for _, c := range s.live.Links(func(c Link) bool { return b.Covers(c.Holder, c.Key, c.Address) }) {
		users[c.Holder] = true
	}
	return users
}

// signedOut is the result of signing users out.
type signedOut struct {
	names []chat.Name // who was present or connected
	until time.Time   // when their last ticket expires; zero: they are void
}

// signOut notifies users, removes them from the presence and from their sessions, revokes their
// tickets, also those of more keys, and closes their connections. What fails for one user, or
// takes too long, does not stop the others.
func (s *Service) signOut(ctx context.Context, users map[chat.User]bool, keys map[string][]string, reason string) (signedOut, error) {
	var done signedOut
	s.tellSignedOut(users, reason)
	void := map[string][]string{}
	for record, more := range keys {
		void[record] = append(void[record], more...)
	}
	var here []Record
	for u := range users {
		row, _ := s.Users.Get(store.Committed, string(u))
		name := chat.Name(u)
		if row.Record.Present() {
			name = row.Record.Name
			void[string(u)] = append(void[string(u)], row.Record.Key)
			here = append(here, row.Record)
		}
		done.names = append(done.names, name)
	}
	failed := s.removeAll(ctx, users)
	links := s.live.Links(func(c Link) bool { return users[c.Holder] }) // see connectionCame for later ones
	slices.SortStableFunc(links, ownFirst)
	for _, c := range links {
		void[string(c.Holder)] = append(void[string(c.Holder)], c.Key)
	}
	if !s.revoke(ctx, void) {
		done.until = time.Now().Add(lastTicket).UTC().Truncate(time.Second)
	}
	if err := s.live.Disconnect(links); err != nil {
		failed = cmp.Or(failed, fmt.Errorf("close connections: %w", err))
	}
	failed = cmp.Or(failed, s.removeAgain(ctx, links))
	s.noteRemoved(ctx, here)
	return done, failed
}

// removeAll removes users, in half of the time that is left: revoking their tickets needs the
// other half.
func (s *Service) removeAll(ctx context.Context, users map[chat.User]bool) error {
	if end, limited := ctx.Deadline(); limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	return each(slices.Collect(maps.Keys(users)), func(u chat.User) error {
		return s.remove(ctx, u, func(Record) bool { return true })
	})
}

// noteRemoved stores when the users who were removed were last present. It comes last, because
// the time is only shown to people.
func (s *Service) noteRemoved(ctx context.Context, here []Record) {
	_ = each(here, func(r Record) error {
		if s.removed(r.User()) && ctx.Err() == nil {
			s.noteSeen(ctx, r, lastHere(r))
		}
		return nil
	})
}

// atOnce is how many steps are under way at the same time: the log stores so many together.
const atOnce = 64

// each calls do for each element, several at a time, and for all of them even if one fails. It
// returns the first error.
func each[T any](all []T, do func(T) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, one := range all {
		g.Go(func() error { return do(one) })
	}
	return g.Wait()
}

// ownFirst orders the connections of users before those of members: see mostVoid.
func ownFirst(a, b Link) int {
	switch {
	case a.Member == b.Member:
		return 0
	case a.Member:
		return 1
	}
	return -1
}

// Kick signs out a user whose program breaks the protocol.
func (s *Service) Kick(u chat.User, reason string) {
	s.jobs.Do("sign out "+string(u), func(ctx context.Context) error {
		_, err := s.signOut(ctx, map[chat.User]bool{u: true}, nil, reason)
		return err
	})
}

func (s *Service) tellSignedOut(users map[chat.User]bool, reason string) {
	for u := range users {
		n := chat.ServerNotice{SignedOut: &chat.SignedOut{Reason: reason}}
		if err := rpc.Tell(s.Notices, chat.UserServer, chat.Address{User: u}, n); err != nil {
			s.Log.Warn("notify users who are signed out", "user", u, "err", err)
		}
	}
	if err := s.Notices.FlushTimeout(time.Second); err != nil {
		s.Log.Warn("notify users who are signed out", "err", err)
	}
}

// removeAgain removes users who said hello again on one of the connections that are now closed.
func (s *Service) removeAgain(ctx context.Context, links []Link) error {
	return each(links, func(c Link) error {
		return s.remove(ctx, c.Holder, func(r Record) bool { return r.isAt(c) })
	})
}

// remove removes a user whom the operator has signed out.
func (s *Service) remove(ctx context.Context, u chat.User, still func(Record) bool) error {
	_, err := s.Users.Update(ctx, string(u), func(_ store.View, r Record) (Record, error) {
		if !still(r) {
			return r, chat.ErrUnchanged
		}
		return Remove(r, chat.ByOperator)
	})
	return err
}
