package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
)

// Welcome is the answer to Enter.
type Welcome struct {
	Name      chat.Name
	Returning bool
	LastSeen  time.Time
	Now       time.Time // by the same clock as LastSeen, the coordinator's
	KeyFile   string    // "" if the key is in memory only
	Unkept    error     // why it is, if it should not be
	Presence  chat.Presence
	Rules     chat.Rules
	Missed    []chat.Session // that have ended while the user was away
}

// Enter asks for a name and takes it. Its error is a *chat.Error, after which
// another name can be tried; with code Auth the same one, after Unlock, and with code
// SignedIn, because the user is signed in on another terminal, EnterOver signs that one out.
// The key file of a name is made when the coordinator gives its ticket.
func (c *Client) Enter(ctx context.Context, name string) (Welcome, error) {
	n, err := chat.ParseName(name)
	if err != nil {
		return Welcome{}, err
	}
	hello, in, err := c.enterKept(ctx, n)
	if !in {
		hello, err = c.enterByLobby(ctx, n)
	}
	if err != nil {
		return Welcome{}, err
	}
	return Welcome{
		Name: n, Returning: hello.Returning, LastSeen: hello.LastSeen, Now: hello.Now,
		KeyFile: c.key.file, Unkept: c.key.unkept, Presence: hello.Presence, Rules: hello.Rules, Missed: c.missed(hello),
	}, nil
}

// enterByLobby asks for a name's ticket and takes the name with it.
func (c *Client) enterByLobby(ctx context.Context, n chat.Name) (hello chat.HelloReply, err error) {
	c.me = n
	if c.key, err = c.loadKey(ctx, n); err != nil {
		return hello, err
	}
	defer c.key.release()
	if err := c.shareKey(c.key); err != nil {
		return hello, err
	}
	if err := c.key.reserve(); err != nil {
		return hello, err
	}
	nc, in, err := c.dialFresh(ctx)
	if err != nil {
		return hello, err
	}
	if in != nil && in.Returning {
		hello = *in
		c.welcomed(hello)
		c.settle(nc, hello)
	} else if hello, err = c.arrive(ctx, nc, nil); err != nil { // a new name is stored when this is answered
		return hello, err
	} else if in != nil {
		hello.Returning, hello.LastSeen, hello.Back = false, in.LastSeen, in.Back
	}
	c.leaveLobby()
	c.mu.Lock()
	c.spent = c.cfg.Pass != "" && !hello.Returning
	c.mu.Unlock()
	c.keepTicket()
	return hello, nil
}

// asks is how often a ticket is asked for that the server then does not want.
const asks = 10

// dialFresh connects with a ticket of the lobby. One of several coordinators may have a clock
// by which its tickets have expired when it makes them; then perhaps another one answers. The
// reply is that to a hello, if the lobby has let the user in.
func (c *Client) dialFresh(ctx context.Context) (nc *nats.Conn, in *chat.HelloReply, err error) {
	for range asks {
		if in, err = c.enterEither(ctx); err != nil {
			return nil, nil, err
		}
		if err := c.key.save(ctx, c.me); err != nil {
			return nil, nil, err
		}
		if nc, err = c.dialUserIn(ctx); err == nil {
			return nc, in, nil
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			return nil, nil, chat.Errorf(chat.NotConnected, "The server does not accept the connection: %s.", broker.Plainly(err))
		}
	}
	return nil, nil, chat.Errorf(chat.Denied, "The server does not accept the ticket that the coordinator has just made: the clock of one of the two is wrong. Tell who runs them; chatcoord doctor says more.")
}

// arrive says hello for the first time on the user's connection.
func (c *Client) arrive(ctx context.Context, nc *nats.Conn, k *chat.Kept) (chat.HelloReply, error) {
	c.mu.Lock()
	c.nc = nc
	c.mu.Unlock()
	hello, err := c.firstHello(ctx, nc, chat.HelloRequest{Kept: k, Takeover: c.over})
	if err != nil {
		c.mu.Lock()
		c.nc = nil
		c.mu.Unlock()
		nc.Close()
		return hello, err
	}
	c.settle(nc, hello)
	return hello, nil
}

// settle begins the life of a user who has been let in.
func (c *Client) settle(nc *nats.Conn, hello chat.HelloReply) {
	c.mu.Lock()
	c.nc, c.at = nc, place(nc)
	c.rules, c.presence = bounded(hello.Rules), hello.Presence
	c.directs.limit(hello.Rules.DirectRate)
	c.mu.Unlock()
	c.cfg.Transcript.Start(c.me, c.Server(), func(err error) { c.events.push(TranscriptFailed{err}) })
	c.start()
	c.wg.Go(c.beats)
	c.inOrder(func() { c.applyAll(hello) })
	c.wg.Go(c.renewals)
}

