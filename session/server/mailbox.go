package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/session"
)

const lettingGo = "let go of what is parked"

// storedLate is how long something may be on its way to a stream that has lost its leader, of
// which who had it stored heard only that it could not be.
const storedLate = 15 * time.Second

// park keeps messages of a member for others. When it answers, they are stored.
func (s *Service) park(ctx context.Context, c rpc.Caller, q chat.ParkRequest) (chat.ParkReply, error) {
	record, err := s.insider(ctx, c.User, q.Session)
	if err != nil {
		return chat.ParkReply{}, err
	}
	if err := checkPark(record, c.User, q, s.Rules.MaxText); err != nil {
		return chat.ParkReply{}, err
	}
	for u, upTo := range q.Received {
		if err := s.Parked.Drop(ctx, q.Session, u, c.User, upTo); err != nil {
			return chat.ParkReply{}, err
		}
	}
	reply := chat.ParkReply{Kept: map[chat.User]uint64{}}
	defer func() { s.show(c.User, q, reply) }() // whatever comes after: its receivers will get it
	for _, u := range q.For {
		id := fmt.Sprintf("%s.%s.%s.%d.%d", q.Session, u, c.User, q.Messages[0].N, len(q.Messages))
		at, err := s.Parked.Put(ctx, q.Session, u, c.User, id, chat.Parked{Messages: q.Messages})
		if errors.Is(err, broker.ErrParkedFull) {
			return reply, chat.Errorf(chat.Full, "The server can keep no more for %s. It is sent when they are back.", record.NameOf(u))
		}
		if err != nil {
			return reply, err
		}
		reply.Kept[u] = at
	}
	if len(q.For) > 0 { // or this replica may have been held up, and not know yet that it is over
		if err := s.Sessions.Sync(ctx); err != nil {
			return chat.ParkReply{}, err
		}
	}
	// Much may have happened while this was stored. Who has left is told so; what others wait
	// for stays, because an earlier try of the same request may have promised that it arrives.
	if record, open := s.openTo(c.User, q.Session); !open {
		if record.State != chat.Open {
			s.letGoLater(q.Session, 0)
		}
		return chat.ParkReply{}, session.ErrNotInChat
	}
	return reply, nil
}

// show has those who watch see what was stored for somebody.
func (s *Service) show(from chat.User, q chat.ParkRequest, reply chat.ParkReply) {
	if len(reply.Kept) == 0 {
		return
	}
	a := chat.Address{User: from, Session: q.Session}
	if err := rpc.Tell(s.Notices, chat.Stored, a, chat.Parked{Messages: q.Messages}); err != nil {
		s.Log.Warn("show what is parked", "user", from, "session", short(q.Session), "err", err)
	}
}

// checkPark tells what is wrong with a request to keep messages.
func checkPark(record chat.Session, from chat.User, q chat.ParkRequest, maxText int) error {
	for _, u := range q.For {
		if _, in := record.Member(u); !in || u == from {
			return chat.Errorf(chat.Arguments, "The field %q must name other members of the chat.", "for")
		}
	}
	for u := range q.Received {
		if _, in := record.Member(u); !in {
			return chat.Errorf(chat.Arguments, "The field %q must name members of the chat.", "received")
		}
	}
	if len(q.For) > len(record.Members) || (len(q.For) > 0) != (len(q.Messages) > 0) {
		return chat.Errorf(chat.Arguments, "The fields %q and %q belong together.", "for", "messages")
	}
	for i, m := range q.Messages {
		switch {
		case m.N == 0, m.N > chat.MaxMessage, i > 0 && m.N != q.Messages[i-1].N+1:
			return chat.Errorf(chat.Arguments, "The field %q must count from 1, without gaps.", "n")
		case len(m.Text) > maxText:
			return session.TooLong(len(m.Text), maxText)
		}
	}
	return nil
}

// unpark has what is kept for a member sent into their inbox, also when the session has ended
// meanwhile: see Talk.Collect.
func (s *Service) unpark(ctx context.Context, c rpc.Caller, q chat.UnparkRequest) (chat.UnparkReply, error) {
	if !inboxOf(c.User, q.Inbox) {
		return chat.UnparkReply{}, chat.Errorf(chat.Denied, "The field %q must be a subject in your own inbox.", "inbox")
	}
	if err := s.toTheEnd(ctx, c.User, q.Session); err != nil {
		return chat.UnparkReply{}, err
	}
	if q.Have > 0 {
		if err := s.Parked.Drop(ctx, q.Session, c.User, "*", q.Have); err != nil {
			return chat.UnparkReply{}, err
		}
	}
	left, err := s.Parked.Left(ctx, q.Session, c.User)
	if err == nil && left > 0 {
		err = s.Parked.Send(q.Session, c.User, q.Inbox)
	}
	return chat.UnparkReply{Left: left}, err
}

