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

const dropping = "delete stored messages"

// storedLate is how long a record may be on its way to a stream that has lost its leader,
// although its sender was told that it could not be stored.
const storedLate = 15 * time.Second

// store stores messages of a member in the mailboxes of others.
func (s *Service) store(ctx context.Context, c rpc.Caller, q chat.StoreRequest) (chat.StoreReply, error) {
	record, err := s.insider(ctx, c.User, q.Session)
	if err != nil {
		return chat.StoreReply{}, err
	}
	if err := checkStore(record, c.User, q, s.Rules.MaxText); err != nil {
		return chat.StoreReply{}, err
	}
	for u, upTo := range q.Received {
		if err := s.Mailboxes.Drop(ctx, q.Session, u, c.User, upTo); err != nil {
			return chat.StoreReply{}, err
		}
	}
	reply := chat.StoreReply{Stored: map[chat.User]uint64{}}
	defer func() { s.show(c.User, q, reply) }() // also after an error: what is stored will be fetched
	for _, u := range q.For {
		id := fmt.Sprintf("%s.%s.%s.%d.%d", q.Session, u, c.User, q.Messages[0].N, len(q.Messages))
		at, err := s.Mailboxes.Put(ctx, q.Session, u, c.User, id, chat.StoredMessages{Messages: q.Messages})
		if errors.Is(err, broker.ErrMailboxFull) {
			return reply, chat.Errorf(chat.Full, "The server can store no more for %s. The message is sent when they are back.", record.NameOf(u))
		}
		if err != nil {
			return reply, err
		}
		reply.Stored[u] = at
	}
	if len(q.For) > 0 { // this replica may have been held up, and not know yet that the session is over
		if err := s.Sessions.Sync(ctx); err != nil {
			return chat.StoreReply{}, err
		}
	}
	// The asker may have left while this was stored, and is told so. What is stored stays,
	// because the answer to an earlier try of the same request may have said that it is.
	if record, open := s.openTo(c.User, q.Session); !open {
		if record.State != chat.Open {
			s.dropLater(q.Session, 0)
		}
		return chat.StoreReply{}, session.ErrNotInChat
	}
	return reply, nil
}

// show sends stored messages to the observers.
func (s *Service) show(from chat.User, q chat.StoreRequest, reply chat.StoreReply) {
	if len(reply.Stored) == 0 {
		return
	}
	a := chat.Address{User: from, Session: q.Session}
	if err := rpc.Tell(s.Notices, chat.Stored, a, chat.StoredMessages{Messages: q.Messages}); err != nil {
		s.Log.Warn("show stored messages", "user", from, "session", short(q.Session), "err", err)
	}
}

// checkStore returns what is wrong with a request to store messages.
func checkStore(record chat.Session, from chat.User, q chat.StoreRequest, maxText int) error {
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

// fetch has the messages in a member's mailbox sent into their inbox, also when the session
// has ended meanwhile: see Talk.Collect.
func (s *Service) fetch(ctx context.Context, c rpc.Caller, q chat.FetchRequest) (chat.FetchReply, error) {
	if !inboxOf(c.User, q.Inbox) {
		return chat.FetchReply{}, chat.Errorf(chat.Denied, "The field %q must be a subject in your own inbox.", "inbox")
	}
	if err := s.toTheEnd(ctx, c.User, q.Session); err != nil {
		return chat.FetchReply{}, err
	}
	if q.Have > 0 {
		if err := s.Mailboxes.Drop(ctx, q.Session, c.User, "*", q.Have); err != nil {
			return chat.FetchReply{}, err
		}
	}
	left, err := s.Mailboxes.Left(ctx, q.Session, c.User)
	if err == nil && left > 0 {
		err = s.Mailboxes.Send(q.Session, c.User, q.Inbox)
	}
	return chat.FetchReply{Left: left}, err
}

// inboxOf reports whether a subject is in a user's inbox: the server does not check where it is
// told to send.
func inboxOf(u chat.User, subject string) bool {
	rest, ok := strings.CutPrefix(subject, chat.Inbox(u)+".")
	return ok && rest != "" && len(rest) <= 64 && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// insider finds an open session that u is in, also if another replica has opened it a moment ago.
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

// stayed returns the members who were in a session at its end, or ended it.
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

// dropStored deletes what nobody will fetch: the mailboxes of members who have left, and at the
// end of a session the messages of members who stayed, who are told that they have failed.
func (s *Service) dropStored(before, after chat.Session) {
	drop := func(u chat.User) {
		s.jobs.Do(dropping, func(ctx context.Context) error { return s.Mailboxes.DropAll(ctx, after.ID, u) })
	}
	if after.State == chat.Closed {
		failed := stayed(after)
		if len(failed) == len(after.Members) {
			drop("*")
			return
		}
		s.jobs.Do(dropping, func(ctx context.Context) error { return s.Mailboxes.DropFrom(ctx, after.ID, failed) })
		return
	}
	for _, m := range before.Present() {
		if _, in := after.Member(m.User()); !in {
			drop(m.User())
		}
	}
}

const (
	// remembered is how long an ended session is known: see store.Log.
	remembered = time.Minute
	// noticedIn is how long a connection may be dead before the broker notices, and the grace
	// time begins.
	noticedIn = 30 * time.Second
)

// dropLater empties the mailboxes of a session that is over, once nobody can come back who
// would fetch from them, and everything that was on its way has been stored.
func (s *Service) dropLater(id string, wait time.Duration) {
	wait += max(storedLate, min(s.Rules.Grace+noticedIn, remembered))
	s.jobs.After(id+" mailboxes", wait, dropping, func(ctx context.Context) error {
		if row, _ := s.Sessions.Get(store.Committed, id); row.Record.State == chat.Open { // another one of the same id
			return nil
		}
		return s.Mailboxes.DropAll(ctx, id, "*")
	})
}

// dropOld empties the mailboxes of sessions that ended while no coordinator ran.
func (s *Service) dropOld(ctx context.Context) error {
	used, err := s.Mailboxes.Sessions(ctx)
	if err != nil || len(used) == 0 {
		return err
	}
	if err := s.Sessions.Sync(ctx); err != nil { // a session that opened meanwhile is known now
		return err
	}
	for id := range used {
		switch row, ok := s.Sessions.Get(store.Committed, id); {
		case ok && row.Record.State == chat.Open:
			continue
		case ok:
			s.dropLater(id, 0)
			continue
		}
		if err := s.Mailboxes.DropAll(ctx, id, "*"); err != nil {
			return err
		}
	}
	return nil
}
