package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// Minter makes tickets.
type Minter interface {
	Mint(publicKey string, g chat.Grant, ttl time.Duration, now time.Time) (chat.Ticket, error)
}

// Config is what the coordinator's half needs.
type Config struct {
	Users    *Users
	Bans     *Bans
	Revoked  *Revocations
	Accounts *account.Store
	Passes   *Passes
	Times    *Times
	ClockOK  bool // the operator says that the clock is right
	Minter   Minter
	Revoker  Revoker    // nil: tickets cannot be revoked, they are good until they expire
	Notices  *nats.Conn // publishes to users
	System   *nats.Conn // in the system account
	ChatID   string     // public key of the account that the users are in
	LobbyID  string     // public key of the account that newcomers are in; "": their requests say it
	Audit    *rpc.Audit
	Log      *slog.Logger

	ConnLimits ConnLimits

	// Connections returns how many connections the server in this process has, and may have; nil
	// if the servers are not ours.
	Connections func() (have, most int)

	Shared   bool // other replicas may be there: this one may be behind
	Rules    chat.Rules
	Invited  bool          // new names need a pass
	MaxUsers int           // 0: no limit
	NameTTL  time.Duration // 0: for ever

	Partners func(chat.User) []chat.User // the members of the open session of a user, without the user
	// Sessions returns the sessions of a user, those of the known ones that have ended, and those
	// that have ended since the revision at which the user was lost (0: they were not lost).
	Sessions func(u chat.User, known []string, lost uint64) []chat.Session
}

// Users is the table of present users.
type Users = store.Table[Record]

// Kind is the word for users in the subjects of records.
const Kind = "user"

// NewUsers adds the table to a log. Its index finds users by key and by the users whom they block.
func NewUsers(l *store.Log, changed func(store.Change[Record])) *Users {
	return store.NewTable(l, Kind, store.TableConfig[Record]{
		Gone:    func(r Record) bool { return r.State == Gone },
		Index:   words,
		Changed: changed,
	})
}

// Service is the coordinator's half of presence.
type Service struct {
	Config
	Told atomic.Uint64 // notices that were sent

	log       *store.Log
	live      *Liveness
	entrants  entrants
	pending   pending
	anonymous anonymousCounts
	seal      nkeys.KeyPair // lobby answers are sealed with it
	news      news
	list      listing
	push      push
	time      clock

	jobs *broker.Scheduler
}

// settle is how long after the start of a replica users may take to connect before they count
// as lost.
const settle = 3 * time.Second

// behind is how long a list waits for a revision that this replica has not seen yet, or that does
// not exist.
const behind = 2 * time.Second

// NewService makes the service and listens to the broker's events. The log must be
// open.
func NewService(cfg Config, l *store.Log) (*Service, error) {
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, fmt.Errorf("make the lobby's key: %w", err)
	}
	s := &Service{Config: cfg, log: l, seal: seal, jobs: broker.NewScheduler(cfg.Log)}
	s.push.turn = make(chan struct{}, 1)
	s.entrants.keys = map[chat.User]string{}
	s.anonymous = anonymousCounts{account: cfg.LobbyID, closed: map[string]uint64{}, told: map[string]time.Time{}, uses: uses{}}
	s.Accounts.Seen = s.accountSeen
	s.live, err = NewLiveness(cfg.System, cfg.ChatID, s.connectionGone, s.connectionCame)
	if err == nil {
		s.live.differs = s.clockDiffers
	}
	return s, err
}

func (s *Service) clockDiffers(server string, ahead time.Duration) {
	s.Log.Warn("the clock of a NATS server differs from this one; tickets that are made here may have expired there", "server", server, "ahead", ahead.Round(time.Second))
}

// Serve adds the endpoints.
func (s *Service) Serve(svc *rpc.Service) error {
	return errors.Join(
		rpc.Handle(svc, chat.Enter, s.enter),
		rpc.Handle(svc, chat.Hello, s.hello),
		rpc.Handle(svc, chat.SetPresence, s.choose),
		rpc.Handle(svc, chat.List, s.sendList),
		rpc.Handle(svc, chat.Renew, s.renew),
		rpc.Handle(svc, chat.Rotate, s.rotate),
		rpc.Handle(svc, chat.BlockUser, s.block),
		rpc.Handle(svc, chat.UnblockUser, s.unblock),
		rpc.Handle(svc, chat.Blocked, s.blocked),
		rpc.Handle(svc, chat.Exit, s.exit),
		rpc.Handle(svc, chat.AdminUsers, s.adminUsers),
		s.serveOperator(svc),
		rpc.Handle(svc, chat.AdminPass, s.adminPass),
		rpc.Handle(svc, chat.AdminUnpass, s.adminUnpass),
	)
}