// inboxOf reports whether a subject is one in a user's inbox: the server checks nothing of
// where it is told to send.
func inboxOf(u chat.User, subject string) bool {
	rest, ok := strings.CutPrefix(subject, chat.Inbox(u)+".")
	return ok && rest != "" && len(rest) <= 64 && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// insider finds an open session that u is in, if need be one that another replica has
// opened a moment ago.
func (s *Service) insider(ctx context.Context, u chat.User, id string) (chat.Session, error) {
	record, ok := s.openTo(u, id)
	if !ok {
		if err := s.Sessions.Sync(ctx); err != nil {
			return record, err
		}
		record, ok = s.openTo(u, id)
	}
	if !ok {
		return record, session.ErrNotInChat
	}
	return record, nil
}

// toTheEnd reports whether u is in a session, or was when it ended.
func (s *Service) toTheEnd(ctx context.Context, u chat.User, id string) error {
	ended := func() bool {
		row, _ := s.Sessions.Get(store.Committed, id)
		_, in := row.Record.Member(u)
		return in && row.Record.State == chat.Closed
	}
	if ended() {
		return nil
	}
	_, err := s.insider(ctx, u, id)
	if err != nil && ended() {
		return nil
	}
	return err
}

// stayed are the members who were there at the end of a session, or made it.
func stayed(s chat.Session) map[chat.User]bool {
	all := map[chat.User]bool{}
	for _, m := range s.Present() {
		all[m.User()] = true
	}
	for _, u := range s.By {
		all[u] = true
	}
	return all
}

// letGo drops what nobody is to get any longer: what waits for who has left, and at the end what
// those said who stayed, who are told that it has failed.
func (s *Service) letGo(before, after chat.Session) {
	drop := func(u chat.User) {
		s.jobs.Do(lettingGo, func(ctx context.Context) error { return s.Parked.DropAll(ctx, after.ID, u) })
	}
	if after.State == chat.Closed {
		failed := stayed(after)
		if len(failed) == len(after.Members) {
			drop("*")
			return
		}
		s.jobs.Do(lettingGo, func(ctx context.Context) error { return s.Parked.DropFrom(ctx, after.ID, failed) })
		return
	}
	for _, m := range before.Present() {
		if _, in := after.Member(m.User()); !in {
			drop(m.User())
		}
	}
}

const (
	// remembered is how long it is known of a session that it has ended: see store.Log.
	remembered = time.Minute
	// noticedIn is how long a line may stand still before the broker notices, and the grace
	// time begins.
	noticedIn = 30 * time.Second
)

// letGoLater drops everything of a session that is over, when nobody comes back any longer who
// would hear of that, and what was on its way has been stored.
func (s *Service) letGoLater(id string, wait time.Duration) {
	wait += max(storedLate, min(s.Rules.Grace+noticedIn, remembered))
	s.jobs.After(id+" kept", wait, lettingGo, func(ctx context.Context) error {
		if row, _ := s.Sessions.Get(store.Committed, id); row.Record.State == chat.Open { // another one of the same id
			return nil
		}
		return s.Parked.DropAll(ctx, id, "*")
	})
}

// letGoOfOld drops what sessions have left behind that ended while nobody was there.
func (s *Service) letGoOfOld(ctx context.Context) error {
	kept, err := s.Parked.Sessions(ctx)
	if err != nil || len(kept) == 0 {
		return err
	}
	if err := s.Sessions.Sync(ctx); err != nil { // a session that opened meanwhile is known now
		return err
	}
	for id := range kept {
		switch row, ok := s.Sessions.Get(store.Committed, id); {
		case ok && row.Record.State == chat.Open:
			continue
		case ok:
			s.letGoLater(id, 0)
			continue
		}
		if err := s.Parked.DropAll(ctx, id, "*"); err != nil {
			return err
		}
	}
	return nil
}
