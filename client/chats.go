package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"sync"

	"natter/chat"
	"natter/session"
)

// Invite proposes a session to users by name; two or more guests make a group. How it ends is
// told by events. If a guest had invited the user, the session is open at once. Codes
// Unavailable, Busy (also while another invitation of the user waits), Self, InChat, GroupLarge.
func (c *Client) Invite(ctx context.Context, guests ...string) (chat.Session, error) {
	reply, err := call(ctx, c.link, chat.Invite, chat.InviteRequest{Guests: guests, Session: chat.NewSessionID()})
	if err != nil {
		return chat.Session{}, err
	}
	c.chats.heard(reply.Session, reply.Revision)
	return reply.Session, nil
}

// Answer accepts or denies an invitation, by the session's id. Codes NothingToDo if it has ended,
// InChat.
func (c *Client) Answer(ctx context.Context, id string, accept bool) error {
	return step(ctx, c.chats, chat.Answer, chat.AnswerRequest{Session: id, Accept: accept})
}

// Withdraw takes the user's own invitation back, by the session's id. Code NothingToDo if it has
// ended.
func (c *Client) Withdraw(ctx context.Context, id string) error {
	return step(ctx, c.chats, chat.Withdraw, chat.SessionRequest{Session: id})
}

// step asks for a step of a session and waits until what it means is told.
func step[Q any](ctx context.Context, c *chats, r chat.Request[Q, chat.SessionReply], q Q) error {
	reply, err := call(ctx, c.link, r, q)
	if err == nil {
		c.heard(reply.Session, reply.Revision)
	}
	return err
}

// Invitations lists the invitations that wait for the user's answer, oldest first.
func (c *Client) Invitations() []chat.Session { return c.chats.invitations() }

// Open is the session that the user is in; false if there is none.
func (c *Client) Open() (*Session, bool) {
	s := c.chats.current()
	return s, s != nil
}

// Session is the session with an id, as events have it. Code NotInChat if the user is not in it.
func (c *Client) Session(id string) (*Session, error) {
	s := c.chats.current()
	if s == nil || s.id != id {
		return nil, errNotInChat
	}
	return s, nil
}

// chats are the sessions that the user knows of, as far as they know them.
type chats struct {
	*owner
	link  *link
	login *login
	ends  sync.WaitGroup // of sessions that everybody has said bye to

	mu     sync.Mutex
	known  map[string]known
	open   *Session               // nil: none
	unsaid map[string]chat.Reason // sessions ended without a connection
}

// known is a session as the user last heard of it.
type known struct {
	session  chat.Session
	revision uint64
}

// current is the open session; nil: there is none.
func (c *chats) current() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// record is what is known of a session.
func (c *chats) record(id string) chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id].session
}

// going are the sessions that are not over.
func (c *chats) going() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.known {
		if k.session.State != chat.Closed {
			ids = append(ids, id)
		}
	}
	return ids
}

// beginAnew takes back what is known of revisions: they are of another installation.
func (c *chats) beginAnew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.known {
		if k.session.State == chat.Closed {
			delete(c.known, id)
			continue
		}
		k.revision = 0
		c.known[id] = k
	}
}

// close leaves the open session as it is.
func (c *chats) close() {
	c.mu.Lock()
	open := c.open
	c.open = nil
	c.mu.Unlock()
	if open != nil {
		open.talk.Close(true)
	}
	c.ends.Wait()
}

// proposals are the user's own invitations that wait.
func (c *chats) proposals() []chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var mine []chat.Session
	for _, k := range c.known {
		if k.session.State == chat.Proposed && k.session.Host == c.me.User() {
			mine = append(mine, k.session)
		}
	}
	return mine
}

func (c *chats) invitations() []chat.Session {
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

// endHere ends a session on this side, and for the others when the coordinator can be told:
// with the next hello, or with one now if the connection is up. Until it has been told, the
// user is busy for everybody and begins no other chat.
func (c *chats) endHere(id string, reason chat.Reason) {
	c.mu.Lock()
	c.unsaid[id] = reason
	c.mu.Unlock()
	c.inOrder(func() {
		s := c.record(id) // others may have left meanwhile
		s.State, s.Reason, s.By = chat.Closed, reason, []chat.User{c.me.User()}
		c.apply(s, c.login.knows())
	})
	if c.link.online() {
		c.later(c.login.again)
	}
}

// tellEnd asks the coordinator to end a session or to let the user leave it.
func (c *chats) tellEnd(ctx context.Context, id string, reason chat.Reason) error {
	if reason == chat.ByLeave {
		return step(ctx, c, chat.Leave, chat.SessionRequest{Session: id})
	}
	return step(ctx, c, chat.End, chat.EndRequest{Session: id, Reason: reason})
}

// sayUnsaid ends what was ended without a connection; what cannot be said now is left for
// the next time. It runs on the worker.
func (c *chats) sayUnsaid() {
	c.mu.Lock()
	unsaid := maps.Clone(c.unsaid)
	c.mu.Unlock()
	for id, reason := range unsaid {
		var err error
		if reason == chat.ByLeave {
			_, err = call(c.ctx, c.link, chat.Leave, chat.SessionRequest{Session: id})
		} else {
			_, err = call(c.ctx, c.link, chat.End, chat.EndRequest{Session: id, Reason: reason})
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

// unheard reports whether a request has perhaps not been heard.
func unheard(err error) bool {
	return errors.Is(err, &chat.Error{Code: chat.NotConnected}) || errors.Is(err, &chat.Error{Code: chat.Timeout})
}

// owes reports whether something was ended while nobody could hear it.
func (c *chats) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unsaid) > 0
}

// endedUnsaid reports whether the user has ended a session of which the coordinator could not
// be told.
func (c *chats) endedUnsaid(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, unsaid := c.unsaid[id]
	return unsaid
}

// noticed takes what a coordinator tells of a session. One of another installation is asked
// how things stand.
func (c *chats) noticed(n chat.SessionNotice) {
	if n.Installation != c.login.home() {
		c.login.again()
		return
	}
	c.apply(n.Session, n.Revision)
}

// heard applies the answer to a request and returns when its events are told.
func (c *chats) heard(s chat.Session, revision uint64) {
	c.inOrder(func() { c.apply(s, revision) })
}

// applyAll takes everything that the coordinator knows of the user's sessions. One that
// it no longer knows is over. What is over comes first: nobody is in two chats at
// once.
func (c *chats) applyAll(hello chat.HelloReply) {
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
			c.mu.Lock()
			second := c.second(s)
			c.mu.Unlock()
			if (s.State == chat.Closed) == over && !second {
				c.take(s, hello.Revision)
			}
		}
	}
}