// Start starts the timers: users who do not come back after a restart are lost. It revokes again
// what was revoked before, and enforces all bans.
func (s *Service) Start() {
	s.jobs.Do(revoking, func(ctx context.Context) error { return s.pushRevoked(ctx, s.log.Revision()) })
	s.jobs.Do(enforcingBans, s.enforceBans)
	s.jobs.After(" settle", settle, "reconcile", func(context.Context) error { s.reconcile(); return nil })
}

// Survey finds out who is connected: users may have come back before the broker's events were
// subscribed to. A coordinator calls it before it serves; where there are other replicas, it asks
// all servers.
func (s *Service) Survey(ctx context.Context) error {
	if !s.Shared {
		s.live.SurveyOwn(ctx)
		return nil
	}
	return s.live.Survey(ctx)
}

// KeepSurveying repeats Survey until ctx is done: a server that dies sends no events about its
// clients.
func (s *Service) KeepSurveying(ctx context.Context) {
	for wait := surveyEvery; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		begin := time.Now()
		err := s.live.Survey(ctx)
		wait = min(max(surveyEvery, surveyPause*time.Since(begin)), surveyLate)
		if err != nil {
			s.Log.Warn("survey the servers", "err", err)
			continue
		}
		s.reconcile()
		s.askUnknown(time.Now())
	}
}

// Stop ends all timers and waits for what is under way. The log must have stopped.
func (s *Service) Stop() { s.jobs.Stop() }

// user reads a present user, who may have said hello to another replica a moment ago.
func (s *Service) user(ctx context.Context, u chat.User) (Record, error) {
	row, _ := s.Users.Get(store.Committed, string(u))
	if !row.Record.Present() {
		if err := s.Users.Sync(ctx); err != nil {
			return Record{}, err
		}
		row, _ = s.Users.Get(store.Committed, string(u))
	}
	if !row.Record.Present() {
		return Record{}, errNotHere
	}
	return row.Record, nil
}

// stale returns an error if the user's record has changed since they asked. Rules call it last: if
// nothing is to change, an earlier try of the same request has done it, and its answer may arrive
// after that of this one.
func (s *Service) stale(v store.View, u chat.User, asked uint64) error {
	row, _ := s.Users.Get(v, string(u))
	return Stale(asked, row.Revision)
}

// elsewhere refuses a request whose revision is of another installation: the asker must say
// hello, and forget what it knows. "" is not checked.
func (s *Service) elsewhere(installation string) error {
	if installation != "" && installation != s.log.Installation() {
		return errNotHere
	}
	return nil
}

// hello lets a user in, or in again.
func (s *Service) hello(ctx context.Context, c rpc.Caller, q chat.HelloRequest) (chat.HelloReply, error) {
	var reply chat.HelloReply
	if err := validHello(c.User, q); err != nil {
		return reply, err
	}
	name := q.Name
	acc, _, err := s.Accounts.Get(ctx, c.User)
	if err != nil {
		return reply, err
	}
	if err := s.stillOwns(ctx, name, acc, q); err != nil {
		s.refusedName(name, string(name), "", err)
		return reply, err
	}
	if err := s.rekeyAgain(ctx, acc); err != nil {
		return reply, err
	}
	a, back := Arrival{}, false
	if a, err = s.arrival(ctx, q, acc.Key); err != nil {
		return reply, err
	}
	a.Remembered, a.Blocks = acc.Presence, account.Holding(acc.Blocks, s.settled())
	if err := s.refuseBanned(name, acc.Key, a.Connection.Address); err != nil {
		s.refusedName(name, string(name), "", err)
		return reply, err
	}
	if err := s.spend(ctx, c.User, acc); err != nil {
		s.refusedName(name, string(name), "", err)
		return reply, err
	}
	lost := uint64(0)
	row, err := s.Users.Update(ctx, string(c.User), func(v store.View, r Record) (Record, error) {
		back, lost = r.Present() && r.Key == acc.Key, 0
		if back && r.State == Lost {
			before, _ := s.Users.Get(v, string(c.User))
			lost = before.Revision
		}
		return Arrive(r, a, s.Users.Len(v), s.MaxUsers, time.Now())
	})
	if err != nil {
		s.refusedName(name, string(name), "", err)
		return reply, err
	}
	if err := s.noteHello(ctx, q, acc, back); err != nil {
		return reply, err
	}
	if !back {
		s.registered(row.Record, acc.Taken())
		s.chosen(row.Record)
	}
	if !s.live.Connected(acc.Key) {
		s.connectionGone(acc.Key) // it was lost meanwhile
	}
	return s.welcome(row, acc, back, q.Sessions, lost), nil
}

