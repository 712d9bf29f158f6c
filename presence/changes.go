package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
)

// Changed acts on a change of a user's record: timers, audit records, notices. It runs on the log's
// goroutine.
func (s *Service) Changed(c store.Change[Record]) {
	r := c.Record
	if r.State == Lost {
		s.jobs.After(c.Key, r.Grace, "remove a lost user", func(ctx context.Context) error { return s.expire(ctx, r.User(), c.Revision) })
	} else {
		s.jobs.Cancel(c.Key)
	}
	s.expect(c)
	s.armMutes(c)
	s.armParting(c)
	armGiveBack(s, c)
	if c.Own {
		s.audit(c.Before, r)
		s.superseded(c)
		s.tellBlocks(c.Before, r)
		if c.Before.Visible() != r.Visible() {
			s.Touch(r.User())
		}
	}
}

// expire removes a user whose grace time is over.
func (s *Service) expire(ctx context.Context, u chat.User, revision uint64) error {
	var before Record
	row, err := s.Users.Update(ctx, string(u), func(v store.View, r Record) (Record, error) {
		if row, _ := s.Users.Get(v, string(u)); row.Revision != revision {
			return r, chat.ErrUnchanged
		}
		before = r
		return Remove(r, chat.ByLoss)
	})
	if err == nil && row.Record.State == Gone && before.Present() {
		s.noteSeen(ctx, before, before.LostAt)
	}
	return err
}

// lastHere returns when a user who is removed now was last connected.
func lastHere(r Record) time.Time {
	if r.State == Lost {
		return r.LostAt
	}
	return time.Now()
}

// connectionGone handles the loss of the last connection of a key, which may have several names.
func (s *Service) connectionGone(key string) {
	for _, row := range s.Users.By(store.Committed, key) {
		s.jobs.Do(losing, func(ctx context.Context) error { return s.lose(ctx, row.Record) })
	}
}

const losing = "note a lost user"

func (s *Service) lose(ctx context.Context, r Record) error {
	_, err := s.Users.Update(ctx, string(r.User()), func(_ store.View, now Record) (Record, error) {
		if now.Key != r.Key || s.live.Connected(r.Key) || s.expected(r.User()) {
			return now, chat.ErrUnchanged
		}
		return Lose(now, s.Rules.Grace, time.Now())
	})
	return err
}

// reconcile finds users who count as connected and are not, as after a restart of the server. A
// user who counts as lost on a connection that is up has not noticed that the server was cut off
// from the others for a moment. Their connection is closed, so that the client comes back and asks
// what it has missed.
func (s *Service) reconcile() {
	for r := range s.everybody() {
		switch {
		case r.State == Here && !s.live.Connected(r.Key) && !s.expected(r.User()):
			s.jobs.Do(losing, func(ctx context.Context) error { return s.lose(ctx, r) })
		case r.State == Lost:
			if err := s.live.Disconnect(s.live.LinksOf(r.Key, r.isAt)); err != nil {
				s.Log.Warn("close the connection of a lost user", "user", r.Name, "err", err)
			}
		}
	}
}

// audit writes the audit record of a change of a user's record.
func (s *Service) audit(before, after Record) {
	event, text := "", ""
	switch {
	case before.Present() && after.State == Gone && after.Reason == chat.ByLoss:
		event, text = "user.removed", removedText(before, after)
	case before.Present() && after.State == Gone && after.Reason == chat.ByOperator:
		event, text = "user.removed", fmt.Sprintf("%s removed: signed out by the operator, %s online", after.Name, count(s.Users.Len(store.Committed), "user"))
	case before.Present() && after.State == Gone:
		event, text = "user.removed", fmt.Sprintf("%s removed, %s online", after.Name, count(s.Users.Len(store.Committed), "user"))
	case before.State == Here && after.State == Lost:
		event, text = "user.lost", fmt.Sprintf("%s: connection lost, waiting %s", after.Name, seconds(after.Grace))
	case before.State == Lost && after.State == Here:
		event, text = "user.back", fmt.Sprintf("%s: back after %.1f s%s", after.Name, time.Since(before.LostAt).Seconds(), s.goesOn(after.User()))
	case before.Present() && before.Presence != after.Presence && after.Presence == chat.Visible:
		event, text = "presence.changed", fmt.Sprintf("%s is visible, status %s", after.Name, s.status(after.User()))
	case before.Present() && before.Presence != after.Presence:
		event, text = "presence.changed", fmt.Sprintf("%s is hidden", after.Name)
	default:
		return
	}
	s.Audit.Action(chat.Audit{Event: event, User: after.Name, Address: after.Connection.Address, Text: text})
}

