package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/session"
	"natter/session/delivery"
	"natter/session/transcript"
)

// Invite proposes a session; two or more guests make a group. How it ends is told
// by events. If a guest had invited the user, the session is open at once.
func (c *Client) Invite(ctx context.Context, guests ...string) (chat.Session, error) {
	reply, err := call(ctx, c, chat.Invite, chat.InviteRequest{Guests: guests, Session: chat.NewSessionID()})
	if err != nil {
		return chat.Session{}, err
	}
	c.heard(reply.Session, reply.Revision)
	return reply.Session, nil
}

// Answer accepts or denies an invitation.
func (c *Client) Answer(ctx context.Context, id string, accept bool) error {
	return step(ctx, c, chat.Answer, chat.AnswerRequest{Session: id, Accept: accept})
}

// Withdraw takes the user's own invitation back.
func (c *Client) Withdraw(ctx context.Context, id string) error {
	return step(ctx, c, chat.Withdraw, chat.SessionRequest{Session: id})
}

// step asks for a step of a session and waits until what it means is told.
func step[Q any](ctx context.Context, c *Client, r chat.Request[Q, chat.SessionReply], q Q) error {
	reply, err := call(ctx, c, r, q)
	if err == nil {
		c.heard(reply.Session, reply.Revision)
	}
	return err
}

// Invitations lists the invitations that wait for the user's answer, oldest first.
func (c *Client) Invitations() []chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var waiting []chat.Session
	for _, k := range c.known {
		if m, in := k.session.Member(c.me.User()); in && k.session.State == chat.Proposed && !m.Accepted {
			waiting = append(waiting, k.session)
		}
	}
	sort.Slice(waiting, func(i, j int) bool { return waiting[i].At.Before(waiting[j].At) })
	return waiting
}

// Session is the open session.
func (c *Client) Session() (chat.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.known[c.open]
	return k.session, ok && c.talk != nil
}

// Say sends a message to the other members. It returns at once, unless too many are on
// their way. Code NotInChat; TooLong; NotConnected when 100 messages wait already.
func (c *Client) Say(text string) error {
	c.mu.Lock()
	t, nc := c.talk, c.nc
	c.mu.Unlock()
	if t == nil {
		return errNotInChat
	}
	waits := nc == nil || !nc.IsConnected()
	err := t.Say(c.ctx, text)
	if err == nil && waits {
		c.mu.Lock()
		c.waited++
		c.mu.Unlock()
	}
	return err
}

// Bye asks the others to end the session politely. Saying anything takes it back.
func (c *Client) Bye() error {
	t, err := c.talking()
	if err == nil {
		s, _ := c.Session()
		c.cfg.Transcript.Take(transcript.OwnBye{Session: s.ID})
		t.Bye()
	}
	return err
}

// Waiting counts the messages that somebody has yet to get.
func (c *Client) Waiting() int {
	t, err := c.talking()
	if err != nil {
		return 0
	}
	return t.Waiting()
}

// Flush waits until every message said so far has arrived at everybody who is
// connected.
func (c *Client) Flush(ctx context.Context) error {
	t, err := c.talking()
	if err != nil {
		return nil
	}
	return t.Flush(ctx)
}

// Quit ends the session for all; what was said before arrives first. Without a
// connection it ends here at once, and for the others when there is one again.
func (c *Client) Quit(ctx context.Context) error { return c.end(ctx, chat.ByQuit) }

// Leave leaves a group alone, in the same way.
func (c *Client) Leave(ctx context.Context) error { return c.end(ctx, chat.ByLeave) }

func (c *Client) end(ctx context.Context, reason chat.Reason) error {
	t, err := c.talking()
	if err != nil {
		return err
	}
	s, _ := c.Session()
	if !c.Online() { // nothing would arrive, and nobody can tell when there is a connection again
		c.endHere(s.ID, reason)
		return nil
	}
	flush(ctx, t)
	if reason == chat.ByLeave && len(s.Present()) > 2 {
		part(ctx, t)
	}
	err = c.tellEnd(ctx, s.ID, reason)
	if unheard(err) {
		c.endHere(s.ID, reason)
		return nil
	}
	if errors.Is(err, &chat.Error{Code: chat.NotInChat}) {
		c.later(c.again) // that it was over has not been heard, and is told now
	}
	return err
}

