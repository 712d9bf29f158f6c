package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/session"
	"natter/session/delivery"
	"natter/session/transcript"
)

// Session is the user's part in one chat. When that is over its requests are refused with code
// NotInChat: what is meant for one chat is never said in another one.
type Session struct {
	chats *chats
	id    string
	talk  *delivery.Conn

	mu     sync.Mutex
	waited int // messages said without a connection, since there was one
}

var errNotInChat = chat.Errorf(chat.NotInChat, "You are not in a chat.")

func newSession(c *chats, record chat.Session, rejoin bool) *Session {
	s := &Session{chats: c, id: record.ID}
	o := delivery.Options{
		Me: c.me.User(), Rejoin: rejoin, Rules: c.login.limits(), Log: c.log, Report: c.cfg.Sent,
		Join: s.join, Store: s.store, Fetch: s.fetch, Tell: s.tell, Crowded: c.events.crowded, AllBye: s.allBye,
	}
	if c.cfg.Transcript != nil {
		o.Said = func(at time.Time, text string) {
			c.cfg.Transcript.Take(transcript.Own{Session: s.id, At: at, Text: text})
		}
	}
	s.talk = delivery.New(o, record)
	return s
}

// ID is the id that events and requests have.
func (s *Session) ID() string { return s.id }

// Record is the session as the user last heard of it.
func (s *Session) Record() chat.Session { return s.chats.record(s.id) }

// over reports whether the user is no longer in the session.
func (s *Session) over() bool { return s.chats.current() != s }

// Say sends a message to the other members. It returns at once, unless too many are in
// flight. Without an error the message is kept until it has arrived, over lost connections,
// too; NotDelivered tells if it does not. Code TooLong beyond Rules.MaxText bytes; NotConnected
// when 100 messages wait for a connection already.
func (s *Session) Say(text string) error {
	if s.over() {
		return errNotInChat
	}
	waits := !s.chats.link.online()
	err := s.talk.Say(s.chats.ctx, text)
	if err == nil && waits {
		s.mu.Lock()
		s.waited++
		s.mu.Unlock()
	}
	return err
}

// takeWaited returns how many messages were said while there was no connection, and resets the
// count.
func (s *Session) takeWaited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited := s.waited
	s.waited = 0
	return waited
}

// Bye tells the others that the user would like to end the session. A message takes it back.
func (s *Session) Bye() error {
	if s.over() {
		return errNotInChat
	}
	s.chats.cfg.Transcript.Take(transcript.OwnBye{Session: s.id})
	s.talk.Bye()
	return nil
}

// Waiting counts the messages of the user that somebody has yet to get.
func (s *Session) Waiting() int { return s.talk.Waiting() }

// Flush waits until every message said so far has arrived at everybody who is
// connected. Code Timeout if ctx is done first.
func (s *Session) Flush(ctx context.Context) error { return s.talk.Flush(ctx) }

// Quit ends the session for all; what was said before arrives first. Without a
// connection it ends here at once, and for the others when there is one again.
func (s *Session) Quit(ctx context.Context) error { return s.end(ctx, chat.ByQuit) }

// Leave leaves a group, in the same way; the others go on. Two are no group: the session ends.
func (s *Session) Leave(ctx context.Context) error { return s.end(ctx, chat.ByLeave) }

func (s *Session) end(ctx context.Context, reason chat.Reason) error {
	if s.over() {
		return errNotInChat
	}
	c := s.chats
	if !c.link.online() { // nothing would arrive, and nobody can tell when there is a connection again
		c.endHere(s.id, reason)
		return nil
	}
	record := s.Record()
	flush(ctx, s.talk)
	if reason == chat.ByLeave && len(record.Present()) > 2 {
		part(ctx, s.talk)
	}
	err := c.tellEnd(ctx, s.id, reason)
	if unheard(err) {
		c.endHere(s.id, reason)
		return nil
	}
	if errors.Is(err, &chat.Error{Code: chat.NotInChat}) {
		c.later(c.login.again) // the client did not know that it was over, and learns it now
	}
	return err
}

// flush gives messages a moment to arrive before the end.
func flush(ctx context.Context, t *delivery.Conn) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = t.Flush(ctx) // events tell what is missing
}

// part stores messages of a leaving member for members who are away.
func part(ctx context.Context, t *delivery.Conn) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = t.Part(ctx) // events tell what is not stored
}

// collect fetches the mailbox of a session that is over, unless the user has ended it and the
// coordinator could not be told.
func (s *Session) collect(record chat.Session) {
	if !s.chats.endedUnsaid(s.id) {
		s.talk.Collect(s.chats.ctx, record)
	}
}

// tell passes on the events of the delivery, which knows only its own connection.
func (s *Session) tell(e session.Event) {
	if w, ok := e.(MessageWaits); ok {
		w.Offline = !s.chats.link.online()
		e = w
	}
	s.chats.events.push(e)
}

// join makes the member's connection to a session, with a key of its own.
func (s *Session) join(ctx context.Context, id string, again bool, opts ...nats.Option) (*nats.Conn, chat.JoinReply, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, chat.JoinReply{}, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, chat.JoinReply{}, err
	}
	epoch := s.chats.record(id).Epoch
	reply, err := call(ctx, s.chats.link, chat.Join, chat.JoinRequest{Session: id, Key: public, Epoch: epoch, Again: again, Terminal: s.chats.terminal})
	if err != nil {
		return nil, chat.JoinReply{}, err
	}
	options := []nats.Option{
		nats.Timeout(handshakeFor),
		nats.CustomInboxPrefix(chat.MemberInbox(s.chats.me.User(), reply.Channel)),
		nats.UserJWT(func() (string, error) { return reply.Ticket.JWT, nil }, pair.Sign),
	}
	nc, err := broker.Connect(ctx, s.chats.cfg.URL, broker.ClientName, slices.Concat(options, s.chats.cfg.Options, opts)...)
	return nc, reply, err
}

// allBye ends the session once everybody has said bye. All members do it; the first
// one wins.
func (s *Session) allBye(string) {
	c := s.chats
	c.ends.Go(func() {
		if err := s.end(c.ctx, chat.ByBye); err != nil && !errors.Is(err, &chat.Error{Code: chat.NotInChat}) {
			c.log.Debug("end after bye", "err", err)
		}
	})
}
