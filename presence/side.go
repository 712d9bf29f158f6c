package presence

import (
	"context"
	"time"

	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// beside makes a ticket for a connection beside those of a user: it may list users and send direct
// messages, and does not change whether or where the user is present. The login key has signed
// for the key that the ticket is bound to. Code NotRegistered if the name does not belong to that
// key, Full if the user has chat.MaxSides such connections.
func (s *Service) beside(ctx context.Context, name chat.Name, q chat.EnterRequest) (chat.EnterReply, error) {
	var reply chat.EnterReply
	if !validKey(q.Side) || q.Side == q.Key {
		return reply, chat.Errorf(chat.Arguments, `The field "side" must be another public user key.`)
	}
	if err := s.owned(ctx, name, q); err != nil {
		return reply, err
	}
	acc, _, err := s.Accounts.Get(ctx, name.User())
	switch {
	case err != nil:
		return reply, err
	case len(s.live.Links(func(c Link) bool { return c.Holder == name.User() && c.Side })) >= chat.MaxSides:
		return reply, chat.Errorf(chat.Full, "%s has %d programs beside the terminal, and cannot have more.", name, chat.MaxSides)
	}
	now := time.Now()
	reply.Ticket, err = s.Minter.Mint(q.Side, chat.SideGrant(name.User()).WithText(s.Rules.MaxText), acc.TicketTTL(now, s.settled(), s.NameTTL), now)
	reply.Hello = &chat.HelloReply{
		Returning: true, LastSeen: acc.LastLogin, Presence: s.viewer(name.User(), acc).Presence, Blocks: account.Holding(acc.Blocks, s.settled()),
		Sessions: []chat.Session{}, Revision: s.log.Revision(), Installation: s.log.Installation(), Now: now.UTC(), Rules: s.Rules,
	}
	return reply, err
}

// viewer returns a user, who may not be present, as a viewer of lists. Users who have not chosen
// yet whether they are visible may see lists.
func (s *Service) viewer(u chat.User, acc account.Record) Record {
	if row, _ := s.Users.Get(store.Committed, string(u)); row.Record.Present() {
		return row.Record
	}
	r := Record{Name: acc.Name, Key: acc.Key, State: Here, Presence: acc.Presence}
	if r.Presence == chat.Undecided {
		r.Presence = chat.Visible
	}
	return r
}

// besideViewer returns the viewer for the owner of a name who asks for a list and is not present.
func (s *Service) besideViewer(ctx context.Context, u chat.User) (Record, error) {
	if !s.live.Beside(ctx, u) {
		return Record{}, errNotHere
	}
	acc, _, err := s.Accounts.Get(ctx, u)
	if err == nil && !acc.Taken() {
		err = errNotHere
	}
	return s.viewer(u, acc), err
}