// endHere ends a session on this side, and for the others when the coordinator can be told:
// with the next hello, or with one now if the connection is up. Until it has been told, the
// user is busy for everybody and begins no other chat.
func (c *Client) endHere(id string, reason chat.Reason) {
	c.mu.Lock()
	c.unsaid[id] = reason
	c.mu.Unlock()
	c.inOrder(func() {
		c.mu.Lock()
		s := c.known[id].session // others may have left meanwhile
		c.mu.Unlock()
		s.State, s.Reason, s.By = chat.Closed, reason, []chat.User{c.me.User()}
		c.apply(s, c.knows())
	})
	if c.Online() {
		c.later(c.again)
	}
}

// tellEnd asks the coordinator to end a session or to let the user leave it.
func (c *Client) tellEnd(ctx context.Context, id string, reason chat.Reason) error {
	if reason == chat.ByLeave {
		return step(ctx, c, chat.Leave, chat.SessionRequest{Session: id})
	}
	return step(ctx, c, chat.End, chat.EndRequest{Session: id, Reason: reason})
}

// sayUnsaid ends what was ended without a connection; what cannot be said now is left for
// the next time. It runs on the worker.
func (c *Client) sayUnsaid() {
	c.mu.Lock()
	unsaid := maps.Clone(c.unsaid)
	c.mu.Unlock()
	for id, reason := range unsaid {
		var err error
		if reason == chat.ByLeave {
			_, err = call(c.ctx, c, chat.Leave, chat.SessionRequest{Session: id})
		} else {
			_, err = call(c.ctx, c, chat.End, chat.EndRequest{Session: id, Reason: reason})
		}
		if err != nil {
			c.log.Debug("end a session afterwards", "session", id, "err", err)
		}
		if unheard(err) {
			continue
		}
		c.mu.Lock()
		delete(c.unsaid, id)
		c.mu.Unlock()
	}
}

// unheard tells whether a request has perhaps not been heard.
func unheard(err error) bool {
	return errors.Is(err, &chat.Error{Code: chat.NotConnected}) || errors.Is(err, &chat.Error{Code: chat.Timeout})
}

// flush gives what was said a moment to arrive before the end.
func flush(ctx context.Context, t *delivery.Conn) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = t.Flush(ctx) // what is missing then is told
}

// part has stored what somebody who is away has yet to get from a member who leaves.
func part(ctx context.Context, t *delivery.Conn) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = t.Part(ctx) // what is not stored is told
}

func (c *Client) talking() (*delivery.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.talk == nil {
		return nil, errNotInChat
	}
	return c.talk, nil
}

var errNotInChat = chat.Errorf(chat.NotInChat, "You are not in a chat.")

// receive takes what comes in on the user's connection.
func (c *Client) receive(m *nats.Msg) {
	r, a, ok := chat.Parse(m.Subject)
	if !ok {
		return
	}
	switch r {
	case chat.UserSession.Route:
		notify(c, m, func(n chat.SessionNotice) {
			c.later(func() { c.noticed(n) })
		})
	case chat.UserPresence.Route:
		notify(c, m, func(n chat.PresenceNotice) { c.presenceChanged(n) })
	case chat.UserHeld.Route:
		notify(c, m, func(n chat.HeldNotice) {
			if n.Invitations > 0 {
				c.events.push(InvitationsHeld{n.Invitations})
			}
		})
	case chat.UserServer.Route:
		notify(c, m, c.served)
	case chat.Direct.Route:
		notify(c, m, func(d chat.DirectMessage) { c.direct(a.User, d) })
	}
}

