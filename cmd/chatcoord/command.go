package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"natter/internal/flags"
)

// verb is a subcommand of chatcoord.
type verb struct {
	use   string // its name, and the arguments
	short string // for the list of verbs
	long  string // for its own help, in lines
	flags []func(*config, *pflag.FlagSet)
	own   func(*pflag.FlagSet) // flags of this verb alone, or nil
	least int                  // arguments
	most  int
	needs string // the arguments, in words
	run   func(ctx context.Context, args []string) error
}

// command makes a verb one of chatcoord's.
func (p *program) command(v verb) *cobra.Command {
	cmd := &cobra.Command{Use: v.use, Short: v.short, Long: v.long}
	if cmd.Long == "" {
		cmd.Long = upper(v.short) + "."
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		p.flags = cmd.Flags()
		return v.check(cmd.Name(), args)
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return p.quick(func() error {
			if err := p.checkVerb(); err != nil {
				return err
			}
			p.findServer()
			return v.run(context.Background(), args)
		})
	}
	fs := cmd.Flags()
	for _, add := range v.flags {
		add(&p.config, fs)
	}
	if v.own != nil {
		v.own(fs)
	}
	p.helpFlags(fs)
	p.finish(fs)
	return cmd
}

// check checks how many arguments there are.
func (v verb) check(name string, args []string) error {
	switch {
	case len(args) > v.most && v.most == 0:
		return flags.Usagef("%s takes no arguments, not %q", name, args[0])
	case len(args) > v.most && v.least > 0:
		return flags.Usagef("%s takes %s, and nothing more: %q", name, v.needs, args[v.most])
	case len(args) > v.most, len(args) < v.least:
		return flags.Usagef("%s needs %s", name, v.needs)
	}
	return nil
}

func upper(s string) string { return fmt.Sprintf("%c%s", s[0]-'a'+'A', s[1:]) }

// asking adds the flags of verbs that send requests to a coordinator.
func asking(more ...func(*config, *pflag.FlagSet)) []func(*config, *pflag.FlagSet) {
	return append(more, (*config).jsonFlag, (*config).reachFlags)
}

// verbs are all verbs, in alphabetical order, as help shows them.
func (p *program) verbs() []*cobra.Command {
	plain := func(do func(context.Context) error) func(context.Context, []string) error {
		return func(ctx context.Context, _ []string) error { return do(ctx) }
	}
	return []*cobra.Command{
		p.command(verb{use: "users", short: "print the present users", flags: asking(), run: plain(p.users)}),
		p.command(verb{use: "sessions", short: "print invitations and sessions", flags: asking(), run: plain(p.sessions)}),
		p.command(verb{use: "watch", short: "print the console of a running coordinator, from anywhere",
			flags: []func(*config, *pflag.FlagSet){(*config).viewFlags, (*config).reachFlags}, run: plain(p.watch)}),
		p.command(verb{use: "doctor", short: "examine a NATS server: ok, or what is wrong and what to do",
			flags: []func(*config, *pflag.FlagSet){(*config).jsonFlag, (*config).keyFlags}, run: plain(p.doctor)}),
		p.kickVerb(), p.banVerb(), p.unbanVerb(), p.freeVerb(), p.deleteVerb(),
		p.command(verb{use: "bans", short: "print the bans", flags: asking(), run: plain(p.bans)}),
		p.initVerb(), p.inviteVerb(), p.healthVerb(),
		p.backupVerb(), p.restoreVerb(), p.verifyVerb(), p.logVerb(),
	}
}
