package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// serveOperator adds the endpoints for kicks, bans and accounts.
func (s *Service) serveOperator(svc *rpc.Service) error {
	return errors.Join(
		rpc.Handle(svc, chat.AdminKick, s.kick),
		rpc.Handle(svc, chat.AdminBan, s.ban),
		rpc.Handle(svc, chat.AdminUnban, s.unban),
		rpc.Handle(svc, chat.AdminBans, s.bans),
		rpc.Handle(svc, chat.AdminFree, s.free),
		rpc.Handle(svc, chat.AdminDelete, s.delete),
	)
}

// operator writes to the audit log what the operator does, or why it is not done.
func (s *Service) operator(err error, reason, format string, args ...any) {
	text := "the operator " + fmt.Sprintf(format, args...)
	var told *chat.Error
	switch reason = account.Reason(reason); {
	case errors.As(err, &told):
		s.Audit.Refused(chat.Audit{Event: "admin", Code: told.Code, Text: text + ": " + told.Text})
	case err == nil && reason != "":
		s.Audit.Action(chat.Audit{Event: "admin", Text: text + ": " + reason})
	case err == nil:
		s.Audit.Action(chat.Audit{Event: "admin", Text: text})
	}
}

// target checks whom the operator means.
func target(t chat.Target) (chat.Target, error) {
	t, err := account.CheckTarget(t)
	if err == nil && t.Key != "" && !validKey(t.Key) {
		return t, chat.Errorf(chat.Arguments, "%.60s is not a public key.", t.Key)
	}
	return t, err
}

func (s *Service) kick(ctx context.Context, _ rpc.Caller, q chat.KickRequest) (chat.KickReply, error) {
	t, err := target(q.Target)
	if err != nil {
		return chat.KickReply{}, err
	}
	if err := s.upToDate(ctx, 0); err != nil { // another replica may have let them in a moment ago
		return chat.KickReply{}, err
	}
	users := s.meant(account.Ban{Ban: chat.Ban{Target: t}})
	if len(users) == 0 {
		err = chat.Errorf(chat.NothingToDo, "%s is not present.", account.Word(t))
	}
	s.operator(err, q.Reason, "kicks %s", account.Word(t))
	if err != nil {
		return chat.KickReply{}, err
	}
	out, err := s.signOut(ctx, users, nil, account.Reason(q.Reason))
	return out.reply(), err
}

func (s *Service) ban(ctx context.Context, _ rpc.Caller, q chat.BanRequest) (chat.KickReply, error) {
	t, err := target(q.Target)
	if err != nil {
		return chat.KickReply{}, err
	}
	keys := map[string][]string{}
	owner := ""
	switch {
	case t.Name != "":
		u := chat.Name(t.Name).User()
		acc, _, err := s.Accounts.Get(ctx, u)
		if err != nil {
			return chat.KickReply{}, err
		}
		if acc.Taken() { // a user who has only reserved the name has not shown that the key is theirs
			owner = acc.Key
			keys[string(u)] = []string{owner}
		}
	case t.Key != "":
		keys[t.Key] = []string{t.Key}
	}
	row, err := s.Bans.Update(ctx, account.BanKey(t), func(_ store.View, b account.Ban) (account.Ban, error) {
		return account.Impose(b, t, owner, q.Reason, q.For, s.latest(), s.settled())
	})
	s.operator(err, q.Reason, "bans %s%s", account.Word(t), lasting(q.For))
	if err != nil {
		return chat.KickReply{}, err
	}
	out, err := s.signOut(ctx, s.meant(row.Record), keys, row.Record.Reason)
	return out.reply(), err
}

// lasting writes the duration of a ban as an operator would: 24h, 1h30m, 5s.
func lasting(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return " for " + text
}

func (o signedOut) reply() chat.KickReply {
	slices.Sort(o.names)
	return chat.KickReply{Users: append([]chat.Name{}, o.names...), Until: o.until}
}

func (s *Service) unban(ctx context.Context, _ rpc.Caller, q chat.UnbanRequest) (chat.BansReply, error) {
	t, err := target(q.Target)
	if err != nil {
		return chat.BansReply{}, err
	}
	row, err := s.Bans.Update(ctx, account.BanKey(t), func(_ store.View, b account.Ban) (account.Ban, error) {
		return account.Lift(b, t, s.settled())
	})
	s.operator(err, "", "unbans %s", account.Word(t))
	if err != nil {
		return chat.BansReply{}, err
	}
	return chat.BansReply{Bans: []chat.Ban{row.Record.Ban}}, nil
}

// mostBans is how many bans one answer lists: each may have the longest reason that there
// is, of characters that JSON escapes.
const mostBans = 500

// bans lists the bans, a part at a time.
func (s *Service) bans(_ context.Context, _ rpc.Caller, q chat.AdminRequest) (chat.BansReply, error) {
	if q.After == "" {
		s.operator(nil, "", "lists the bans")
	}
	standing, now := []chat.Ban{}, s.settled()
	for _, row := range s.Bans.Snapshot() {
		if row.Record.Standing(now) {
			standing = append(standing, row.Record.Ban)
		}
	}
	part, more := rpc.Page(slices.Values(standing), func(b chat.Ban) string { return account.Word(b.Target) }, q.After, mostBans)
	return chat.BansReply{Bans: append([]chat.Ban{}, part...), More: more}, nil
}

func (s *Service) free(ctx context.Context, _ rpc.Caller, q chat.FreeRequest) (chat.FreeReply, error) {
	at, err := s.take(ctx, "frees", q.Name, q.Reason, account.Free)
	return chat.FreeReply{Free: at}, err
}

func (s *Service) delete(ctx context.Context, _ rpc.Caller, q chat.DeleteRequest) (chat.Done, error) {
	_, err := s.take(ctx, "deletes", q.Name, q.Reason, account.Delete)
	return chat.Done{Revision: s.log.Revision()}, err
}

// take takes a name from its owner and signs them out. It returns when their last ticket
// is void. The account is changed first and reserves the name until then, so that it
// is reserved also after a crash in between.
func (s *Service) take(ctx context.Context, verb, typed, reason string, rule func(r account.Record, name chat.Name, void, now time.Time) (account.Record, error)) (time.Time, error) {
	name, err := chat.ParseName(typed)
	if err != nil {
		return time.Time{}, err
	}
	u, key, now := name.User(), "", s.latest().UTC().Truncate(time.Second)
	acc, err := s.Accounts.Update(ctx, u, func(r account.Record) (account.Record, error) {
		key = r.Key
		return rule(r, name, now.Add(lastTicket), now)
	})
	s.operator(err, reason, "%s the username %s", verb, name)
	if err != nil || key == "" {
		return later(now, acc.Freed), err
	}
	out, err := s.signOut(ctx, map[chat.User]bool{u: true}, map[string][]string{string(u): {key}}, account.Reason(reason))
	if err != nil || !out.until.IsZero() {
		return acc.Freed, err
	}
	_, err = s.Accounts.Update(ctx, u, func(r account.Record) (account.Record, error) { return account.Voided(r, acc.Freed) })
	return now, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
