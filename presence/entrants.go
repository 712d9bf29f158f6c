package presence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// entrants are the users who have taken their names in the lobby and have not connected yet. Each
// replica knows them from the log and from the broker's events.
type entrants struct {
	mu   sync.Mutex
	keys map[chat.User]string // the login key that is to connect
}

const (
	noting = "note a login"
	// A notice can be sent before a new connection has subscribed, so users who have just
	// connected are sent their invitations again after these times.
	toldAgain  = time.Second
	toldAtLast = 5 * time.Second
)

func connectKey(u chat.User) string { return string(u) + " connect" }

// expect waits for the connection of a user whose record has none.
func (s *Service) expect(c store.Change[Record]) {
	r, u := c.Record, c.Record.User()
	s.entrants.mu.Lock()
	switch {
	case !r.Expected():
		delete(s.entrants.keys, u)
		s.jobs.Cancel(connectKey(u))
	case !c.Before.Expected() || c.Before.Key != r.Key || c.Before.Terminal != r.Terminal:
		s.entrants.keys[u] = r.Key
		s.jobs.After(connectKey(u), s.ConnLimits.HelloIn, "remove a user who did not connect", func(ctx context.Context) error { return s.giveUp(ctx, u, r.Key) })
	}
	s.entrants.mu.Unlock()
	if r.Expected() && len(s.live.LinksOf(r.Key, func(l Link) bool { return l.Holder == u && l.since.After(r.Since) })) > 0 {
		s.entered(u, r.Key) // not for an earlier connection whose end is not known yet
	}
}

// expected reports whether a user's connection is still waited for.
func (s *Service) expected(u chat.User) bool {
	s.entrants.mu.Lock()
	defer s.entrants.mu.Unlock()
	return s.entrants.keys[u] != ""
}

// entered notes that an expected user has connected. Only now is a new name theirs; until then
// it was reserved.
func (s *Service) entered(u chat.User, key string) {
	s.entrants.mu.Lock()
	mine := s.entrants.keys[u] == key
	if mine {
		delete(s.entrants.keys, u)
		s.jobs.Cancel(connectKey(u))
	}
	s.entrants.mu.Unlock()
	if !mine {
		return
	}
	s.jobs.Do(noting, func(ctx context.Context) error { return s.noteEntered(ctx, u, key) })
	s.jobs.After(string(u)+" tell", toldAgain, "tell a user again", func(context.Context) error {
		s.tellAgain(u)
		s.jobs.After(string(u)+" tell", toldAtLast-toldAgain, "tell a user again", func(context.Context) error { s.tellAgain(u); return nil })
		return nil
	})
}

func (s *Service) noteEntered(ctx context.Context, u chat.User, key string) error {
	row, _ := s.Users.Get(store.Committed, string(u))
	if !row.Record.Present() || row.Record.Key != key {
		return nil
	}
	_, err := s.noteLogin(ctx, row.Record.Name, key)
	if errors.Is(err, errNotHere) { // the name belongs to another key by now
		return nil
	}
	return err
}

// tellAgain repeats notices that a user may have missed while the connection came up.
func (s *Service) tellAgain(u chat.User) {
	revision := s.log.Revision() // before the sessions are read
	for _, session := range s.Sessions(u, nil, 0) {
		if session.State == chat.Closed {
			continue
		}
		if err := rpc.Tell(s.Notices, chat.UserSession, chat.Address{User: u}, chat.SessionNotice{Session: session, Revision: revision, Installation: s.log.Installation()}); err != nil {
			s.Log.Warn("tell a user again", "user", u, "err", err)
		}
	}
}

// giveUp removes a user who did not connect.
func (s *Service) giveUp(ctx context.Context, u chat.User, key string) error {
	if s.live.Connected(key) { // the event was missed
		s.entered(u, key)
		return nil
	}
	_, err := s.Users.Update(ctx, string(u), func(_ store.View, r Record) (Record, error) {
		if !r.Expected() || r.Key != key || s.live.Connected(key) {
			return r, chat.ErrUnchanged
		}
		return Remove(r, chat.ByLoss)
	})
	return err
}

// arrive makes a user present who asks for the name in the lobby. It returns nil if the user is
// present already, at another terminal or on a connection: then a hello on the user's connection
// must decide.
func (s *Service) arrive(ctx context.Context, name chat.Name, from string, q chat.EnterRequest) (*chat.HelloReply, error) {
	acc, _, err := s.Accounts.Get(ctx, name.User())
	if err != nil {
		return nil, err
	}
	if acc.Key != q.Key {
		return nil, s.taken(ctx, name)
	}
	if err := s.spend(ctx, name.User(), acc); err != nil {
		return nil, err
	}
	a := Arrival{
		Name: name, Key: q.Key, Presence: q.Hello.Presence, Connection: Connection{Address: from}, Terminal: q.Hello.Terminal,
		Remembered: acc.Presence, Blocks: account.Holding(acc.Blocks, s.settled()),
	}
	came := false
	row, err := s.Users.Update(ctx, string(name.User()), func(v store.View, r Record) (Record, error) {
		after, err := Take(r, a, s.Users.Len(v), s.MaxUsers, time.Now())
		came = err == nil
		return after, err
	})
	switch {
	case errors.Is(err, errPresent):
		return nil, nil
	case err != nil:
		return nil, err
	case came:
		s.registered(row.Record, acc.Taken())
		s.chosen(row.Record)
	}
	reply := s.welcome(row, acc, false, nil, 0)
	return &reply, nil
}

// proven checks that the asker holds the key.
func proven(q chat.EnterRequest) error {
	if !validKey(q.Key) {
		return chat.Errorf(chat.Arguments, `The field "key" must be a public user key.`)
	}
	if !signed(q.Key, chat.EnterText(q), q.Proof) {
		return chat.Errorf(chat.Arguments, `The field "proof" must be the key's signature over the request.`)
	}
	return nil
}

// validEnterHello checks what can be checked without knowing who is present.
func validEnterHello(h chat.EnterHello) error {
	if h.Terminal == "" {
		return chat.Errorf(chat.Arguments, `The field "terminal" must be there.`)
	}
	return validSelf(h.Presence, h.Terminal, h.Identity)
}

// removedText is the line for a user who did not connect, or did not come back.
func removedText(before, after Record) string {
	if before.Expected() {
		return fmt.Sprintf("%s removed: did not connect", after.Name)
	}
	return fmt.Sprintf("%s removed: connection lost, did not come back", after.Name)
}
