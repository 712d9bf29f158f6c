package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// rotate changes the login key of a user, who need not have said hello: a connection with the old
// key, and its signature, are enough. A repeated request with the same signature has the same
// answer, which has a ticket if the user is present.
//
// The account is changed first. From then on the old key has no account: a user who is connected
// with it is signed out, and counts as lost until they connect with the new one.
func (s *Service) rotate(ctx context.Context, c rpc.Caller, q chat.RotateRequest) (chat.Ticket, error) {
	if !validKey(q.Key) {
		return chat.Ticket{}, chat.Errorf(chat.Arguments, `The field "key" must be a public user key.`)
	}
	now, again := time.Now(), false
	acc, err := s.Accounts.Update(ctx, c.User, func(r account.Record) (account.Record, error) {
		if err := s.refuseHolder(c.User, r); err != nil {
			return r, err
		}
		if again = r.Rotated(q.Key, q.Signature); again {
			return r, chat.ErrUnchanged
		}
		if err := signedBy(r.Key, c.User, q); err != nil {
			return r, err
		}
		return account.Rotate(r, q.Key, q.Signature, s.latest())
	})
	if err != nil {
		s.refused(chat.Name(c.User), "change of the key", err)
		return chat.Ticket{}, err
	}
	if !again {
		s.Audit.Action(chat.Audit{Event: "key.changed", User: acc.Name, Text: fmt.Sprintf("%s changed the login key", acc.Name)})
	}
	if err := s.rekey(ctx, acc); err != nil {
		return chat.Ticket{}, err
	}
	if row, _ := s.Users.Get(store.Committed, string(c.User)); !row.Record.Present() {
		return chat.Ticket{}, nil // the user must say hello first
	}
	return s.mint(q.Key, c.User, acc, nil, now)
}

// refuseHolder returns an error if a ban covers a connected user: with a new key they could avoid
// the ban before they are signed out.
func (s *Service) refuseHolder(u chat.User, acc account.Record) error {
	for _, c := range s.live.Links(func(c Link) bool { return c.Holder == u }) {
		if err := s.refuseBanned(acc.Name, c.Key, c.Address); err != nil {
			return err
		}
	}
	return s.refuseBanned(acc.Name, acc.Key, "")
}

// signedBy checks the signature of a change of keys.
func signedBy(old string, u chat.User, q chat.RotateRequest) error {
	if !signed(old, chat.RotationText(u, q.Key), q.Signature) {
		return chat.Errorf(chat.Denied, "The change of the key is not signed by the key that %s has now.", u)
	}
	return nil
}

// signed reports whether a signature over a text is that of a public key.
func signed(public string, text, signature []byte) bool {
	key, err := nkeys.FromPublicKey(public)
	return err == nil && key.Verify(text, signature) == nil
}

// rekey does what follows from a stored change of keys, also if another replica has stopped in the
// middle of it.
func (s *Service) rekey(ctx context.Context, acc account.Record) error {
	from, u, here := acc.Rotation.From, acc.Name.User(), false
	if err := s.voidKey(ctx, u, from); err != nil {
		return err
	}
	row, err := s.Users.Update(ctx, string(u), func(_ store.View, r Record) (Record, error) {
		after, err := Rekey(r, from, acc.Key)
		here = err == nil
		return after, err
	})
	if err != nil || !here {
		return err
	}
	out := chat.SignedOut{By: &chat.Place{}, Revision: row.Revision, Installation: s.log.Installation()} // the user has no connection with the new key yet
	if err := rpc.Tell(s.Notices, chat.UserServer, chat.Address{User: u}, chat.ServerNotice{SignedOut: &out}); err != nil {
		s.Log.Warn("notify a user who is signed out", "user", u, "err", err)
	}
	if !s.live.Connected(acc.Key) {
		s.connectionGone(acc.Key)
	}
	return nil
}

// rekeyAgain completes a change of keys in the middle of which a replica has ended, and that was
// not asked for again.
func (s *Service) rekeyAgain(ctx context.Context, acc account.Record) error {
	if acc.Rotation == nil || s.settled().After(acc.Rotation.At.Add(lastTicket)) {
		return nil
	}
	row, _ := s.Revoked.Get(store.Committed, string(acc.Name.User()))
	if v, done := row.Record.Keys[acc.Rotation.From]; done && !v.At.Before(acc.Rotation.At.Truncate(time.Second)) {
		return nil
	}
	return s.rekey(ctx, acc)
}

// rekeyed reports whether a key is the new key of a user who is present with the former one,
// because the replica that changed it has ended in the middle. It completes the change.
func (s *Service) rekeyed(ctx context.Context, r Record, key string) bool {
	acc, _, err := s.Accounts.Get(ctx, r.User())
	if err != nil || acc.Key != key || acc.Rotation == nil || acc.Rotation.From != r.Key {
		return false
	}
	if err := s.rekey(ctx, acc); err != nil {
		s.Log.Warn("finish a change of keys", "user", r.User(), "err", err)
		return false
	}
	return true
}

// voidKey revokes the tickets of a user's former key. That is stored before the answer and carried
// out after it, because the asker has such a ticket.
func (s *Service) voidKey(ctx context.Context, u chat.User, key string) error {
	row, err := s.Revoked.Update(ctx, string(u), func(_ store.View, r Revoked) (Revoked, error) { return Revoke(r, []string{key}, s.latest()) })
	if err != nil {
		return err
	}
	s.jobs.After(key+" void", closeWithin, revoking, func(ctx context.Context) error {
		if err := s.log.Await(ctx, row.Revision); err != nil {
			return err
		}
		if err := s.pushRevoked(ctx, row.Revision); err != nil {
			return err
		}
		return s.live.Disconnect(s.live.LinksOf(key, func(Link) bool { return true }))
	})
	return nil
}

// armParting makes sure that connections with a user's former key receive nothing more of the
// user's sessions: the sessions go on under a new epoch when tickets of that key are void.
func (s *Service) armParting(c store.Change[Record]) {
	key, former := c.Key+" part", c.Record.Former
	if former == "" || !c.Record.Present() {
		s.jobs.Cancel(key)
		return
	}
	wait := others
	if c.Own {
		wait = closeWithin
	}
	s.jobs.After(key, wait, "part with a former key", func(ctx context.Context) error {
		if err := s.pushRevoked(ctx, s.log.Revision()); err != nil {
			return err
		}
		if err := s.live.Disconnect(s.live.LinksOf(former, func(Link) bool { return true })); err != nil {
			return err
		}
		_, err := s.Users.Update(ctx, string(c.Record.User()), func(_ store.View, r Record) (Record, error) { return Part(r, former) })
		return err
	})
}
