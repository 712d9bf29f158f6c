package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence"
	"natter/session"
)

// Config is what the coordinator's half needs.
type Config struct {
	Sessions  *Sessions
	Users     *presence.Users
	Mailboxes *broker.Mailboxes
	Minter    presence.Minter
	Notices   *nats.Conn // publishes to users
	Audit     *rpc.Audit
	Log       *slog.Logger
	Rules     chat.Rules
	Class     chat.Class
	Touch     func(...chat.User) // what others see of these users has changed
	Crowds    bool               // a user may receive any number of invitations
}

// Sessions is the table of invitations and sessions.
type Sessions = store.Table[chat.Session]

// NewSessions adds the table to a log. Its index finds the sessions of a user, and for a while
// those that have ended.
func NewSessions(l *store.Log, changed func(store.Change[chat.Session])) *Sessions {
	return store.NewTable(l, "session", store.TableConfig[chat.Session]{
		Gone: func(s chat.Session) bool { return s.State == chat.Closed },
		Index: func(s chat.Session) []string {
			var users []string
			for _, m := range s.Present() {
				users = append(users, string(m.User()))
			}
			return users
		},
		Tombstones: func(s chat.Session) []string {
			if !session.Begun(s) {
				return nil
			}
			var ended []string
			for _, m := range s.Present() {
				ended = append(ended, endedFor(m.User()))
			}
			if s.Reason == chat.ByLoss {
				for _, u := range s.By {
					ended = append(ended, endedFor(u))
				}
			}
			return ended
		},
		Changed: changed,
	})
}

// endedFor is the word for sessions that a user was in to the end; no user has such a name.
func endedFor(u chat.User) string { return "ended for " + string(u) }

// Service is the coordinator's half of sessions.
type Service struct {
	Config
	Told atomic.Uint64 // notices that were sent

	jobs    *broker.Scheduler
	invites *inviteLimiter
}

// NewService makes the service.
func NewService(cfg Config) *Service {
	s := &Service{Config: cfg, jobs: broker.NewScheduler(cfg.Log)}
	if !cfg.Crowds {
		s.invites = newInviteLimiter()
	}
	return s
}

// Serve adds the endpoints.
func (s *Service) Serve(svc *rpc.Service) error {
	return errors.Join(
		rpc.Handle(svc, chat.Invite, s.invite),
		rpc.Handle(svc, chat.Answer, s.answer),
		rpc.Handle(svc, chat.Withdraw, s.withdraw),
		rpc.Handle(svc, chat.Join, s.join),
		rpc.Handle(svc, chat.Store, s.store),
		rpc.Handle(svc, chat.Fetch, s.fetch),
		rpc.Handle(svc, chat.End, s.end),
		rpc.Handle(svc, chat.Leave, s.leave),
		rpc.Handle(svc, chat.AdminSessions, s.adminSessions),
		rpc.Handle(svc, chat.WatchSession, s.watchSession),
	)
}

// Stop ends all timers and waits for what is under way. The log must have stopped.
func (s *Service) Stop() { s.jobs.Stop() }

// Partners returns the other members of the session that a user is in.
func (s *Service) Partners(u chat.User) []chat.User {
	var found []chat.User
	for _, row := range s.Sessions.By(store.Committed, string(u)) {
		if row.Record.State == chat.Open {
			for _, m := range row.Record.Present() {
				if m.User() != u {
					found = append(found, m.User())
				}
			}
		}
	}
	return found
}

// Of returns every invitation and session of a user, as its members see them. Of those that have
// ended and are not forgotten it returns the known ones, those that ended because the user did not
// come back, and those that ended after the revision at which the user was lost; 0: they were not
// lost.
func (s *Service) Of(u chat.User, known []string, lost uint64) []chat.Session {
	known = known[:min(len(known), chat.MaxKnown)]
	var found []chat.Session
	for _, row := range s.Sessions.By(store.Committed, string(u)) {
		found = append(found, s.view(row.Record))
	}
	for _, row := range s.Sessions.By(store.Committed, endedFor(u)) {
		missed := row.Record.AwayTooLong(u) || lost > 0 && row.Revision > lost
		if missed && !slices.Contains(known, row.Key) {
			found = append(found, s.view(row.Record))
		}
	}
	for _, id := range known {
		row, ok := s.Sessions.Get(store.Committed, id)
		if _, in := row.Record.Member(u); ok && in && row.Record.State == chat.Closed {
			found = append(found, s.view(row.Record))
		}
	}
	return found
}

