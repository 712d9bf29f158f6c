package presence

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// Passes is the table of passes, by chat.PassID.
type Passes = store.Table[account.Pass]

// NewPasses adds the table to a log.
func NewPasses(l *store.Log, changed func(store.Change[account.Pass])) *Passes {
	return store.NewTable(l, "pass", store.TableConfig[account.Pass]{
		Gone:    func(p account.Pass) bool { return p.Gone },
		Changed: changed,
	})
}

// PassChanged has every replica forget a pass at its time. It runs on the log's goroutine.
func (s *Service) PassChanged(c store.Change[account.Pass]) {
	if c.Record.Gone {
		s.jobs.Cancel(" pass " + c.Key)
		return
	}
	s.when(" pass "+c.Key, c.Record.Until.Add(account.PassKept), "forget a pass", func(ctx context.Context) error {
		return s.updatePass(ctx, c.Key, func(p account.Pass) (account.Pass, error) { return p.Forget(s.settled()) })
	})
}

// invited returns an error if a pass is needed and the asker has none. It comes before anything is
// said about the name, and before the name is reserved: a user without a pass learns nothing.
func (s *Service) invited(ctx context.Context, name chat.Name, q chat.EnterRequest) error {
	if !s.Invited {
		return nil
	}
	acc, _, err := s.Accounts.Get(ctx, name.User())
	if err != nil || acc.Knows(q.Key) {
		return err
	}
	if q.Pass == "" {
		return account.ErrNotInvited
	}
	id, ok := chat.ReadPass(q.Pass, q.Key)
	if !ok {
		return account.ErrNoPass
	}
	if _, ok := s.Passes.Get(store.Committed, id); !ok { // another replica may have made it a moment ago
		if err := s.Passes.Sync(ctx); err != nil {
			return err
		}
	}
	return s.updatePass(ctx, id, func(p account.Pass) (account.Pass, error) { return p.Use(q.Key, name.User(), s.settled()) })
}

// spend uses up a new user's pass for a name. Until then the user's key may try several names and
// have tickets for all of them.
func (s *Service) spend(ctx context.Context, u chat.User, acc account.Record) error {
	if acc.Pass == "" {
		return nil
	}
	return s.updatePass(ctx, acc.Pass, func(p account.Pass) (account.Pass, error) { return p.Take(acc.Key, u) })
}

func (s *Service) updatePass(ctx context.Context, id string, rule func(account.Pass) (account.Pass, error)) error {
	_, err := s.Passes.Update(ctx, id, func(_ store.View, p account.Pass) (account.Pass, error) { return rule(p) })
	return err
}

// adminPass makes a pass for the operator. It is not shown to anybody else.
func (s *Service) adminPass(ctx context.Context, _ rpc.Caller, q chat.PassRequest) (chat.PassReply, error) {
	p, err := account.NewPass(q.Uses, q.For, s.latest())
	if err != nil {
		return chat.PassReply{}, err
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	pass := base64.RawURLEncoding.EncodeToString(raw[:])
	err = s.updatePass(ctx, chat.PassID(pass), func(before account.Pass) (account.Pass, error) {
		if before.Uses != 0 {
			return before, errors.New("a pass was drawn twice")
		}
		return p, nil
	})
	if err != nil {
		return chat.PassReply{}, err
	}
	s.Audit.Action(chat.Audit{Event: "admin", Text: fmt.Sprintf("the operator makes a link for %s, good until %s",
		count(p.Uses, "new user"), p.Until.UTC().Format("2006-01-02 15:04:05Z"))})
	return chat.PassReply{Pass: pass, Uses: p.Uses, Expires: p.Until}, nil
}

// adminUnpass takes a pass back.
func (s *Service) adminUnpass(ctx context.Context, _ rpc.Caller, q chat.UnpassRequest) (chat.Done, error) {
	if _, ok := s.Passes.Get(store.Committed, q.ID); !ok { // another replica may have made it a moment ago
		if err := s.Passes.Sync(ctx); err != nil {
			return chat.Done{}, err
		}
	}
	err := s.updatePass(ctx, q.ID, func(p account.Pass) (account.Pass, error) { return p.Revoke(s.settled()) })
	s.operator(err, "", "takes a link back")
	return chat.Done{Revision: s.log.Revision()}, err
}
