// Package coord assembles the coordinator: the log, the tables of users and sessions, and the services.
//
//	links ──▶ streams ──▶ log ──▶ tables ──▶ presence, session ──▶ endpoints
//
// A coordinator has no state outside of the streams. Any number of them may serve the same streams, and
// one may end at any moment.
package coord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/internal/private"
	"natter/presence"
	"natter/presence/account"
	"natter/session/server"
)

// Links are the coordinator's connections to the broker, each with the grant of its
// name, and what it needs to make tickets.
type Links struct {
	Answer *nats.Conn // chat.AnsweringGrant
	Store  *nats.Conn // chat.StoringGrant
	System *nats.Conn // chat.SystemGrant, in the system account
	Direct *nats.Conn // chat.TappingGrant: counts direct messages, see presence.Directs
	ChatID string     // public key of the account that users are in
	Lobby  string     // public key of the account that newcomers are in; "": their requests say it
	Minter presence.Minter

	Revoker  presence.Revoker                        // nil: tickets are good until they expire
	Storing  context.Context                         // done when nothing can be stored, its cause a broker.Outage; nil: nobody would know
	Dropping func(subject string, upTo uint64) error // see broker.Mailboxes; may be nil
	Room     int                                     // users whom the server can serve; 0: not known
	Conns    func() (have, most int)                 // see presence.Config.Connections
}

// Config is what an operator may choose.
type Config struct {
	Rules      chat.Rules
	Limits     rpc.Limits
	ConnLimits presence.ConnLimits
	MaxUsers   int           // 0: no limit
	NameTTL    time.Duration // 0: names are kept for ever
	Invited    bool          // new names need a pass
	ClockOK    bool          // the clock is right, though the data say otherwise
	Class      chat.Class    // of new sessions
	Memory     bool          // streams are kept in memory
	Shared     bool          // other replicas may be there, and servers that end by themselves
	Replicas   int           // of each stream, where the servers are a cluster; 0 is 1
	Log        *slog.Logger

	// For metrics; may be nil.
	Answered  func(endpoint, outcome string, took time.Duration) // see broker.Service
	Committed func(took time.Duration)                           // see store.Log
}

// Defaults are the choices that need no flag.
func Defaults() Config {
	return Config{
		Rules: chat.Rules{
			MaxText: chat.MaxText, MaxGroup: chat.MaxGroup, InviteTimeout: chat.InviteTimeout, Grace: chat.Grace,
			MessageRate: chat.MessageRate, DirectRate: chat.DirectRate,
		},
		Limits:     rpc.Limits{Requests: chat.RequestRate, Lobby: chat.RequestRate, Invites: chat.InviteRate, Lists: chat.ListRate},
		ConnLimits: presence.DefaultConnLimits(),
		NameTTL:    chat.NameTTL,
		Class:      chat.Transparent,
		Log:        slog.New(slog.DiscardHandler),
	}
}

// askFor is how long a cluster may take to elect leaders, once the streams exist.
const askFor = 30 * time.Second

// Coordinator is one replica.
type Coordinator struct {
	cfg      Config
	links    Links
	audit    *rpc.Audit
	space    *broker.Space
	capacity *broker.Capacity
	log      *store.Log
	service  *rpc.Service
	users    *presence.Users
	sessions *server.Sessions
	accounts *account.Store
	presence *presence.Service
	session  *server.Service

	cancel  context.CancelFunc
	run     sync.WaitGroup
	failed  chan error
	started time.Time
	met     atomic.Int64 // users who registered here
	opened  atomic.Int64 // sessions that opened here
	minted  atomic.Uint64
	halted  atomic.Bool // it has stopped serving
}

// Start brings a coordinator up. When it returns, requests are answered.
func Start(ctx context.Context, cfg Config, links Links) (*Coordinator, error) {
	c := &Coordinator{cfg: cfg, links: links, started: time.Now(), failed: make(chan error, 1)}
	if cfg.Limits.Lobby == 0 {
		c.cfg.ConnLimits.Lobby = 0
	}
	c.audit = rpc.NewAudit(links.Store, cfg.Log)
	c.space = broker.NewSpace(links.System, c.noSpace)
	c.capacity = broker.NewCapacity(c.atLimit)
	if err := c.openStreams(ctx); err != nil {
		return nil, err
	}
	if err := c.assemble(ctx); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	if err := c.log.Open(life); err != nil {
		cancel()
		return nil, err
	}
	c.run.Go(func() {
		if err := c.log.Run(); err != nil {
			c.fail(err)
		}
	})
	if err := errors.Join(c.presence.ReadClock(life), c.presence.Survey(life)); err != nil {
		c.halt()
		return nil, err
	}
	c.followAccounts(life)
	if cfg.Shared {
		c.share(life)
	}
	if err := c.serve(); err != nil {
		c.halt()
		return nil, err
	}
	c.run.Go(func() { c.presence.WatchLobby(life) })
	c.run.Go(func() { c.capacity.Watch(life, c.Streams) })
	c.presence.Start()
	c.session.Start()
	return c, nil
}