// view returns a session as its members see it, with who has lost the connection.
func (s *Service) view(record chat.Session) chat.Session {
	members := make([]chat.Member, len(record.Members))
	for i, m := range record.Members {
		row, ok := s.Users.Get(store.Committed, string(m.User()))
		m.Lost = ok && row.Record.State == presence.Lost
		members[i] = m
	}
	record.Members = members
	return record
}

// world is what the rules see of all users and sessions.
type world struct {
	*Service
	v store.View
}

// User implements World.
func (w world) User(u chat.User) (chat.Name, bool, bool) {
	row, ok := w.Users.Get(w.v, string(u))
	return row.Record.Name, row.Record.Visible(), ok && row.Record.Present()
}

// Blocks implements World.
func (w world) Blocks(u, other chat.User) bool {
	row, _ := w.Users.Get(w.v, string(u))
	return row.Record.Present() && row.Record.BlocksUser(other, time.Now())
}

// Removed implements World.
func (w world) Removed(u chat.User) bool {
	row, _ := w.Users.Get(w.v, string(u))
	return row.Record.State == presence.Gone && row.Record.Reason == chat.ByOperator
}

// Of implements World.
func (w world) Of(u chat.User) []chat.Session {
	var found []chat.Session
	for _, row := range w.Sessions.By(w.v, string(u)) {
		found = append(found, row.Record)
	}
	return found
}

// step runs a rule on one session. A session that does not exist is the zero Session, which rules
// treat as one that has ended.
func (s *Service) step(ctx context.Context, id string, rule func(session.World, chat.Session) (chat.Session, error)) (store.Row[chat.Session], error) {
	return s.Sessions.Update(ctx, id, func(v store.View, before chat.Session) (chat.Session, error) { return rule(world{s, v}, before) })
}

// reply returns the answer to a step. It writes a refusal to the audit log, with the users that it
// was about.
func (s *Service) reply(row store.Row[chat.Session], err error, u chat.User, refused string, about ...chat.Name) (chat.SessionReply, error) {
	if err != nil {
		var told *chat.Error
		if errors.As(err, &told) {
			s.Audit.Refused(chat.Audit{Event: "user.refused", User: s.name(u), Code: told.Code, Users: about, Text: refused + ": " + told.Text})
		}
		return chat.SessionReply{}, err
	}
	return chat.SessionReply{Session: s.view(row.Record), Revision: row.Revision}, nil
}

// name is a present user's name as typed.
func (s *Service) name(u chat.User) chat.Name {
	if row, ok := s.Users.Get(store.Committed, string(u)); ok {
		return row.Record.Name
	}
	return chat.Name(u)
}

// named returns the names of a list as it was sent, those of present users as their owners typed
// them.
func (s *Service) named(guests []string) (names []chat.Name) {
	for _, g := range guests[:min(len(guests), 2*chat.MaxGroup)] {
		if n, err := chat.ParseName(g); err == nil {
			names = append(names, s.name(n.User()))
		}
	}
	return names
}

func (s *Service) request(u chat.User, session, format string, args ...any) {
	name := s.name(u)
	if !validID(session) {
		session = ""
	}
	s.Audit.Request(chat.Audit{Event: "user.request", User: name, Session: session, Text: fmt.Sprintf("%s "+format, append([]any{name}, args...)...)})
}

