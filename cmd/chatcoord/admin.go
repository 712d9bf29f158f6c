package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/private"
	"natter/internal/secure"
	"natter/presence/account"
)

// askFor is how long a coordinator may take to answer: the time limit of a request, and the round trip.
const askFor = 12 * time.Second

// users prints the present users.
func (p *program) users(ctx context.Context) error {
	reply, err := order(ctx, p, chat.AdminUsers, chat.AdminRequest{}, whole(joinUsers))
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(reply.Users)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATUS\tPRESENCE\tADDRESS\tCONNECTION\tSINCE")
	for _, u := range reply.Users {
		status := u.Status
		if u.Lost {
			status += ", connection lost"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", u.Name, status, orDash(string(u.Presence)), orDash(u.Address), u.Connection, when(u.Since))
	}
	return w.Flush()
}

// sessions prints invitations and sessions.
func (p *program) sessions(ctx context.Context) error {
	reply, err := order(ctx, p, chat.AdminSessions, chat.AdminRequest{}, whole(joinSessions))
	if err != nil {
		return err
	}
	slices.SortFunc(reply.Sessions, func(a, b chat.Session) int { return a.At.Compare(b.At) })
	if p.json {
		return p.printJSON(reply.Sessions)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tSTATE\tCLASS\tMEMBERS\tSINCE")
	for _, s := range reply.Sessions {
		var names []chat.Name
		for _, m := range s.Present() {
			names = append(names, m.Name)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Short(), s.State, s.Class, chat.Names(names), when(s.At))
	}
	return w.Flush()
}

// whole is rpc.Call for a list that comes in parts. join adds a part to the earlier ones, and returns
// its last element if there are more.
func whole[R any](join func(all, part R) (R, string)) func(context.Context, *nats.Conn, chat.Request[chat.AdminRequest, R], chat.Address, chat.AdminRequest) (R, error) {
	return func(ctx context.Context, nc *nats.Conn, r chat.Request[chat.AdminRequest, R], a chat.Address, q chat.AdminRequest) (all R, err error) {
		for {
			part, err := rpc.Call(ctx, nc, r, a, q)
			if err != nil {
				return all, err
			}
			if all, q.After = join(all, part); q.After == "" {
				return all, nil
			}
		}
	}
}

func joinUsers(all, part chat.AdminUsersReply) (chat.AdminUsersReply, string) {
	users, last := joined(all.Users, part.Users, part.More, func(u chat.AdminUser) string { return string(u.Name.User()) })
	return chat.AdminUsersReply{Users: users}, last
}

func joinSessions(all, part chat.AdminSessionsReply) (chat.AdminSessionsReply, string) {
	sessions, last := joined(all.Sessions, part.Sessions, part.More, func(s chat.Session) string { return s.ID })
	return chat.AdminSessionsReply{Sessions: sessions}, last
}

func joinBans(all, part chat.BansReply) (chat.BansReply, string) {
	bans, last := joined(all.Bans, part.Bans, part.More, func(b chat.Ban) string { return account.Word(b.Target) })
	return chat.BansReply{Bans: bans}, last
}

func joined[T any](all, part []T, more bool, key func(T) string) (both []T, last string) {
	both = slices.Insert(part, 0, all...) // not nil, so that JSON has an empty list
	if more && len(both) > 0 {
		last = key(both[len(both)-1])
	}
	return both, last
}

// order sends a request to a running coordinator.
func order[Q, R any](ctx context.Context, p *program, r chat.Request[Q, R], q Q,
	call func(context.Context, *nats.Conn, chat.Request[Q, R], chat.Address, Q) (R, error)) (R, error) {
	var none R
	nc, err := p.dial("operator", nats.CustomInboxPrefix(chat.AdminInbox), nats.MaxReconnects(0))
	if err != nil {
		return none, err
	}
	defer nc.Close()
	if _, err := nc.SubscribeSync(nc.NewRespInbox()); err != nil {
		return none, err
	}
	if rpc.Settle(nc) != nil { // somebody else's credentials, or none: the lobby's rights
		return none, chat.Errorf(chat.Denied, "%s does not take %s for the operator's credentials", broker.Redact(p.server), p.credsOf("operator"))
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	return call(ctx, nc, r, chat.Address{}, q)
}

// dial connects a verb with the credentials of the operator or of an observer.
func (p *program) dial(who string, options ...nats.Option) (*nats.Conn, error) {
	creds := p.credsOf(who)
	text, err := os.ReadFile(creds)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, chat.Errorf(chat.Denied, "the %s's credentials %s cannot be read: %v. A coordinator writes them into its data directory; --creds names another file", who, creds, err)
	}
	text = private.Plain(text)
	c, err := ticket.ParseCreds(text)
	if err != nil || c.Key == nil {
		return nil, private.Errorf(private.ErrFile, "The file %s is damaged: it does not hold credentials. Bring the right one back; a coordinator with an embedded server writes it anew when it starts.", creds)
	}
	secured, err := p.secured()
	if err != nil {
		return nil, err
	}
	options = slices.Concat(secured, []nats.Option{nats.UserCredentialBytes(text), nats.CustomInboxPrefix(chat.ObserverInbox(c.User))}, options)
	nc, err := broker.Connect(context.Background(), p.server, broker.CoordinatorName, options...)
	if unsafe := secure.Explain(broker.Redact(p.server), "", err); unsafe != nil {
		return nil, unsafe
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, chat.Errorf(chat.Denied, "%s does not accept the credentials %s", broker.Redact(p.server), creds)
	case err != nil:
		return nil, chat.Errorf(chat.NotConnected, "cannot reach %s: is a coordinator running there? --server names another place", broker.Redact(p.server))
	}
	return nc, nil
}

func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false) // links are copied
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