// share does the work of a replica beside others: it keeps surveying the connections and the servers'
// room, and sends the notices that a replica which has died could not send.
func (c *Coordinator) share(life context.Context) {
	c.run.Go(func() { c.presence.KeepSurveying(life) })
	c.run.Go(func() { c.space.Watch(life) })
	c.run.Go(func() {
		if err := c.log.Dispatch("notices", c.session.Redeliver); err != nil && life.Err() == nil {
			c.fail(err)
		}
	})
}

// namesWithin is how long a start waits for the names of all accounts. They are only needed to refuse
// look-alikes, and may be loaded later.
const namesWithin = 5 * time.Second

func (c *Coordinator) followAccounts(life context.Context) {
	loaded := make(chan struct{})
	c.run.Go(func() { c.accounts.Follow(life, c.cfg.Log, func() { close(loaded) }) })
	select {
	case <-loaded:
	case <-time.After(namesWithin):
	case <-life.Done():
	}
}

// storing is of our own disk, or of the servers of others.
func (c *Coordinator) storing() broker.StoreWatch {
	if c.links.Storing != nil {
		return broker.Until{Context: c.links.Storing}
	}
	return c.space
}

// noSpace reports that an existing NATS has no room or, with nil, that it has room again.
func (c *Coordinator) noSpace(out *broker.Outage) {
	if out == nil {
		c.Say("server.room", "the NATS servers take data again")
		return
	}
	c.Warn("error", fmt.Sprintf("store: %v New registrations are refused.", out))
}

// fail reports the first fatal error.
func (c *Coordinator) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

func (c *Coordinator) openStreams(ctx context.Context) error {
	js, err := jetstream.New(c.links.Store)
	if err != nil {
		return err
	}
	storage := jetstream.FileStorage
	if c.cfg.Memory {
		storage = jetstream.MemoryStorage
	}
	removed, err := broker.RemoveFormer(ctx, js)
	if err != nil {
		return err
	}
	if removed > 0 {
		c.cfg.Log.Warn("the stream PARKED of an earlier build was removed; its messages are not delivered", "messages", removed)
	}
	if err := broker.EnsureStreams(ctx, js, storage, max(c.cfg.Replicas, 1)); err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	cut, err := broker.Restoring(soon, c.links.Store)
	if cut {
		return private.Errorf(private.ErrFile, "%s", broker.ErrRestoring.Text)
	}
	return err
}

// assemble makes the tables and the services.
func (c *Coordinator) assemble(ctx context.Context) error {
	log, err := store.NewLog(c.links.Store, broker.LiveStream, c.cfg.Log)
	if err != nil {
		return err
	}
	accounts, err := account.OpenStore(ctx, c.links.Store)
	if err != nil {
		return err
	}
	c.accounts = accounts
	accounts.AtLimit = c.capacity.Look
	log.While(c.storing())
	accounts.While(c.storing())
	mailboxes, err := broker.OpenMailboxes(ctx, c.links.Store)
	if err != nil {
		return err
	}
	mailboxes.Dropping = c.links.Dropping
	log.Observe(c.cfg.Committed)
	c.log = log
	c.links.Minter = counting{c.links.Minter, &c.minted}
	c.users = presence.NewUsers(log, c.userChanged)
	passes := presence.NewPasses(log, func(change store.Change[account.Pass]) { c.presence.PassChanged(change) })
	c.sessions = server.NewSessions(log, c.sessionChanged)
	c.session = server.NewService(server.Config{
		Sessions: c.sessions, Users: c.users, Mailboxes: mailboxes, Minter: c.links.Minter, Notices: c.links.Store,
		Audit: c.audit, Log: c.cfg.Log, Rules: c.cfg.Rules, Class: c.cfg.Class,
		Touch: func(users ...chat.User) { c.presence.Touch(users...) }, Crowds: c.cfg.Limits.Invites == 0,
	})
	c.presence, err = presence.NewService(presence.Config{
		Users: c.users, Accounts: accounts, Passes: passes, Invited: c.cfg.Invited, ClockOK: c.cfg.ClockOK, Minter: c.links.Minter, Revoker: c.links.Revoker, Notices: c.links.Store,
		System: c.links.System, ChatID: c.links.ChatID, LobbyID: c.links.Lobby, Connections: c.links.Conns, Audit: c.audit, Log: c.cfg.Log,
		ConnLimits: c.cfg.ConnLimits, Shared: c.cfg.Shared, Rules: c.cfg.Rules, MaxUsers: c.most(), NameTTL: c.cfg.NameTTL,
		Partners: c.session.Partners, Sessions: c.session.Of,
		Bans:    presence.NewBans(log, func(b store.Change[account.Ban]) { c.presence.BanChanged(b) }),
		Times:   presence.NewTimes(log, func(t store.Change[account.Known]) { c.presence.TimesChanged(t) }),
		Revoked: presence.NewRevocations(log, func(r store.Change[presence.Revoked]) { c.presence.RevokedChanged(r) }),
	}, log)
	return err
}

