package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
)

// link is the user's connection and the ticket that it is made with.
type link struct {
	*owner
	lobby   *lobby
	login   *login
	blocks  *blocks
	receive nats.MsgHandler // for received messages

	pulse  pulse
	voided chan struct{} // the server does not accept the ticket
	dead   chan struct{} // the connection was closed for good

	mu        sync.Mutex
	early     *nats.Conn // the user's connection, made by Dial with a kept ticket, until Enter
	nc        *nats.Conn // the user's connection
	ticket    chat.Ticket
	goodUntil time.Time // is the ticket
	presented string    // the ticket that a server was shown last
	lostAt    time.Time // by the clock awake
	warned    bool      // that the connection would not be safe
	away      bool      // the coordinator does not answer
}

// handshakeFor is how long a handshake of a user with a ticket may take. When thousands come back at
// once, the server works on all handshakes at the same time: a client that gives up early makes it
// do the work again.
const handshakeFor = 10 * time.Second

func (l *link) conn() *nats.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nc
}

// online reports whether the connection to the server is up.
func (l *link) online() bool {
	nc := l.conn()
	return nc != nil && nc.IsConnected()
}

// use sets the user's connection; nil removes it.
func (l *link) use(nc *nats.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nc = nc
}

// takeConn removes the user's connection and returns it.
func (l *link) takeConn() *nats.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	nc := l.nc
	l.nc = nil
	return nc
}

// takeEarly returns the connection that Dial has made, once; nil if there is none.
func (l *link) takeEarly() *nats.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	nc := l.early
	l.early = nil
	return nc
}

// close closes the connections.
func (l *link) close() {
	for _, nc := range []*nats.Conn{l.takeEarly(), l.conn()} {
		if nc != nil {
			nc.Close()
		}
	}
}

var errNotRegistered = chat.Errorf(chat.NotRegistered, "You are not registered.")

// call asks the coordinator on the user's connection.
func call[Q, R any](ctx context.Context, l *link, r chat.Request[Q, R], q Q) (R, error) {
	var none R
	nc := l.conn()
	if nc == nil {
		return none, errNotRegistered
	}
	asker := ctx
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	awaitConnection(ctx, nc)
	reply, err := rpc.Call(ctx, nc, r, chat.Address{User: l.me.User()}, q)
	silent := errors.Is(err, &chat.Error{Code: chat.Timeout})
	l.mu.Lock()
	changed := silent != l.away
	if errors.Is(err, &chat.Error{Code: chat.NotConnected}) || silent && asker.Err() != nil {
		changed = false // the coordinator did not answer, or had no time to
	}
	if changed {
		l.away = silent
	}
	l.mu.Unlock()
	switch {
	case changed && silent:
		l.events.push(CoordinatorAway{})
	case changed:
		l.events.push(CoordinatorBack{})
	}
	if errors.Is(err, &chat.Error{Code: chat.NotRegistered}) && staying(q) && l.side == nil {
		l.login.forgotten()
	}
	return reply, err
}

// staying reports whether a request needs a hello first: not if the user is leaving.
func staying(q any) bool {
	switch q.(type) {
	case chat.HelloRequest, chat.ExitRequest:
		return false
	}
	return true
}

const (
	tries        = 3                // of what was refused as outdated
	callFor      = 10 * time.Second // how long an answer may take
	connectedFor = 2 * time.Second  // and a connection that is on its way back
)

// awaitConnection gives a lost connection a moment to come back.
func awaitConnection(ctx context.Context, nc *nats.Conn) {
	if nc.IsConnected() {
		return
	}
	up := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(up)
	ctx, cancel := context.WithTimeout(ctx, connectedFor)
	defer cancel()
	for !nc.IsConnected() && ctx.Err() == nil {
		select {
		case <-up:
		case <-ctx.Done():
		}
	}
}

// dialUser connects with the present ticket and subscribes to the user's subjects.
func (l *link) dialUser(ctx context.Context) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Timeout(handshakeFor),
		nats.CustomInboxPrefix(chat.Inbox(l.me.User())),
		nats.UserJWT(l.presentTicket, l.sign),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(l.disconnected),
		nats.CustomReconnectDelay(l.unreconnected),
		nats.ReconnectHandler(l.reconnected),
		nats.ClosedHandler(l.ended),
		nats.ErrorHandler(l.faulty),
	}
	nc, err := broker.Connect(ctx, l.cfg.URL, broker.ClientName, append(options, l.cfg.Options...)...)
	if err != nil {
		return nil, err
	}
	if l.rotating { // nothing is heard, and may be heard
		return nc, nil
	}
	if err := l.subscribe(nc); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

