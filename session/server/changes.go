package server

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence"
	"natter/session"
)

// others is how long a replica waits for the one that made a repair necessary to do it.
const others = time.Second

// tellAcceptedAfter is how long a notice of an acceptance waits for others to be sent with it:
// otherwise each of n guests would be sent n notices.
const tellAcceptedAfter = 20 * time.Millisecond

const repairing = "repair a session"

// Changed acts on a change of a session: notices, timers, and repairs of other records. It runs on
// the log's goroutine.
func (s *Service) Changed(c store.Change[chat.Session]) {
	after := c.Record
	if after.State == chat.Proposed {
		if c.Before.State != chat.Proposed {
			s.jobs.After(after.ID, after.Timeout, "expire an invitation", func(ctx context.Context) error { return s.expire(ctx, after.ID) })
		}
	} else {
		s.jobs.Cancel(after.ID)
	}
	if c.Own {
		accepted := after.ID + " accepted"
		if c.Before.State == chat.Proposed && after.State == chat.Proposed {
			s.jobs.Within(accepted, tellAcceptedAfter, "tell who has accepted", func(context.Context) error {
				if row, ok := s.Sessions.Get(store.Committed, after.ID); ok && row.Record.State == chat.Proposed { // else that is told
					s.tell(session.Audience(row.Record, row.Record), row.Record, row.Revision)
				}
				return nil
			})
		} else {
			s.jobs.Cancel(accepted)
			s.tell(session.Audience(c.Before, after), after, c.Revision)
		}
		for _, a := range auditOf(c.Before, after, s.here, time.Now()) {
			s.Audit.Action(a)
		}
		if c.Before.State == chat.Open || after.State == chat.Open {
			s.Touch(users(c.Before, after)...)
		}
		if c.Before.State == chat.Open {
			s.dropStored(c.Before, after)
		}
	}
	if after.State == chat.Closed && c.Before.State == chat.Open {
		s.dropLater(after.ID, delay(c.Own))
	}
	if after.State == chat.Open && c.Before.State != chat.Open {
		s.invites.meet(after.Members)
		for _, m := range after.Members {
			s.repairAll(m.User(), c.Own)
		}
	}
}

// UserChanged acts on a change of a user for the sessions that they are in. It runs on the log's
// goroutine.
func (s *Service) UserChanged(c store.Change[presence.Record]) {
	u := c.Record.User()
	if c.Own && c.Known && (c.Before.State == presence.Lost) != (c.Record.State == presence.Lost) && c.Record.Present() {
		for _, row := range s.Sessions.By(store.Committed, string(u)) {
			if row.Record.State == chat.Open {
				s.tell(session.Audience(row.Record, row.Record), row.Record, c.Revision)
			}
		}
	}
	if c.Own && (presence.TakenOver(c.Before, c.Record) || presence.Parted(c.Before, c.Record)) {
		s.moveAll(u)
	}
	if c.Record.State == presence.Gone {
		s.repairAll(u, c.Own)
	}
}

// Start completes what a crash may have interrupted.
func (s *Service) Start() {
	s.jobs.Do(dropping, s.dropOld)
	for _, row := range s.Sessions.Snapshot() {
		s.jobs.Do(repairing, func(ctx context.Context) error { return s.repair(ctx, row.Key) })
	}
}

// tell sends a session to the users whom a change concerns.
func (s *Service) tell(who []chat.User, record chat.Session, revision uint64) {
	to := make([]chat.Address, len(who))
	for i, u := range who {
		to[i] = chat.Address{User: u}
	}
	n := chat.SessionNotice{Session: s.view(record), Revision: revision, Installation: s.Sessions.Installation()}
	if err := rpc.TellAll(s.Notices, chat.UserSession, to, n); err != nil {
		s.Log.Warn("tell a session", "users", len(who), "session", record.Short(), "err", err)
		return
	}
	s.Told.Add(uint64(len(who)))
}

// repairAll checks all sessions of a user. Every replica does so, the ones that did not cause it a
// little later.
func (s *Service) repairAll(u chat.User, own bool) {
	wait := delay(own)
	for _, row := range s.Sessions.By(store.Committed, string(u)) {
		task := func(ctx context.Context) error { return s.repair(ctx, row.Key) }
		if _, needed := session.Repair(world{s, store.Committed}, row.Record); !needed {
			continue
		}
		if wait == 0 {
			s.jobs.Do(repairing, task)
		} else {
			s.jobs.After(row.Key+" repair", wait, repairing, task)
		}
	}
}

// delay is how long a replica waits before it acts on a change, its own or another's.
func delay(own bool) time.Duration {
	if own {
		return 0
	}
	return others
}

// moveAll moves a user's sessions to another terminal.
func (s *Service) moveAll(u chat.User) {
	for _, row := range s.Sessions.By(store.Committed, string(u)) {
		if row.Record.State != chat.Open {
			continue
		}
		s.jobs.Do("move a session", func(ctx context.Context) error {
			_, err := s.step(ctx, row.Key, func(_ session.World, before chat.Session) (chat.Session, error) { return session.Move(before, u) })
			if errors.Is(err, session.ErrNotInChat) {
				return nil // it has ended, or they have left
			}
			return err
		})
	}
}