// chosen writes that a user has chosen the presence with the hello.
func (s *Service) chosen(r Record) {
	if r.Presence == chat.Undecided {
		return
	}
	s.Audit.Request(chat.Audit{Event: "user.request", User: r.Name, Text: fmt.Sprintf("%s chooses presence: %s", r.Name, word(r.Presence))})
	undecided := r
	undecided.Presence = chat.Undecided
	s.audit(undecided, r)
}

func (s *Service) registered(r Record, returning bool) {
	how := "new"
	if returning {
		how = "returning"
	}
	s.Audit.Action(chat.Audit{
		Event: "user.registered", User: r.Name, Address: r.Connection.Address,
		Text: fmt.Sprintf("%s registered (%s), %s, %s online", r.Name, how, r.Connection.Address, count(s.Users.Len(store.Committed), "user")),
	})
}

// goesOn names the session that a user has come back to.
func (s *Service) goesOn(u chat.User) string {
	for _, session := range s.Sessions(u, nil, 0) {
		if session.State == chat.Open {
			return ", session " + session.Short() + " goes on"
		}
	}
	return ""
}

func (s *Service) status(u chat.User) string {
	if len(s.Partners(u)) > 0 {
		return "busy"
	}
	return "available"
}

// refusedName writes to the audit log that a name was refused. asked is what was asked for, which
// may not be a name.
func (s *Service) refusedName(name chat.Name, asked, address string, err error) {
	var told *chat.Error
	if errors.As(err, &told) {
		s.Audit.Refused(chat.Audit{Event: "user.refused", Address: address, Asked: name, Code: told.Code, Text: fmt.Sprintf("username %s: %s", asked, because(told))})
	}
}

// refused writes a refusal to the audit log.
func (s *Service) refused(name chat.Name, what string, err error) {
	var told *chat.Error
	if errors.As(err, &told) {
		s.Audit.Refused(chat.Audit{Event: "user.refused", User: name, Code: told.Code, Text: fmt.Sprintf("%s of %s: %s", what, name, told.Text)})
	}
}

// because returns the short reason for refusing a name.
func because(e *chat.Error) string {
	switch e.Code {
	case chat.Taken:
		return "already taken"
	case chat.ForeignKey:
		return "belongs to another key"
	case chat.SignedIn:
		return "signed in on another terminal"
	case chat.Invalid:
		return "not a username"
	case chat.Reserved:
		return "reserved"
	case chat.Denied:
		return "not invited, or no longer"
	}
	return e.Text
}

// everybody returns all present users.
func (s *Service) everybody() iter.Seq[Record] {
	rows := s.Users.Snapshot()
	return func(yield func(Record) bool) {
		for _, row := range rows {
			if !yield(row.Record) {
				return
			}
		}
	}
}

// partners returns the records of the users whom a user chats with.
func (s *Service) partners(u chat.User) []Record {
	var found []Record
	for _, p := range s.Partners(u) {
		if row, ok := s.Users.Get(store.Committed, string(p)); ok {
			found = append(found, row.Record)
		}
	}
	return found
}

// mostUsers is how many users one answer lists: each may chat with a whole group.
const mostUsers = 400

// adminUsers lists the present users for the operator, a part at a time.
func (s *Service) adminUsers(ctx context.Context, _ rpc.Caller, q chat.AdminRequest) (chat.AdminUsersReply, error) {
	part, more := rpc.Page(s.everybody(), func(r Record) string { return string(r.User()) }, q.After, mostUsers)
	reply := chat.AdminUsersReply{Users: []chat.AdminUser{}, More: more}
	for _, r := range part {
		e := EntryOf(r, s.partners(r.User()))
		if r.Connection.ID == 0 {
			r.Connection = cmp.Or(s.live.Port(ctx, r.Key), r.Connection)
		}
		reply.Users = append(reply.Users, chat.AdminUser{
			Name: r.Name, Status: s.status(r.User()), Presence: r.Presence, With: e.With,
			Key: r.Key, Address: r.Connection.Address, Connection: r.Connection.ID, Server: r.Connection.Server,
			Since: r.Since, Lost: r.State == Lost,
		})
	}
	return reply, nil
}

func word(p chat.Presence) string {
	if p == chat.Visible || p == chat.HiddenAway {
		return string(p)
	}
	return "something unknown"
}

// count writes "1 user", "2 users".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
