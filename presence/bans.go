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

const throwingOut = "throw out the banned"

// BanChanged lets the time of a ban run, and sees to it that it holds, in case the replica
// that made it died, or the request for it was over too soon. It runs on the log's goroutine.
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
	s.jobs.After(hold, others, throwingOut, func(ctx context.Context) error { return s.hold(ctx, c.Record) })
}

// others is how long it is left to another replica, or to a request, to finish what they have begun.
const others = 2 * time.Second

// bansOf are the bans that may be somebody's. There may be very many of networks, and
// everybody who connects is looked for.
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

// refuseBanned tells why somebody cannot have a name, if a ban keeps them away.
func (s *Service) refuseBanned(name chat.Name, key, address string) error {
	return account.Refuse(s.bansOf(name.User(), key, address), name, key, address, s.settled())
}

// connectionCame throws out who is banned and still has a ticket, and the member's
// connections of who was signed out: news of one may come after that was done.
func (s *Service) connectionCame(c Link) {
	if c.Holder == "" {
		return
	}
	if !c.Member {
		s.entered(c.Holder, c.Key)
		s.watch(c)
	}
	if c.Member && s.removed(c.Holder) {
		s.jobs.Do(throwingOut, func(ctx context.Context) error { return s.dismiss(ctx, c) })
		return
	}
	now := s.settled()
	for _, b := range s.bansOf(c.Holder, c.Key, c.Address) {
		if b.Standing(now) && b.Covers(c.Holder, c.Key, c.Address) {
			s.jobs.Do(throwingOut, func(ctx context.Context) error { return s.hold(ctx, b) })
			return
		}
	}
}

// removed tells whether a user was signed out by the operator a moment ago.
func (s *Service) removed(u chat.User) bool {
	row, _ := s.Users.Get(store.Committed, string(u))
	return row.Record.State == Gone && row.Record.Reason == chat.ByOperator
}

// dismiss ends one connection, unless its user is here again after all.
func (s *Service) dismiss(ctx context.Context, c Link) error {
	if err := s.Users.Sync(ctx); err != nil {
		return err
	}
	if !s.removed(c.Holder) {
		return nil
	}
	s.revoke(ctx, map[string][]string{string(c.Holder): {c.Key}})
	return s.live.Cut([]Link{c})
}

// throwOutBanned has every ban hold.
func (s *Service) throwOutBanned(ctx context.Context) error {
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
		if err := s.hold(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// hold signs out whoever is here in spite of a ban, unless that was taken back meanwhile.
func (s *Service) hold(ctx context.Context, b account.Ban) error {
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

// meant is everybody here, present or only connected, whom a ban covers.
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

// signedOut is what has become of users.
type signedOut struct {
	names []chat.Name // who was present or connected
	until time.Time   // when their last ticket expires; zero: they are void
}

// signOut tells users that they are not wanted, takes their names and sessions from them,
// makes their tickets void, also those of more keys, and cuts what is left of their
// connections. What fails for one, or takes too long, keeps nothing from the others.
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
	if err := s.live.Cut(links); err != nil {
		failed = cmp.Or(failed, fmt.Errorf("cut connections: %w", err))
	}
	failed = cmp.Or(failed, s.removeAgain(ctx, links))
	s.noteRemoved(ctx, here)
	return done, failed
}

// removeAll takes their names from users, in half of the time that there is: what keeps
// them away comes after it.
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

// noteRemoved stores until when those were here who are not any more. It comes last, because
// it is for people only.
func (s *Service) noteRemoved(ctx context.Context, here []Record) {
	_ = each(here, func(r Record) error {
		if s.removed(r.User()) && ctx.Err() == nil {
			s.noteSeen(ctx, r, lastHere(r))
		}
		return nil
	})
}

// atOnce is how many steps are under way at once: the log stores so many together.
const atOnce = 64

// each does something for each of many, several at a time, and for all of them even if it
// fails for one. It returns the first error.
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

// Expel signs out a user who does not keep to the protocol.
func (s *Service) Expel(u chat.User, reason string) {
	s.jobs.Do("sign out "+string(u), func(ctx context.Context) error {
		_, err := s.signOut(ctx, map[chat.User]bool{u: true}, nil, reason)
		return err
	})
}

func (s *Service) tellSignedOut(users map[chat.User]bool, reason string) {
	for u := range users {
		n := chat.ServerNotice{SignedOut: &chat.SignedOut{Reason: reason}}
		if err := rpc.Tell(s.Notices, chat.UserServer, chat.Address{User: u}, n); err != nil {
			s.Log.Warn("tell who is signed out", "user", u, "err", err)
		}
	}
	if err := s.Notices.FlushTimeout(time.Second); err != nil {
		s.Log.Warn("tell who is signed out", "err", err)
	}
}

// removeAgain removes those who said hello once more on a connection that is now cut.
func (s *Service) removeAgain(ctx context.Context, links []Link) error {
	return each(links, func(c Link) error {
		return s.remove(ctx, c.Holder, func(r Record) bool { return r.isAt(c) })
	})
}

// remove takes the name from a user whom the operator does not want here.
func (s *Service) remove(ctx context.Context, u chat.User, still func(Record) bool) error {
	_, err := s.Users.Update(ctx, string(u), func(_ store.View, r Record) (Record, error) {
		if !still(r) {
			return r, chat.ErrUnchanged
		}
		return Remove(r, chat.ByOperator)
	})
	return err
}