// sessionIn finds what has become of a session.
func (c *chats) sessionIn(hello chat.HelloReply, id string) chat.Session {
	for _, s := range hello.Sessions {
		if s.ID == id {
			return s
		}
	}
	return ended(c.record(id))
}

// ended is a session that is over for a reason that nobody remembers.
func ended(s chat.Session) chat.Session {
	s.State, s.Reason, s.By = chat.Closed, chat.ByUnknown, nil
	return s
}

// apply takes a session as it is at a revision, and tells what that means. Nobody is in two
// chats at once: when news of another open one comes before that of the end of ours, or after
// its own, the coordinator is asked how things stand. It runs on the worker only.
func (c *chats) apply(s chat.Session, revision uint64) {
	ours, other := c.another(s, revision)
	if !other {
		c.take(s, revision)
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, callFor)
	defer cancel()
	hello, err := c.login.hello(ctx, chat.HelloRequest{})
	switch {
	case err == nil:
		c.applyAll(hello)
	case ours.revision < revision: // what came later is true
		c.take(ended(ours.session), revision)
		c.take(s, revision)
	}
}

// another reports whether a session is news of an open one while the user is in another one,
// and returns that.
func (c *chats) another(s chat.Session, revision uint64) (known, bool) {
	here := c.login.here()
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.known[s.ID]
	news := before.revision <= revision && before.session.State != chat.Closed && here
	if !news || !c.second(s) {
		return known{}, false
	}
	return c.known[c.open.id], true
}

// take is apply for what is certain.
func (c *chats) take(s chat.Session, revision uint64) {
	if !plausible(s) {
		c.log.Warn("a session cannot be one", "members", len(s.Members))
		return
	}
	c.login.seen(revision)
	here := c.login.here()
	c.mu.Lock()
	before := c.known[s.ID]
	if !here || !c.roomFor(s) || before.revision > revision || before.session.State == chat.Closed {
		c.mu.Unlock()
		return
	}
	c.known[s.ID] = known{s, revision}
	if s.State == chat.Closed {
		c.forgetOld()
	}
	open := c.open
	mine := open != nil && open.id == s.ID
	c.mu.Unlock()

	_, in := s.Member(c.me.User())
	story := session.Diff(c.me.User(), before.session, s)
	switch {
	case s.State == chat.Open && in && !mine:
		// Nobody speaks before the beginning is told. Whoever never saw the invitation
		// has been in the session in an earlier run.
		defer c.begin(s, before.session.State == "").talk.Start()
	case mine && (s.State == chat.Closed || !in):
		if s.State == chat.Closed {
			open.collect(s)
		}
		c.finish(s.State == chat.Open || s.Reason == chat.ByLeave && len(s.Present()) > 2) // see endHere
	case mine:
		open.talk.Update(s)
	}
	for _, e := range story {
		if _, over := e.(session.Ended); over && !mine && in { // it has begun and ended meanwhile
			missed := newSession(c, s, false)
			missed.collect(s)
			missed.talk.Close(false)
		}
		c.events.push(e)
	}
}

// forgetOld keeps only the last sessions that have ended, to recognise late notices.
func (c *chats) forgetOld() {
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
func (c *chats) begin(s chat.Session, rejoin bool) *Session {
	open := newSession(c, s, rejoin)
	c.mu.Lock()
	c.open = open
	c.mu.Unlock()
	return open
}

// finish stops listening and tells what was not acknowledged; if the session goes on without
// the user, what is stored will.
func (c *chats) finish(goesOn bool) {
	c.mu.Lock()
	open := c.open
	c.open = nil
	c.mu.Unlock()
	if open == nil {
		return
	}
	for _, e := range open.talk.Close(goesOn) {
		c.events.push(e)
	}
}
