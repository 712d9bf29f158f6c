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

// step asks for a step of a session and waits until its events are added.
func step[Q any](ctx context.Context, c *chats, r chat.Request[Q, chat.SessionReply], q Q) error {
	reply, err := call(ctx, c.link, r, q)
	if err == nil {
		c.heard(reply.Session, reply.Revision)
	}
	return err
}

// Invitations lists the invitations that the user has not answered, oldest first.
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

// chats are the sessions that the client knows.
type chats struct {
	*owner
	link  *link
	login *login
	ends  sync.WaitGroup // of sessions in which everybody has said bye

	mu     sync.Mutex
	known  map[string]known
	open   *Session               // nil: none
	unsaid map[string]chat.Reason // sessions that were ended without a connection
}

// known is a session as it was last received.
type known struct {
	session  chat.Session
	revision uint64
}

// current returns the open session; nil if there is none.
func (c *chats) current() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// record returns what is known of a session.
func (c *chats) record(id string) chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id].session
}

// going returns the sessions that are not over.
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

// beginAnew forgets all revisions: they are of another installation.
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

// close stops the open session without ending it.
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

// proposals returns the user's own open invitations.
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

// endHere ends a session on this side, and for the others when the coordinator can be told: after the
// next hello, or after one now if the connection is up. Until then the user is busy for everybody
// and begins no other chat.
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

// sayUnsaid tells the coordinator to end sessions that were ended without a connection; what fails
// now is tried the next time. It runs on the worker.
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

// unheard reports whether a request may not have arrived.
func unheard(err error) bool {
	return errors.Is(err, &chat.Error{Code: chat.NotConnected}) || errors.Is(err, &chat.Error{Code: chat.Timeout})
}

// owes reports whether a session was ended without a connection and the coordinator must be told.
func (c *chats) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unsaid) > 0
}

// endedUnsaid reports whether the user has ended a session and the coordinator could not be told.
func (c *chats) endedUnsaid(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, unsaid := c.unsaid[id]
	return unsaid
}

// noticed handles a notice of a session. If it is of another installation, the client asks for
// everything.
func (c *chats) noticed(n chat.SessionNotice) {
	if n.Installation != c.login.home() {
		c.login.again()
		return
	}
	c.apply(n.Session, n.Revision)
}

// heard applies the answer to a request and returns when its events are added.
func (c *chats) heard(s chat.Session, revision uint64) {
	c.inOrder(func() { c.apply(s, revision) })
}

// applyAll applies everything that the coordinator knows of the user's sessions. A session that it
// no longer knows is over. Ended sessions come first, so that the user is never in two chats.
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

// sessionIn finds a session in an answer.
func (c *chats) sessionIn(hello chat.HelloReply, id string) chat.Session {
	for _, s := range hello.Sessions {
		if s.ID == id {
			return s
		}
	}
	return ended(c.record(id))
}

// ended returns a session as one that is over for an unknown reason.
func ended(s chat.Session) chat.Session {
	s.State, s.Reason, s.By = chat.Closed, chat.ByUnknown, nil
	return s
}

// apply applies a session at a revision and adds its events. The user is never in two chats: if a
// notice of another open one comes before the end of ours, or after its own end, the client asks for
// everything. It runs on the worker only.
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

// another reports whether a session is open while the user is in another one, and returns that.
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

// take is apply without that check.
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
		// No message is shown before the beginning of the chat. A client that has not seen the
		// invitation has been in the session in an earlier run.
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

// forgetOld keeps only the last ended sessions, to recognise late notices.
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

// begin begins a session.
func (c *chats) begin(s chat.Session, rejoin bool) *Session {
	open := newSession(c, s, rejoin)
	c.mu.Lock()
	c.open = open
	c.mu.Unlock()
	return open
}

// finish ends the delivery and adds events for messages that were not acknowledged; if the session
// goes on without the user, stored ones will still arrive.
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
