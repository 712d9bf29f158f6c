package presence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// BlocksUser reports whether the record's owner blocks u.
func (r Record) BlocksUser(u chat.User, now time.Time) bool {
	return account.Blocks(r.Blocks, u, now)
}

// blockWord is the index word under which the users who block u are found.
func blockWord(u chat.User) string { return "blocks " + string(u) }

// words returns the index words of a record in the table of users.
func words(r Record) []string {
	all := []string{r.Key}
	for _, b := range r.Blocks {
		all = append(all, blockWord(b.Name.User()))
	}
	return all
}

// blockers returns the present users who block u.
func (s *Service) blockers(u chat.User) map[chat.User]bool {
	var found map[chat.User]bool
	for _, row := range s.Users.By(store.Committed, blockWord(u)) {
		if row.Record.BlocksUser(u, s.settled()) {
			if found == nil {
				found = map[chat.User]bool{}
			}
			found[row.Record.User()] = true
		}
	}
	return found
}

func (s *Service) block(ctx context.Context, c rpc.Caller, q chat.BlockRequest) (chat.BlocksReply, error) {
	name, err := chat.ParseName(q.Name)
	if err != nil {
		return chat.BlocksReply{}, err
	}
	b, verb := chat.Block{Name: name}, "blocks"
	switch {
	case q.For < 0 || q.For > 0 && q.For < time.Second:
		return chat.BlocksReply{}, chat.Errorf(chat.Arguments, "A mute lasts a second or longer.")
	case q.For > 0:
		b.Until, verb = s.latest().UTC().Add(q.For), "mutes"
	}
	return s.changeBlocks(ctx, c.User, fmt.Sprintf("%s %s", verb, name), func(blocks []chat.Block) ([]chat.Block, error) {
		return account.Block(c.User, blocks, b, s.settled())
	})
}

func (s *Service) unblock(ctx context.Context, c rpc.Caller, q chat.UnblockRequest) (chat.BlocksReply, error) {
	name, err := chat.ParseName(q.Name)
	if err != nil {
		return chat.BlocksReply{}, err
	}
	now := s.settled()
	return s.changeBlocks(ctx, c.User, fmt.Sprintf("unblocks %s", name), func(blocks []chat.Block) ([]chat.Block, error) {
		return account.Unblock(blocks, name.User(), now)
	})
}

func (s *Service) blocked(ctx context.Context, c rpc.Caller, _ chat.BlocksRequest) (chat.BlocksReply, error) {
	r, err := s.user(ctx, c.User)
	if err != nil {
		return chat.BlocksReply{}, err
	}
	return chat.BlocksReply{Blocks: s.holding(r.Blocks), Revision: s.log.Revision()}, nil
}

// changeBlocks changes the account, where blocks last, and then the record of the present user,
// where all replicas see it.
func (s *Service) changeBlocks(ctx context.Context, u chat.User, what string, rule func([]chat.Block) ([]chat.Block, error)) (chat.BlocksReply, error) {
	var reply chat.BlocksReply
	r, err := s.user(ctx, u)
	if err != nil {
		return reply, err
	}
	s.Audit.Request(chat.Audit{Event: "user.request", User: r.Name, Text: fmt.Sprintf("%s %s", r.Name, what)})
	_, err = s.Accounts.Update(ctx, u, func(a account.Record) (account.Record, error) {
		blocks, err := rule(a.Blocks)
		a.Blocks = blocks
		return a, err
	})
	if err != nil {
		s.refused(r.Name, "change of blocks", err)
		return reply, err
	}
	row, err := s.Users.Update(ctx, string(u), func(_ store.View, r Record) (Record, error) {
		if !r.Present() {
			return r, errNotHere
		}
		blocks, err := rule(r.Blocks)
		r.Blocks = blocks
		return r, err
	})
	return chat.BlocksReply{Blocks: s.holding(row.Record.Blocks), Revision: row.Revision}, err
}

// holding returns the blocks that have not ended, as an answer has them.
func (s *Service) holding(blocks []chat.Block) []chat.Block {
	return append([]chat.Block{}, account.Holding(blocks, s.settled())...)
}

// armMutes removes a mute from the record when it ends, so that the muted user is told of the
// owner's presence again.
func (s *Service) armMutes(c store.Change[Record]) {
	key := c.Key + " mute"
	var next time.Time
	for _, b := range c.Record.Blocks {
		if !b.Until.IsZero() && (next.IsZero() || b.Until.Before(next)) {
			next = b.Until
		}
	}
	if next.IsZero() || !c.Record.Present() {
		s.jobs.Cancel(key)
		return
	}
	s.when(key, next, "end a mute", func(ctx context.Context) error {
		_, err := s.Users.Update(ctx, string(c.Record.User()), func(_ store.View, r Record) (Record, error) {
			kept := account.Holding(r.Blocks, s.settled())
			if len(kept) == len(r.Blocks) {
				return r, chat.ErrUnchanged
			}
			r.Blocks = kept
			return r, nil
		})
		return err
	})
}

// tellBlocks notifies the viewers for whom a user disappears or appears because of a change of
// blocks. The notice looks as if the user had left or come.
func (s *Service) tellBlocks(before, after Record) {
	if len(before.Blocks)+len(after.Blocks) == 0 || !before.Present() || !after.Visible() {
		return
	}
	now := s.settled()
	for _, b := range slices.Concat(before.Blocks, after.Blocks) {
		viewer := b.Name.User()
		was, is := before.BlocksUser(viewer, now), after.BlocksUser(viewer, now)
		ended := slices.Contains(before.Blocks, b) && !slices.Contains(after.Blocks, b) && !is
		if was == is && !ended {
			continue
		}
		row, ok := s.Users.Get(store.Committed, string(viewer))
		if !ok || !row.Record.Watch || MaySee(row.Record) != nil {
			continue
		}
		notice := chat.PresenceNotice{Revision: s.log.Revision()}
		blockers := s.blockers(viewer)
		if is {
			notice.Gone = []chat.Name{after.Name}
		} else {
			notice.Changed = withoutBlockers([]chat.Entry{EntryOf(after, s.partners(after.User()))}, blockers)
		}
		for _, p := range s.partners(after.User()) {
			if p.Visible() && p.User() != viewer {
				notice.Changed = append(notice.Changed, withoutBlockers([]chat.Entry{EntryOf(p, s.partners(p.User()))}, blockers)...)
			}
		}
		s.tellViewer(viewer, notice)
	}
}
