package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/flags"
	"natter/presence/account"
)

// about makes a verb for one name, key or network.
func (p *program) about(v verb, what string, do func(ctx context.Context, word string) error) *cobra.Command {
	v.least, v.most, v.needs = 1, 1, what
	v.run = func(ctx context.Context, args []string) error { return do(ctx, args[0]) }
	return p.command(v)
}

const anybody = "a username, a public key or a network"

// confirm asks on a terminal before actions that cannot be undone, or affect many users. A script
// needs --yes.
func (p *program) confirm(question string) error {
	if p.yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return flags.Usagef("%s Nothing was done: there is no terminal to ask at; --yes answers", question)
	}
	fmt.Fprintf(p.err, "%s (yes/no) ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of input is no answer
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was done")
}

func (p *program) kickVerb() *cobra.Command {
	v := verb{use: "kick NAME|KEY|NETWORK", short: "sign users out; they may sign in again", flags: asking((*config).reasonFlag)}
	return p.about(v, anybody, func(ctx context.Context, word string) error {
		t, err := account.ReadTarget(word)
		if err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminKick, chat.KickRequest{Target: t, Reason: p.reason}, rpc.CallOnce)
		return p.report(err, reply, "Signed out: %s.%s", chat.Names(reply.Users), unrevoked(reply.Until))
	})
}

func (p *program) banVerb() *cobra.Command {
	v := verb{
		use: "ban NAME|KEY|NETWORK", short: "sign out and ban, until unban or for a time",
		long:  "Sign out and ban, until unban or for a time. For a ban of a network, which may\naffect many users, a terminal asks; elsewhere it needs --yes.",
		flags: asking((*config).forFlag, (*config).reasonFlag, (*config).yesFlag),
	}
	return p.about(v, anybody, func(ctx context.Context, word string) error {
		t, err := account.ReadTarget(word)
		if err != nil {
			return err
		}
		if t.Network != "" {
			if err := p.confirm("Keep away everybody who comes from " + account.Word(t) + "?"); err != nil {
				return err
			}
		}
		reply, err := order(ctx, p, chat.AdminBan, chat.BanRequest{Target: t, Reason: p.reason, For: p.banFor.D}, rpc.CallOnce)
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

// unrevoked warns of tickets that stay valid.
func unrevoked(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " Tickets cannot be revoked here: who ignores this can reach the server until " + account.Moment(until) + "; see chatcoord doctor."
}

func (p *program) unbanVerb() *cobra.Command {
	v := verb{use: "unban NAME|KEY|NETWORK", short: "end a ban", flags: asking()}
	return p.about(v, anybody, func(ctx context.Context, word string) error {
		t, err := account.ReadTarget(word)
		if err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminUnban, chat.UnbanRequest{Target: t}, rpc.CallOnce)
		return p.report(err, reply, "%s is no longer banned.", account.Word(t))
	})
}

func (p *program) freeVerb() *cobra.Command {
	v := verb{
		use: "free NAME", short: "take a name from its owner; anybody can take it",
		long:  "Take a name from its owner; anybody can take it afterwards. A terminal asks;\nelsewhere it needs --yes.",
		flags: asking((*config).reasonFlag, (*config).yesFlag),
	}
	return p.about(v, "a username", func(ctx context.Context, word string) error {
		if err := p.confirm(fmt.Sprintf("Take the username %s from its owner, so that anybody can take it?", chat.CleanLine(word))); err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminFree, chat.FreeRequest{Name: word, Reason: p.reason}, rpc.CallOnce)
		from := ""
		if time.Until(reply.Free) > time.Minute {
			from = " from " + account.Moment(reply.Free) + " on, when the last ticket of its owner has expired"
		}
		return p.report(err, reply, "The username %s is free%s.", word, from)
	})
}

func (p *program) deleteVerb() *cobra.Command {
	v := verb{
		use: "delete NAME", short: "delete an account; nobody can take its name until it is freed",
		long:  "Delete an account. Nobody can take its name until it is freed. A terminal asks;\nelsewhere it needs --yes.",
		flags: asking((*config).reasonFlag, (*config).yesFlag),
	}
	return p.about(v, "a username", func(ctx context.Context, word string) error {
		if err := p.confirm(fmt.Sprintf("Delete the account %s, and let nobody have the name?", chat.CleanLine(word))); err != nil {
			return err
		}
		reply, err := order(ctx, p, chat.AdminDelete, chat.DeleteRequest{Name: word, Reason: p.reason}, rpc.CallOnce)
		return p.report(err, reply, "The account %s is deleted; nobody can take the name.", word)
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

// report prints what was done, or the answer as JSON.
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