// enter asks the lobby for a ticket; with over although the user is here. Unless it is for a
// change of keys, the user is let in as well, if they are not present yet: then there is a
// reply to a hello.
func (c *Client) enter(ctx context.Context, over bool) (*chat.HelloReply, error) {
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, fmt.Errorf("make a key for the answer: %w", err)
	}
	q, err := c.enterRequest(seal, over)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	box, err := c.askLobby(ctx, q)
	if err != nil {
		return nil, err
	}
	data, err := seal.Open(box.Box, box.From)
	if err != nil {
		return nil, chat.Errorf(chat.Internal, "The coordinator's answer cannot be read.")
	}
	var reply chat.EnterReply
	if err := rpc.Decode(data, maxNotice, &reply); err != nil {
		return nil, chat.Errorf(chat.Internal, "The coordinator's answer cannot be read.")
	}
	if reply.Error != nil {
		return nil, reply.Error
	}
	c.setTicket(reply.Ticket, life(reply.Ticket))
	return reply.Hello, nil
}

func (c *Client) enterRequest(seal nkeys.KeyPair, over bool) (chat.EnterRequest, error) {
	q := chat.EnterRequest{Proto: chat.Proto, Name: string(c.me), Key: c.key.public, Takeover: over, Known: c.cfg.Known}
	var err error
	if q.Seal, err = seal.PublicKey(); err != nil {
		return q, err
	}
	if c.cfg.Pass != "" {
		q.Pass = chat.ShowPass(c.cfg.Pass, c.key.public)
	}
	switch {
	case c.side != nil:
		if q.Side, err = c.side.PublicKey(); err != nil {
			return q, err
		}
	case !c.rotating:
		q.Hello = &chat.EnterHello{Presence: c.Presence(), Terminal: c.terminal, Identity: c.key.kept.PublicIdentity()}
	}
	q.Proof, err = c.key.pair.Sign(chat.EnterText(q))
	return q, err
}

// dialUser connects with the present ticket and subscribes to what the user hears.
func (c *Client) dialUser(ctx context.Context) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Timeout(handshakeFor),
		nats.CustomInboxPrefix(chat.Inbox(c.me.User())),
		nats.UserJWT(c.presentTicket, c.sign),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(c.disconnected),
		nats.CustomReconnectDelay(c.unreconnected),
		nats.ReconnectHandler(c.reconnected),
		nats.ClosedHandler(c.ended),
		nats.ErrorHandler(c.faulty),
	}
	nc, err := broker.Connect(ctx, c.cfg.URL, broker.ClientName, append(options, c.cfg.Options...)...)
	if err != nil {
		return nil, err
	}
	if c.rotating { // nothing is heard, and may be heard
		return nc, nil
	}
	if err := c.subscribe(nc); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

func (c *Client) subscribe(nc *nats.Conn) error {
	grant := chat.UserGrant(c.me.User())
	if c.side != nil {
		grant = chat.SideGrant(c.me.User())
	}
	for _, subject := range grant.Subscribe {
		if subject == chat.Inbox(c.me.User())+".>" {
			continue // the library's own
		}
		sub, err := nc.Subscribe(subject, c.receive)
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
		if awaitConnection(c.ctx, nc); !nc.IsConnected() {
			return err
		}
	}
}

func (c *Client) presentTicket() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.presented = c.ticket.JWT
	return c.presented, nil
}

func (c *Client) sign(nonce []byte) ([]byte, error) {
	if c.side != nil {
		return c.side.Sign(nonce)
	}
	return c.key.pair.Sign(nonce)
}

// disconnected starts the time that the user is away.
func (c *Client) disconnected(nc *nats.Conn, err error) {
	c.mu.Lock()
	mine := nc == c.nc && c.ctx.Err() == nil
	if mine {
		c.lostAt, c.warned = c.pulse.lostSince(awake()), false
	}
	c.mu.Unlock()
	if mine {
		c.events.push(Lost{Server: c.Server(), Err: err})
	}
}

// faulty is told what goes wrong on the user's connection. A ticket that the server
// refuses has to be replaced. It does not wait for that: each try to reconnect comes here,
// and what comes after it would wait too.
func (c *Client) faulty(nc *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthExpired) {
		c.fault("connection", err)
		return
	}
	c.log.Debug("connection", "user", c.me, "err", err)
	if nc != c.conn() {
		return
	}
	if c.side != nil {
		c.later(func() { c.signOut(SignedOut{Reason: "the ticket is not accepted"}) })
		return
	}
	select {
	case c.voided <- struct{}{}:
	default: // it is on its way
	}
}

// ticketAgain gets a ticket in the lobby for a connection that is not accepted any more:
// the one that there is has expired while nobody could renew it, or is void.
func (c *Client) ticketAgain() {
	if nc := c.conn(); nc == nil || nc.IsConnected() || !c.outlived() {
		return
	}
	err := c.replaceTicket()
	c.log.Debug("a new ticket", "user", c.me, "err", err)
	switch {
	case err == nil:
		return
	case unwanted(err):
		c.later(func() { c.signOut(SignedOut{Reason: err.Error()}) })
	default:
		c.warnRefused(err)
	}
	select { // the server refuses the old one several times a second
	case <-time.After(time.Second):
	case <-c.ctx.Done():
	}
}