func (l *link) subscribe(nc *nats.Conn) error {
	grant := chat.UserGrant(l.me.User())
	if l.side != nil {
		grant = chat.SideGrant(l.me.User())
	}
	for _, subject := range grant.Subscribe {
		if subject == chat.Inbox(l.me.User())+".>" {
			continue // the library's own
		}
		sub, err := nc.Subscribe(subject, l.receive)
		if err != nil {
			return err
		}
		if err := sub.SetPendingLimits(maxPending, maxPendingBytes); err != nil {
			return err
		}
	}
	for {
		err := rpc.Settle(nc)
		if !errors.Is(err, nats.ErrConnectionClosed) { // or it was cut: what was subscribed to is so again when it is back
			return err
		}
		if awaitConnection(l.ctx, nc); !nc.IsConnected() {
			return err
		}
	}
}

func (l *link) presentTicket() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.presented = l.ticket.JWT
	return l.presented, nil
}

// disconnected notes when the connection was lost.
func (l *link) disconnected(nc *nats.Conn, err error) {
	l.mu.Lock()
	mine := nc == l.nc && l.ctx.Err() == nil
	if mine {
		l.lostAt, l.warned = l.pulse.lostSince(awake()), false
	}
	l.mu.Unlock()
	if mine {
		l.events.push(Lost{Server: l.server(), Err: err})
	}
}

// cameBack reports whether the connection was lost, and for how long, and notes that it is back.
func (l *link) cameBack() (lost bool, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost, after = !l.lostAt.IsZero(), awake().Sub(l.lostAt)
	l.lostAt = time.Time{}
	return lost, after
}

// reconnected asks for everything that was missed.
func (l *link) reconnected(nc *nats.Conn) {
	if nc != l.conn() || l.side != nil {
		return
	}
	l.later(func() { l.login.again() })
}

// faulty handles errors of the user's connection. A ticket that the server refuses must be replaced,
// by another goroutine: each try to reconnect calls faulty, and later calls would wait.
func (l *link) faulty(nc *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthExpired) {
		l.fault("connection", err)
		return
	}
	l.log.Debug("connection", "user", l.me, "err", err)
	if nc != l.conn() {
		return
	}
	if l.side != nil {
		l.later(func() { l.login.signOut(SignedOut{Reason: "the ticket is not accepted"}) })
		return
	}
	select {
	case l.voided <- struct{}{}:
	default: // it is on its way
	}
}

// asks is how many tickets are requested that the server then refuses.
const asks = 10

// dialFresh connects with a ticket of the lobby. One of several coordinators may have a clock
// by which its tickets have expired when it makes them; then perhaps another one answers. The
// reply is that to a hello, if the lobby has let the user in.
func (l *link) dialFresh(ctx context.Context) (nc *nats.Conn, in *chat.HelloReply, err error) {
	for range asks {
		if in, err = l.enterEither(ctx); err != nil {
			return nil, nil, err
		}
		if err := l.key.save(ctx, l.me); err != nil {
			return nil, nil, err
		}
		if nc, err = l.dialUserIn(ctx); err == nil {
			return nc, in, nil
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			return nil, nil, chat.Errorf(chat.NotConnected, "The server does not accept the connection: %s.", broker.Plainly(err))
		}
	}
	return nil, nil, chat.Errorf(chat.Denied, "The server does not accept the ticket that the coordinator has just made: the clock of one of the two is wrong. Tell who runs them; chatcoord doctor says more.")
}

// dialUserIn is dialUser at a server that may take no more connections for now.
func (l *link) dialUserIn(ctx context.Context) (nc *nats.Conn, err error) {
	for until, tries := time.Now().Add(fullFor), 1; ; tries++ {
		if nc, err = l.dialUser(ctx); err == nil || !broker.TurnedAway(err) || time.Now().After(until) || ctx.Err() != nil {
			return nc, err
		}
		l.rest(broker.ReconnectAfter(tries))
	}
}

// enterEither asks the lobby for a ticket with the key of the file, or with the next one that a
// change of keys has left there: it is not known whether the change was made.
func (l *link) enterEither(ctx context.Context) (*chat.HelloReply, error) {
	in, err := l.enter(ctx, l.over)
	foreign := errors.Is(err, &chat.Error{Code: chat.ForeignKey}) || errors.Is(err, &chat.Error{Code: chat.Taken})
	if !foreign || !l.key.takeNext() {
		return in, err
	}
	in, second := l.enter(ctx, l.over)
	if second != nil {
		l.key.takeBack()
		return nil, err
	}
	if !l.rotating {
		if _, err := l.key.settle(ctx); err != nil {
			l.log.Warn("keep the new key alone", "user", l.me, "err", err) // both are tried again
		}
	}
	return in, nil
}