// welcome is the answer to a hello. acc is the account as it was before; known and lost are
// those of Config.Sessions.
func (s *Service) welcome(row store.Row[Record], acc account.Record, back bool, known []string, lost uint64) chat.HelloReply {
	now := time.Now()
	seen := acc.LastLogin
	if back || seen.After(now) {
		seen = now
	}
	revision := s.log.Revision() // before Sessions is read, which may be newer but not older
	return chat.HelloReply{
		Returning: acc.Taken(), LastSeen: seen, Back: back, Presence: row.Record.Presence, Blocks: account.Holding(row.Record.Blocks, s.settled()),
		Sessions: s.Sessions(row.Record.User(), known, lost), Revision: revision, Installation: s.log.Installation(), Came: row.Revision, Now: now.UTC(), Rules: s.Rules,
	}
}

// stillOwns returns an error if the name does not belong to the user who says hello, as far as the
// hello shows that.
func (s *Service) stillOwns(ctx context.Context, name chat.Name, acc account.Record, q chat.HelloRequest) error {
	switch {
	case acc.Name == "": // the ticket is newer than what the server remembers
		return chat.Errorf(chat.NotRegistered, "The server does not know %s: its data is older. Start again to register the name.", name)
	case acc.Key == "":
		return chat.Errorf(chat.ForeignKey, "The username %s is no longer yours.", name)
	case q.Kept != nil && q.Kept.Key != acc.Key: // the name is another key's by now
		return s.taken(ctx, name)
	}
	return nil
}

// noteLogin stores a login in the account.
func (s *Service) noteLogin(ctx context.Context, name chat.Name, key string) (account.Record, error) {
	return s.Accounts.Update(ctx, name.User(), func(r account.Record) (account.Record, error) {
		if r.Key != key {
			return r, errNotHere
		}
		return account.Login(r, name, s.latest())
	})
}

// noteHello stores in the account what a hello says of its owner. A user who was present already
// has logged in, unless the account says otherwise: the first try of this hello may not have
// stored it yet, or have failed.
func (s *Service) noteHello(ctx context.Context, q chat.HelloRequest, acc account.Record, back bool) error {
	if _, err := account.Remember(acc, q.Presence, q.Identity); back && acc.Taken() && err != nil {
		return nil // nothing is new
	}
	_, err := s.Accounts.Update(ctx, q.Name.User(), func(r account.Record) (account.Record, error) {
		if r.Key != acc.Key {
			return r, errNotHere
		}
		after, err := account.Remember(r, q.Presence, q.Identity)
		if back && r.Taken() {
			return after, err
		}
		now, err2 := account.Login(after, q.Name, s.latest())
		if errors.Is(err2, chat.ErrUnchanged) {
			err2 = err
		}
		return now, err2
	})
	return err
}

// validHello checks what can be checked without knowing who is present.
func validHello(u chat.User, q chat.HelloRequest) error {
	if q.Kept != nil && !validKey(q.Kept.Key) {
		return chat.Errorf(chat.Arguments, `The field "kept" must have a public user key.`)
	}
	if q.Place != nil && q.Place.Server == "" {
		return chat.Errorf(chat.Arguments, `The field "place" must have a server.`)
	}
	if err := SameProto(q.Proto); err != nil {
		return err
	}
	if name, err := chat.ParseName(string(q.Name)); err != nil || name.User() != u {
		return chat.Errorf(chat.Arguments, "The name in a hello must be the user's own.")
	}
	return validSelf(q.Presence, q.Terminal, q.Identity)
}

// validSelf checks what a user says of themselves.
func validSelf(p chat.Presence, terminal, identity string) error {
	switch {
	case p != chat.Undecided && p != chat.Visible && p != chat.HiddenAway:
		return errPresence
	case !plain(terminal, chat.MaxTerminal):
		return chat.Errorf(chat.Arguments, `The field "terminal" must be at most %d letters, digits and signs.`, chat.MaxTerminal)
	case !plain(identity, chat.MaxIdentity):
		return chat.Errorf(chat.Arguments, `The field "identity" must be at most %d letters, digits and signs.`, chat.MaxIdentity)
	}
	return nil
}