// invite proposes a session. If a guest cannot be invited for a reason that the host must not learn,
// the refusal takes as long as for a user who does not exist.
func (s *Service) invite(ctx context.Context, c rpc.Caller, q chat.InviteRequest) (chat.SessionReply, error) {
	timer := time.NewTimer(chat.RefusalDelay)
	defer timer.Stop()
	guests := shown(q.Guests)
	if len(q.Guests) == 1 {
		s.request(c.User, "", "asks to chat with %s", guests)
	} else {
		s.request(c.User, "", "asks for a group chat with %s", guests)
	}
	id, now := q.Session, time.Now()
	switch {
	case id == "":
		id = chat.NewSessionID()
	case !validID(id):
		return chat.SessionReply{}, chat.Errorf(chat.Arguments, "The field %q must be 32 hexadecimal digits.", "session")
	}
	counted, held := false, chat.User("") // counted: a rule may run again
	propose := func(w session.World, before chat.Session) (chat.Session, error) {
		held = ""
		switch {
		case before.ID == "":
			after, err := session.Propose(w, c.User, id, q.Guests, s.Class, s.Rules, now)
			if err == nil && after.ID == id && !counted {
				held, err = s.crowded(after, now)
				counted = err == nil
			}
			return after, err
		case before.Host == c.User:
			return before, session.ErrUnchanged // requested before, perhaps from a replica that was held up
		}
		return chat.Session{}, chat.Errorf(chat.Arguments, "The id in %q is taken.", "session")
	}
	row, err := store.Step(ctx, s.Sessions, func(v store.View) (string, chat.Session, error) {
		before, _ := s.Sessions.Get(v, id)
		after, err := propose(world{s, v}, before.Record)
		return after.ID, after, err // of another invitation, if that is accepted instead
	})
	if held != "" {
		s.heldBack(held)
	}
	if errors.Is(err, &chat.Error{Code: chat.Unavailable}) {
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return s.reply(row, err, c.User, fmt.Sprintf("invitation from %s to %s", s.name(c.User), guests), s.named(q.Guests)...)
}

func (s *Service) answer(ctx context.Context, c rpc.Caller, q chat.AnswerRequest) (chat.SessionReply, error) {
	verb, now := "denies", time.Now()
	if q.Accept {
		verb = "accepts"
	}
	s.request(c.User, q.Session, "%s invitation %s", verb, short(q.Session))
	row, err := s.step(ctx, q.Session, func(w session.World, before chat.Session) (chat.Session, error) {
		return session.Answer(w, before, c.User, q.Accept, now)
	})
	return s.reply(row, err, c.User, fmt.Sprintf("answer of %s to %s", s.name(c.User), short(q.Session)))
}

func (s *Service) withdraw(ctx context.Context, c rpc.Caller, q chat.SessionRequest) (chat.SessionReply, error) {
	s.request(c.User, q.Session, "withdraws invitation %s", short(q.Session))
	row, err := s.step(ctx, q.Session, func(_ session.World, before chat.Session) (chat.Session, error) {
		return session.Withdraw(before, c.User)
	})
	return s.reply(row, err, c.User, fmt.Sprintf("withdrawal by %s of %s", s.name(c.User), short(q.Session)))
}

func (s *Service) end(ctx context.Context, c rpc.Caller, q chat.EndRequest) (chat.SessionReply, error) {
	how := "Quit"
	switch q.Reason {
	case chat.ByQuit:
	case chat.ByBye:
		how = "bye"
	default:
		return chat.SessionReply{}, chat.Errorf(chat.Arguments, "The reason must be %q or %q.", chat.ByQuit, chat.ByBye)
	}
	s.request(c.User, q.Session, "ends session %s (%s)", short(q.Session), how)
	row, err := s.step(ctx, q.Session, func(_ session.World, before chat.Session) (chat.Session, error) {
		return session.End(before, c.User, q.Reason)
	})
	return s.reply(row, err, c.User, fmt.Sprintf("end by %s of %s", s.name(c.User), short(q.Session)))
}

func (s *Service) leave(ctx context.Context, c rpc.Caller, q chat.SessionRequest) (chat.SessionReply, error) {
	s.request(c.User, q.Session, "leaves session %s", short(q.Session))
	in := false
	row, err := s.step(ctx, q.Session, func(_ session.World, before chat.Session) (chat.Session, error) {
		_, in = before.Member(c.User)
		return session.Leave(before, c.User, chat.ByLeave)
	})
	reply, err := s.reply(row, err, c.User, fmt.Sprintf("leave by %s of %s", s.name(c.User), short(q.Session)))
	if err == nil && !in { // after an error the rule may still be running
		reply.Session = parted(reply.Session, c.User)
	}
	return reply, err
}

// parted returns a session for a member who has left it and asks again: it does not show what has
// happened to the others since.
func parted(record chat.Session, u chat.User) chat.Session {
	if record.State == chat.Closed {
		record.State, record.Reason, record.By = chat.Open, "", nil
	}
	record.Members = slices.Clone(record.Members)
	for i, m := range record.Members {
		if m.User() != u {
			record.Members[i].Left, record.Members[i].Lost = "", false
		}
	}
	return record
}

// join makes a member's ticket for the session's present channel.
func (s *Service) join(ctx context.Context, c rpc.Caller, q chat.JoinRequest) (chat.JoinReply, error) {
	record, err := s.joinable(ctx, c.User, q)
	if err == nil && q.Again {
		record, err = s.again(ctx, c.User, q)
	}
	if err != nil {
		return chat.JoinReply{}, err
	}
	m, _ := record.Member(c.User)
	channel := record.Channel()
	ticket, err := s.Minter.Mint(q.Key, chat.MemberGrant(c.User, channel).WithFrames(s.Rules.MaxText), chat.MemberTicketTTL, time.Now())
	return chat.JoinReply{Ticket: ticket, Channel: channel, Incarnation: m.Incarnation}, err
}

// joinable returns the session that a member asks to join from their present terminal. The terminal
// is checked after the record is read: a later takeover has the session go on under another epoch.
func (s *Service) joinable(ctx context.Context, u chat.User, q chat.JoinRequest) (chat.Session, error) {
	record, err := s.insider(ctx, u, q.Session)
	if err == nil && (record.Epoch < q.Epoch || s.elsewhere(store.Committed, u, q.Terminal) != nil) { // another replica has changed it a moment ago
		if err = s.Sessions.Sync(ctx); err == nil {
			record, err = s.insider(ctx, u, q.Session)
		}
	}
	if err != nil {
		return record, err
	}
	return record, s.elsewhere(store.Committed, u, q.Terminal)
}

// again begins another incarnation of a member.
func (s *Service) again(ctx context.Context, u chat.User, q chat.JoinRequest) (chat.Session, error) {
	row, err := s.Sessions.Update(ctx, q.Session, func(v store.View, before chat.Session) (chat.Session, error) {
		if err := s.elsewhere(v, u, q.Terminal); err != nil {
			return before, err
		}
		return session.Restart(before, u)
	})
	return row.Record, err
}

// elsewhere returns an error for a terminal that is no longer the user's.
func (s *Service) elsewhere(v store.View, u chat.User, terminal string) error {
	row, _ := s.Users.Get(v, string(u))
	if terminal == "" || row.Record.Terminal == "" || row.Record.Terminal == terminal {
		return nil
	}
	return presence.SignedIn(row.Record)
}

// openTo finds an open session that u is in.
func (s *Service) openTo(u chat.User, id string) (chat.Session, bool) {
	row, _ := s.Sessions.Get(store.Committed, id)
	_, in := row.Record.Member(u)
	return row.Record, in && row.Record.State == chat.Open
}

// mostSessions is how many sessions one answer lists: each may be a large group.
const mostSessions = 100

// adminSessions lists everything for the operator, a part at a time.
func (s *Service) adminSessions(_ context.Context, _ rpc.Caller, q chat.AdminRequest) (chat.AdminSessionsReply, error) {
	part, more := rpc.Page(slices.Values(s.Sessions.Snapshot()), func(r store.Row[chat.Session]) string { return r.Record.ID }, q.After, mostSessions)
	reply := chat.AdminSessionsReply{Sessions: []chat.Session{}, More: more}
	for _, row := range part {
		reply.Sessions = append(reply.Sessions, s.view(row.Record))
	}
	return reply, nil
}

// watchSession tells an observer who can send in a session.
func (s *Service) watchSession(_ context.Context, _ rpc.Caller, q chat.WatchRequest) (chat.WatchReply, error) {
	return s.Watched(q.Session), nil
}

// Watched returns who can send and receive in a session, as far as this replica knows.
func (s *Service) Watched(id string) chat.WatchReply {
	row, _ := s.Sessions.Get(store.Committed, id)
	return row.Record.Watched()
}

// validID reports whether a text can be a session's id.
func validID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 32
}