// heard applies the answer to a request and returns when its events are told.
func (c *Client) heard(s chat.Session, revision uint64) {
	c.inOrder(func() { c.apply(s, revision) })
}

// applyAll takes everything that the coordinator knows of the user's sessions. One that
// it does not know any more is over. What is over comes first: nobody is in two chats at
// once.
func (c *Client) applyAll(hello chat.HelloReply) {
	c.mu.Lock()
	var all []chat.Session
	for id, k := range c.known {
		if k.session.State != chat.Closed && k.revision <= hello.Revision && !slices.ContainsFunc(hello.Sessions, func(s chat.Session) bool { return s.ID == id }) {
			all = append(all, ended(k.session))
		}
	}
	c.mu.Unlock()
	all = append(all, hello.Sessions...)
	for _, over := range []bool{true, false} {
		for _, s := range all {
			if (s.State == chat.Closed) == over && !second(c, s) {
				c.take(s, hello.Revision)
			}
		}
	}
}

// sessionIn finds what has become of a session.
func (c *Client) sessionIn(hello chat.HelloReply, id string) chat.Session {
	for _, s := range hello.Sessions {
		if s.ID == id {
			return s
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return ended(c.known[id].session)
}

// ended is a session that is over for a reason that nobody remembers.
func ended(s chat.Session) chat.Session {
	s.State, s.Reason, s.By = chat.Closed, chat.ByUnknown, nil
	return s
}

// apply takes a session as it is at a revision, and tells what that means. Nobody is in two
// chats at once: when news of another open one comes before that of the end of ours, or after
// its own, the coordinator is asked how things stand. It runs on the worker only.
func (c *Client) apply(s chat.Session, revision uint64) {
	ours, other := c.another(s, revision)
	if !other {
		c.take(s, revision)
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, callFor)
	defer cancel()
	hello, err := c.hello(ctx, chat.HelloRequest{})
	switch {
	case err == nil:
		c.applyAll(hello)
	case ours.revision < revision: // what came later is true
		c.take(ended(ours.session), revision)
		c.take(s, revision)
	}
}

// another tells whether a session is news of an open one while the user is in another one,
// and returns that.
func (c *Client) another(s chat.Session, revision uint64) (known, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, in := s.Member(c.me.User())
	before := c.known[s.ID]
	news := before.revision <= revision && before.session.State != chat.Closed && !c.signedOut
	return c.known[c.open], s.State == chat.Open && in && news && c.open != "" && c.open != s.ID
}

// take is apply for what is certain.
func (c *Client) take(s chat.Session, revision uint64) {
	if !plausible(s) {
		c.log.Warn("a session cannot be one", "members", len(s.Members))
		return
	}
	c.seen(revision)
	c.mu.Lock()
	before := c.known[s.ID]
	if c.signedOut || !roomFor(c, s) || before.revision > revision || before.session.State == chat.Closed {
		c.mu.Unlock()
		return
	}
	c.known[s.ID] = known{s, revision}
	if s.State == chat.Closed {
		c.forgetOld()
	}
	talk, mine := c.talk, c.open == s.ID
	c.mu.Unlock()

	_, in := s.Member(c.me.User())
	story := session.Diff(c.me.User(), before.session, s)
	switch {
	case s.State == chat.Open && in && !mine:
		// Nobody speaks before the beginning is told. Whoever never saw the invitation
		// has been in the session in an earlier run.
		defer c.begin(s, before.session.State == "").Start()
	case mine && (s.State == chat.Closed || !in):
		if s.State == chat.Closed {
			c.collect(talk, s)
		}
		c.finish(talk, s.State == chat.Open || s.Reason == chat.ByLeave && len(s.Present()) > 2) // see endHere
	case mine && talk != nil:
		talk.Update(s)
	}
	for _, e := range story {
		if _, over := e.(session.Ended); over && !mine && in { // it has begun and ended meanwhile
			t := c.newTalk(s, false)
			c.collect(t, s)
			t.Close(false)
		}
		c.events.push(e)
	}
}

// collect fetches the mailbox of a session that is over, unless the user has ended it and the
// coordinator could not be told.
func (c *Client) collect(t *delivery.Conn, s chat.Session) {
	c.mu.Lock()
	_, unsaid := c.unsaid[s.ID]
	c.mu.Unlock()
	if t != nil && !unsaid {
		t.Collect(c.ctx, s)
	}
}

// forgetOld keeps only the last sessions that have ended, to recognise late notices.
func (c *Client) forgetOld() {
	const most = 64
	var closed []string
	for id, k := range c.known {
		if k.session.State == chat.Closed {
			closed = append(closed, id)
		}
	}
	if len(closed) <= most {
		return
	}
	sort.Slice(closed, func(i, j int) bool { return c.known[closed[i]].revision < c.known[closed[j]].revision })
	for _, id := range closed[:len(closed)-most] {
		delete(c.known, id)
	}
}

// begin takes part in a session.
func (c *Client) begin(s chat.Session, rejoin bool) *delivery.Conn {
	t := c.newTalk(s, rejoin)
	c.mu.Lock()
	c.talk, c.open = t, s.ID
	c.mu.Unlock()
	return t
}

func (c *Client) newTalk(s chat.Session, rejoin bool) *delivery.Conn {
	o := delivery.Options{
		Me: c.me.User(), Rejoin: rejoin, Rules: c.rules, Log: c.log, Report: c.cfg.Sent,
		Join: c.join, Store: c.store, Fetch: c.fetch, Tell: c.tellTalk, Crowded: c.events.crowded, AllBye: c.allBye,
	}
	if c.cfg.Transcript != nil {
		o.Said = func(at time.Time, text string) {
			c.cfg.Transcript.Take(transcript.Own{Session: s.ID, At: at, Text: text})
		}
	}
	return delivery.New(o, s)
}

// tellTalk tells what a talk says. It knows only its own connection.
func (c *Client) tellTalk(e session.Event) {
	if w, ok := e.(MessageWaits); ok {
		w.Offline = !c.Online()
		e = w
	}
	c.events.push(e)
}

// finish stops listening and tells what was not acknowledged; if the session goes on without
// the user, what is stored will.
func (c *Client) finish(t *delivery.Conn, goesOn bool) {
	c.mu.Lock()
	c.talk, c.open = nil, ""
	c.mu.Unlock()
	if t == nil {
		return
	}
	for _, e := range t.Close(goesOn) {
		c.events.push(e)
	}
}

// join makes the member's connection to a session, with a key of its own.
func (c *Client) join(ctx context.Context, id string, again bool, opts ...nats.Option) (*nats.Conn, chat.JoinReply, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, chat.JoinReply{}, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, chat.JoinReply{}, err
	}
	c.mu.Lock()
	epoch := c.known[id].session.Epoch
	c.mu.Unlock()
	reply, err := call(ctx, c, chat.Join, chat.JoinRequest{Session: id, Key: public, Epoch: epoch, Again: again, Terminal: c.terminal})
	if err != nil {
		return nil, chat.JoinReply{}, err
	}
	options := []nats.Option{
		nats.Timeout(handshakeFor),
		nats.CustomInboxPrefix(chat.MemberInbox(c.me.User(), reply.Channel)),
		nats.UserJWT(func() (string, error) { return reply.Ticket.JWT, nil }, pair.Sign),
	}
	nc, err := broker.Connect(ctx, c.cfg.URL, broker.ClientName, slices.Concat(options, c.cfg.Options, opts)...)
	return nc, reply, err
}

// allBye ends the session once everybody has said bye. All members do it; the first
// one wins.
func (c *Client) allBye(id string) {
	c.ends.Go(func() {
		if s, ok := c.Session(); !ok || s.ID != id {
			return
		}
		if err := c.end(c.ctx, chat.ByBye); err != nil && !errors.Is(err, &chat.Error{Code: chat.NotInChat}) {
			c.log.Debug("end after bye", "err", err)
		}
	})
}