// plain reports whether a text is printable ASCII without blanks and at most so long.
func plain(s string, most int) bool {
	return len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// noteSeen stores in the account when its owner was last present. It is only shown to people: if it
// fails, the time of the login is shown.
func (s *Service) noteSeen(ctx context.Context, r Record, until time.Time) {
	_, err := s.Accounts.Update(ctx, r.User(), func(a account.Record) (account.Record, error) {
		return account.Seen(a, r.Key, until)
	})
	if err != nil {
		s.Log.Warn("note when a user was last present", "user", r.User(), "err", err)
	}
}

// SameProto returns an error if the other program speaks another version of the protocol.
func SameProto(theirs int) error {
	switch {
	case theirs == chat.Proto:
		return nil
	case theirs < chat.Proto:
		return chat.Errorf(chat.Version, "This client is too old for the server: it speaks protocol %d, the server %d.", theirs, chat.Proto)
	}
	return chat.Errorf(chat.Version, "This client is too new for the server: it speaks protocol %d, the server %d.", theirs, chat.Proto)
}

func (s *Service) choose(ctx context.Context, c rpc.Caller, q chat.PresenceRequest) (chat.Done, error) {
	r, err := s.user(ctx, c.User)
	if err != nil {
		return chat.Done{}, err
	}
	s.Audit.Request(chat.Audit{Event: "user.request", User: r.Name, Text: fmt.Sprintf("%s chooses presence: %s", r.Name, word(q.Presence))})
	row, err := s.Users.Update(ctx, string(c.User), func(v store.View, r Record) (Record, error) {
		after, err := Choose(r, q.Presence)
		return after, cmp.Or(err, s.elsewhere(q.Installation), s.stale(v, c.User, q.Revision))
	})
	if err == nil {
		_, err = s.Accounts.Update(ctx, c.User, func(r account.Record) (account.Record, error) { return account.Remember(r, q.Presence, "") })
	} else {
		s.refused(r.Name, "presence", err)
	}
	return chat.Done{Revision: row.Revision}, err
}

// sendList answers at once from memory.
func (s *Service) sendList(ctx context.Context, c rpc.Caller, q chat.ListRequest) (chat.ListReply, error) {
	var reply chat.ListReply
	soon, cancel := context.WithTimeout(ctx, behind)
	defer cancel()
	if err := s.elsewhere(q.Installation); err != nil {
		return reply, err
	}
	if err := s.upToDate(soon, q.Revision); err != nil {
		return reply, err
	}
	viewer, err := s.user(ctx, c.User)
	if errors.Is(err, errNotHere) && !q.Watch {
		viewer, err = s.besideViewer(ctx, c.User)
	}
	if err != nil {
		return reply, err
	}
	s.Audit.Request(chat.Audit{Event: "user.request", User: viewer.Name, Text: fmt.Sprintf("%s asks for the list of users", viewer.Name)})
	if q.Watch {
		if _, err := s.Users.Update(ctx, string(c.User), func(_ store.View, r Record) (Record, error) { return StartWatching(r) }); err != nil {
			return reply, err
		}
	}
	listed, revision := s.listed()
	reply.Revision = revision
	reply.Users, err = Roster(viewer, listed, s.blockers(c.User))
	if err != nil {
		s.refused(viewer.Name, "list", err)
		return reply, err
	}
	s.Audit.Action(chat.Audit{Event: "list.sent", User: viewer.Name, Text: fmt.Sprintf("list of %s sent to %s", count(len(reply.Users), "user"), viewer.Name)})
	return reply, nil
}

// upToDate waits until this replica knows what the asker knows and, where there are other
// replicas, everything that was stored when the asker asked.
func (s *Service) upToDate(ctx context.Context, revision uint64) error {
	if s.Shared {
		if err := s.log.Sync(ctx); err != nil {
			return err
		}
	}
	return s.log.Await(ctx, revision)
}

// renew makes a new ticket for a present user. With it they do not receive direct messages of users
// whom they block. It counts as a login, because the name must not lapse before the ticket.
func (s *Service) renew(ctx context.Context, c rpc.Caller, _ chat.RenewRequest) (chat.Ticket, error) {
	r, err := s.user(ctx, c.User)
	if err != nil {
		return chat.Ticket{}, err
	}
	now := time.Now()
	acc, err := s.noteLogin(ctx, r.Name, r.Key)
	if err != nil {
		return chat.Ticket{}, err
	}
	return s.mint(r.Key, c.User, acc, blockedBy(acc, s.settled()), now)
}

func (s *Service) exit(ctx context.Context, c rpc.Caller, q chat.ExitRequest) (chat.Done, error) {
	r, err := s.user(ctx, c.User)
	if err != nil {
		return chat.Done{}, err
	}
	s.Audit.Request(chat.Audit{Event: "user.request", User: r.Name, Text: fmt.Sprintf("%s exits", r.Name)})
	row, err := s.Users.Update(ctx, string(c.User), func(v store.View, r Record) (Record, error) {
		after, err := Remove(r, chat.ByLeave)
		return after, cmp.Or(err, s.elsewhere(q.Installation), s.stale(v, c.User, q.Revision))
	})
	if err == nil {
		s.noteSeen(ctx, r, time.Now())
	}
	return chat.Done{Revision: row.Revision}, err
}