// most returns how many users may be present; 0 is no limit.
func (c *Coordinator) most() int {
	if c.cfg.MaxUsers == 0 || c.links.Room == 0 {
		return max(c.cfg.MaxUsers, c.links.Room)
	}
	return min(c.cfg.MaxUsers, c.links.Room)
}

func (c *Coordinator) userChanged(change store.Change[presence.Record]) {
	if change.Own && !change.Before.Present() && change.Record.Present() {
		c.met.Add(1)
	}
	c.presence.Changed(change)
	c.session.UserChanged(change)
}

func (c *Coordinator) sessionChanged(change store.Change[chat.Session]) {
	if change.Own && change.Before.State != chat.Open && change.Record.State == chat.Open {
		c.opened.Add(1)
	}
	c.session.Changed(change)
}

func (c *Coordinator) serve() error {
	service, err := rpc.NewService(c.links.Answer, c.cfg.Log)
	if err != nil {
		return err
	}
	service.Observe = c.cfg.Answered
	service.Limits, service.Limited = c.cfg.Limits, c.limited
	if c.cfg.Limits != (rpc.Limits{}) {
		service.Abuse = c.abuse
	}
	c.service = service
	if err := errors.Join(c.presence.Serve(service), c.session.Serve(service), rpc.Handle(service, chat.AdminLog, c.readLog)); err != nil {
		return err
	}
	if err := presence.NewDirects(c.cfg.Rules.DirectRate, c.tooManyDirects).Listen(c.links.Direct); err != nil {
		return err
	}
	return rpc.Settle(c.links.Answer) // reports subscriptions that are not permitted
}

// Failed returns a channel for the fatal error.
func (c *Coordinator) Failed() <-chan error { return c.failed }

// readLog reads the audit log for the operator.
func (c *Coordinator) readLog(ctx context.Context, _ rpc.Caller, q chat.LogRequest) (chat.LogReply, error) {
	return rpc.ReadAudit(ctx, c.links.Store, q)
}

// Watched returns who can speak and be heard in a session: see console.Console.
func (c *Coordinator) Watched(id string) (chat.WatchReply, bool) { return c.session.Watched(id), true }

// Ignored counts the requests that were not answered: see broker.Service.
func (c *Coordinator) Ignored() uint64 { return c.service.Ignored() }

// Ready writes to the audit log that the coordinator serves at a place.
func (c *Coordinator) Ready(where string) {
	c.audit.Write(chat.AuditServer, chat.Audit{Event: "server.ready", Class: c.cfg.Class, Text: fmt.Sprintf(
		"chatcoord %s ready: %s, %s, chats %s", chat.Release, where, users(c.users.Len(store.Committed)), c.cfg.Class)})
}

// Say writes an event of the server to the audit log.
func (c *Coordinator) Say(event, text string) {
	c.audit.Write(chat.AuditServer, chat.Audit{Event: event, Text: text})
}

// Warn writes an error to the audit log.
func (c *Coordinator) Warn(event, text string) {
	c.audit.Write(chat.AuditError, chat.Audit{Event: event, Text: text})
}

// Farewell sends every user the notice that the server stops, and writes why to the audit log. The
// record does not say that they have received it or that their chats go on: a server with its state in
// memory loses them.
func (c *Coordinator) Farewell(why string) {
	online := c.users.Snapshot()
	for _, row := range online {
		_ = rpc.Tell(c.links.Store, chat.UserServer, chat.Address{User: row.Record.User()}, chat.ServerNotice{Stopping: true}) // a client that misses it notices the lost connection
	}
	open := 0
	for _, row := range c.sessions.Snapshot() {
		if row.Record.State == chat.Open {
			open++
		}
	}
	c.audit.Write(chat.AuditServer, chat.Audit{Event: "server.stopping", Text: fmt.Sprintf(
		"stopping: %s, %s online, %s open", why, users(len(online)), sessions(open))})
}

// Stop finishes the requests under way and stops serving. Another coordinator, or this one after a
// restart, goes on from the stored state.
func (c *Coordinator) Stop() {
	c.halt()
	c.audit.Last(chat.AuditServer, chat.Audit{Event: "server.stopped", Text: fmt.Sprintf(
		"stopped after %s: %s, %s", lasted(time.Since(c.started)), users(int(c.met.Load())), sessions(int(c.opened.Load())))})
}

func (c *Coordinator) halt() {
	c.halted.Store(true)
	if c.service != nil {
		c.service.Stop()
	}
	c.cancel()
	c.run.Wait()
	c.presence.Stop()
	c.session.Stop()
}

func users(n int) string {
	if n == 1 {
		return "1 user"
	}
	return fmt.Sprintf("%d users", n)
}

func sessions(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}

// lasted writes a duration for people.
func lasted(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	if d < time.Hour {
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