// outlived tells whether the server has seen the present ticket: its refusals of the one
// before come many at once.
func (c *Client) outlived() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ticket.JWT == c.presented
}

func (c *Client) replaceTicket() error {
	defer c.leaveLobby()
	in, err := c.enter(c.ctx, true)
	if err != nil { // whether another terminal is there, hello tells
		return err
	}
	c.mu.Lock()
	c.anew = c.anew || in != nil
	c.mu.Unlock()
	c.keepTicket()
	return nil
}

// reconnected asks for everything that was missed.
func (c *Client) reconnected(nc *nats.Conn) {
	if nc != c.conn() || c.side != nil {
		return
	}
	c.later(func() { c.again() })
}

// forgotten says hello again on a connection that is up: the user's server was cut off
// from the others for longer than the coordinator waits.
func (c *Client) forgotten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unknown {
		return
	}
	hello := func() {
		c.mu.Lock()
		c.unknown, c.wasForgotten = false, true
		c.mu.Unlock()
		c.again()
	}
	select {
	case c.work <- hello:
		c.unknown = true
	default: // the worker is busy, and may be who asks; the next request says it
	}
}

// later has the worker run something.
func (c *Client) later(f func()) {
	select {
	case c.work <- f:
	case <-c.ctx.Done():
	}
}

// backAgain tells what has become of everything.
func (c *Client) backAgain(hello chat.HelloReply) {
	c.mu.Lock()
	lost, after, forgotten := !c.lostAt.IsZero(), awake().Sub(c.lostAt), c.wasForgotten
	moved := c.moved
	c.lostAt, c.wasForgotten, c.moved = time.Time{}, false, false
	wanted, watching, open, talk := c.presence, c.watching, c.open, c.talk
	waited := c.waited
	c.waited = 0
	c.mu.Unlock()
	connected := Connected{Server: c.Server(), After: after}
	if !lost {
		connected = Connected{Server: c.Server(), Forgotten: true}
	}
	connected.Moved = moved
	if open != "" {
		now := c.sessionIn(hello, open)
		if now.State == chat.Open || len(now.Present()) == len(now.Members) { // else the mailbox is fetched before the end is told
			connected.Chat = &now
		}
		if talk != nil && now.State == chat.Open {
			connected.Sent = waited
		}
	}
	if lost || forgotten || moved {
		c.events.push(connected)
	}
	c.applyAll(hello)
	if hello.Presence != wanted && wanted != chat.Undecided {
		if err := c.SetPresence(c.ctx, wanted == chat.Visible); err != nil {
			c.fault("choose presence again", err)
		}
	}
	if watching && !hello.Back {
		if _, err := c.Watch(c.ctx); err != nil {
			c.fault("watch again", err)
		}
	}
}

// reblockAfter is how long the ticket is left as it is when blocks change: several may.
const reblockAfter = 300 * time.Millisecond

// renewals gets a new ticket well before the present one expires, when it is void, or when
// the user blocks others than it says.
func (c *Client) renewals() {
	for {
		_, unblock := c.deaf(time.Now())
		c.mu.Lock()
		wait := time.Until(c.goodUntil) * 3 / 4
		c.mu.Unlock()
		if !unblock.IsZero() {
			wait = min(wait, time.Until(unblock)+reblockAfter)
		}
		select {
		case <-time.After(max(wait, time.Second)):
		case <-c.reblocked:
			c.rest(reblockAfter)
			if same, _ := c.deaf(time.Now()); same {
				continue
			}
		case <-c.voided:
			c.ticketAgain()
			continue
		case <-c.dead:
			c.revive()
			continue
		case <-c.ctx.Done():
			return
		}
		if err := c.renew(); err != nil {
			c.log.Warn("renew the ticket", "err", err)
		}
	}
}

// renew makes a connection with a new ticket before the old one is closed, so that
// nothing is missed in between.
func (c *Client) renew() error {
	ticket, err := call(c.ctx, c, chat.Renew, chat.RenewRequest{})
	if err != nil {
		return err
	}
	c.mu.Lock()
	before, until := c.ticket, c.goodUntil
	c.mu.Unlock()
	c.setTicket(ticket, life(ticket))
	nc, err := c.dialUser(c.ctx)
	if err != nil {
		c.setTicket(before, time.Until(until)) // it is still good, and the other one may not be
		return err
	}
	old, lost := c.replaceConn(nc)
	if old == nil {
		nc.Close()
		return errNotConnected
	}
	c.keepTicket()
	c.adopt(nc)
	_, err = c.hello(c.ctx, chat.HelloRequest{})
	if lost || err != nil { // the old one's reconnect does not count now, and nobody else says hello
		c.later(c.again)
	}
	if drained := old.Drain(); drained != nil {
		old.Close()
	}
	return err
}