// repair makes the steps that changes of other records have made necessary.
func (s *Service) repair(ctx context.Context, id string) error {
	for {
		row, err := s.step(ctx, id, func(w session.World, before chat.Session) (chat.Session, error) {
			if after, ok := session.Repair(w, before); ok {
				return after, nil
			}
			return before, session.ErrUnchanged
		})
		if err != nil {
			return err
		}
		if _, more := session.Repair(world{s, store.Committed}, row.Record); !more {
			return nil
		}
	}
}

// expire ends an invitation that was not answered in time.
func (s *Service) expire(ctx context.Context, id string) error {
	_, err := s.step(ctx, id, func(_ session.World, before chat.Session) (chat.Session, error) { return session.Expire(before) })
	return err
}

// here reports whether a user is registered, perhaps without a connection.
func (s *Service) here(u chat.User) bool {
	row, ok := s.Users.Get(store.Committed, string(u))
	return ok && row.Record.Present()
}

// auditOf returns the audit records of a change, in order. here reports who is registered.
func auditOf(before, after chat.Session, here func(chat.User) bool, now time.Time) []chat.Audit {
	var lines []chat.Audit
	add := func(event, format string, args ...any) {
		lines = append(lines, chat.Audit{
			Event: event, Session: after.ID, Channel: after.Watched().Channel, Class: after.Class, Users: names(after), Text: fmt.Sprintf(format, args...),
		})
	}
	id := after.Short()
	switch {
	case before.State == "" && after.State == chat.Proposed:
		all := ""
		if after.Group() {
			all = ", all must accept"
		} else {
			all = ", expires " + after.At.Add(after.Timeout).Format(time.TimeOnly)
		}
		add("invitation.new", "invitation %s from %s to %s%s", id, after.Members[0].Name, chat.Names(after.Guests()), all)
	case before.State == chat.Proposed && after.State == chat.Proposed:
		for i, m := range after.Members {
			if m.Accepted && !before.Members[i].Accepted {
				add("invitation.answer", "invitation %s accepted by %s", id, m.Name)
			}
		}
	case before.State == chat.Proposed && after.State == chat.Closed:
		add("invitation.end", "invitation %s closed: %s", id, why(after))
	case before.State != chat.Open && after.State == chat.Open:
		add("session.start", "session %s established: %s (%s)", id, chat.Names(names(after)), after.Class)
	case before.State == chat.Open && after.State == chat.Open:
		for i, m := range after.Members {
			if m.Left != "" && before.Members[i].Left == "" {
				add("session.member", "session %s: %s left (%s)", id, m.Name, m.Left)
			}
		}
		if len(lines) == 0 && after.Epoch > before.Epoch {
			add("session.moved", "session %s goes on: a member has changed to another terminal", id)
		}
	case before.State == chat.Open && after.State == chat.Closed:
		add("session.end", "session %s ended: %s, %.1f s", id, why(after), now.Sub(before.At).Seconds())
	}
	return append(lines, statuses(before, after, here)...)
}

// statuses returns the lines about users who have become busy or available. Users who were removed
// are neither.
func statuses(before, after chat.Session, here func(chat.User) bool) []chat.Audit {
	var lines []chat.Audit
	for _, m := range byName(after.Members) {
		_, was := before.Member(m.User())
		_, is := after.Member(m.User())
		was, is = was && before.State == chat.Open, is && after.State == chat.Open
		text := ""
		switch {
		case is && !was:
			text = fmt.Sprintf("%s: available -> busy, chatting with %s", m.Name, chat.Names(after.Others(m.User())))
		case was && !is && here(m.User()):
			text = fmt.Sprintf("%s: busy -> available", m.Name)
		default:
			continue
		}
		lines = append(lines, chat.Audit{Event: "status.changed", User: m.Name, Session: after.ID, Text: text})
	}
	return lines
}

// why returns the reason of an end, and who caused it.
func why(s chat.Session) string {
	if len(s.By) == 0 {
		return string(s.Reason)
	}
	var who []chat.Name
	for _, u := range s.By {
		who = append(who, s.NameOf(u))
	}
	switch all := chat.Names(who); s.Reason {
	case chat.ByGone:
		return all + " not available any longer"
	case chat.ByLoss:
		return all + " did not come back"
	case chat.ByOperator:
		return all + " signed out by the operator"
	default:
		return string(s.Reason) + " by " + all
	}
}

// names returns the names of the members who have not left, in order.
func names(s chat.Session) []chat.Name {
	var found []chat.Name
	for _, m := range byName(s.Present()) {
		found = append(found, m.Name)
	}
	return found
}

func byName(members []chat.Member) []chat.Member {
	sorted := append([]chat.Member(nil), members...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].User() < sorted[j].User() })
	return sorted
}

// users returns everybody who is in one of two states of a session.
func users(before, after chat.Session) []chat.User {
	var found []chat.User
	for _, s := range []chat.Session{before, after} {
		for _, m := range s.Members {
			found = append(found, m.User())
		}
	}
	return found
}

// short returns the part of an id that people see; the id may be anything that was sent.
func short(id string) string { return fmt.Sprintf("%.6s", strings.Map(plain, id)) }

func plain(r rune) rune {
	if r > ' ' && r < 0x7f {
		return r
	}
	return '?'
}

// shown returns a list of names as it was sent, without control characters.
func shown(guests []string) string {
	var parts []string
	for _, g := range guests[:min(len(guests), 2*chat.MaxGroup)] {
		parts = append(parts, fmt.Sprintf("%.30s", strings.Map(plain, g)))
	}
	return strings.Join(parts, ", ")
}
