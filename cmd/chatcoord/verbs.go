package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"natter/broker"
	"natter/chat"
	"natter/internal/flags"
	"natter/presence/account"
)

// about is a verb about one name, key or network.
func (p *program) about(name, what string, do func(ctx context.Context, word string) error) *cobra.Command {
	return &cobra.Command{
		Use: name,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return flags.Usagef("%s needs %s", name, what)
			case len(args) > 1:
				return flags.Usagef("%s takes %s, and nothing more: %q", name, what, args[1])
			case name != "ban" && p.given("for"):
				return flags.Usagef("--for is for ban")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return p.quick(func() error { return do(context.Background(), args[0]) })
		},
	}
}

const anybody = "a username, a public key or a network"

func (p *program) kickVerb() *cobra.Command {
	return p.about("kick", anybody, func(ctx context.Context, word string) error {
		t, err := account.ReadTarget(word)
		if err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminKick, chat.KickRequest{Target: t, Reason: p.reason}, broker.CallOnce)
		return p.report(err, reply, "Signed out: %s.%s", chat.Names(reply.Users), unrevoked(reply.Until))
	})
}

func (p *program) banVerb() *cobra.Command {
	return p.about("ban", anybody, func(ctx context.Context, word string) error {
		t, err := account.ReadTarget(word)
		if err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminBan, chat.BanRequest{Target: t, Reason: p.reason, For: p.banFor.D}, broker.CallOnce)
		until, out := "", ""
		if p.banFor.D > 0 {
			until = " until " + account.Moment(time.Now().Add(p.banFor.D))
		}
		if len(reply.Users) > 0 {
			out = "; signed out: " + chat.Names(reply.Users)
		}
		return p.report(err, reply, "%s is banned%s%s.%s", account.Word(t), until, out, unrevoked(reply.Until))
	})
}

// unrevoked warns of tickets that stay good.
func unrevoked(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " Tickets cannot be revoked here: who ignores this can reach the server until " + account.Moment(until) + "; see chatcoord doctor."
}

func (p *program) unbanVerb() *cobra.Command {
	return p.about("unban", anybody, func(ctx context.Context, word string) error {
		t, err := account.ReadTarget(word)
		if err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminUnban, chat.UnbanRequest{Target: t}, broker.CallOnce)
		return p.report(err, reply, "%s is not banned any more.", account.Word(t))
	})
}

func (p *program) freeVerb() *cobra.Command {
	return p.about("free", "a username", func(ctx context.Context, word string) error {
		reply, err := order(ctx, p, chat.AdminFree, chat.FreeRequest{Name: word, Reason: p.reason}, broker.CallOnce)
		from := ""
		if time.Until(reply.Free) > time.Minute {
			from = " from " + account.Moment(reply.Free) + " on, when the last ticket of its owner has expired"
		}
		return p.report(err, reply, "The username %s is free%s.", word, from)
	})
}

func (p *program) deleteVerb() *cobra.Command {
	return p.about("delete", "a username", func(ctx context.Context, word string) error {
		reply, err := order(ctx, p, chat.AdminDelete, chat.DeleteRequest{Name: word, Reason: p.reason}, broker.CallOnce)
		return p.report(err, reply, "The account %s is deleted; nobody can have the name any more.", word)
	})
}

// bans prints the bans.
func (p *program) bans(ctx context.Context) error {
	reply, err := order(ctx, p, chat.AdminBans, chat.AdminRequest{}, whole(joinBans))
	if err != nil {
		return err
	}
	slices.SortStableFunc(reply.Bans, func(a, b chat.Ban) int { return a.At.Compare(b.At) })
	if p.json {
		return p.printJSON(reply.Bans)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BANNED\tSINCE\tUNTIL\tREASON")
	for _, b := range reply.Bans {
		until := "-"
		if !b.Until.IsZero() {
			until = when(b.Until)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", account.Word(b.Target), when(b.At), until, orDash(b.Reason))
	}
	return w.Flush()
}

// report prints what was done, or the answer itself.
func (p *program) report(err error, reply any, format string, args ...any) error {
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(reply)
	}
	_, err = fmt.Fprintf(p.out, format+"\n", args...)
	return err
}
