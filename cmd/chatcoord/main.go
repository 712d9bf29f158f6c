// Chatcoord is the coordinator's program of natter: a NATS server, the service that
// keeps names, invitations and sessions on it, and the operator's console.
//
// This package knows flags, the environment, signals and exit codes, and puts together
// what the other packages have: broker/embedded, coord and console.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/flags"
	"natter/internal/ops"
	"natter/internal/secure"
)

func main() { os.Exit(main1()) }

// main1 is main without the end, so that scripts can test it.
func main1() int {
	flags.SurviveWrites()
	return run(os.Args[1:], os.Stdout, os.Stderr)
}

// program is one run.
type program struct {
	out *flags.Output
	err io.Writer
	web *ops.Server // of --http, or nil

	root *cobra.Command
	config

	logTo *flags.LogFile                     // of --log-file, or nil
	cert  atomic.Pointer[secure.Certificate] // of the embedded server, or shown to another one
	ready atomic.Bool                        // a coordinator serves
	news  chan news                          // for its console
}

func newProgram(out, err io.Writer) *program {
	return &program{out: flags.NewOutput(out), err: err, news: make(chan news, 16)}
}

// run does what the arguments say and returns the exit code.
func run(args []string, out, err io.Writer) int {
	p := newProgram(out, err)
	cmd, code := p.execute(args)
	return p.out.End(code, func(lost error) { p.fail(cmd, args, lost, flags.ExitFailure) })
}

// execute returns the verb, and the exit code as it is if the output arrives.
func (p *program) execute(args []string) (*cobra.Command, int) {
	root := p.commands()
	root.SetArgs(args)
	cmd, failure := root.ExecuteC()
	var ended signalled
	switch {
	case failure == nil:
		return cmd, flags.ExitOK
	case errors.As(failure, &ended):
		return cmd, ended.code()
	case p.out.Caused(failure):
		return cmd, flags.ExitFailure
	}
	p.fail(cmd, args, failure, code(failure))
	return cmd, code(failure)
}

// code is the exit code for an error.
func code(err error) int {
	var told *chat.Error
	switch {
	case errors.As(err, &flags.UsageError{}):
		return flags.ExitUsage
	case errors.Is(err, embedded.ErrInUse), errors.Is(err, ops.ErrInUse):
		return flags.ExitInUse
	case errors.Is(err, embedded.ErrDataDir):
		return flags.ExitDataDir
	case !errors.As(err, &told):
		return flags.ExitFailure
	}
	switch told.Code {
	case chat.Arguments, chat.Invalid, chat.Reserved: // names that are arguments
		return flags.ExitUsage
	case chat.Denied:
		return flags.ExitDenied
	case chat.NotConnected, chat.Timeout:
		return flags.ExitUnreachable
	}
	return flags.ExitFailure
}

// commands are chatcoord and its verbs.
func (p *program) commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "chatcoord",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          p.noArguments("chatcoord"),
		RunE:          func(*cobra.Command, []string) error { return p.quick(p.serve) },
	}
	p.root = root
	p.register(root.PersistentFlags())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if p.version || p.completion.Value != "" {
			return nil
		}
		return flags.BindEnv(cmd.Flags(), "CHATCOORD_", nil, os.LookupEnv)
	}
	root.AddCommand(
		p.verb("users", func(ctx context.Context) error { return p.users(ctx) }),
		p.verb("sessions", func(ctx context.Context) error { return p.sessions(ctx) }),
		p.verb("watch", func(ctx context.Context) error { return p.watch(ctx) }),
		p.verb("doctor", func(ctx context.Context) error { return p.doctor(ctx) }),
		p.kickVerb(), p.banVerb(), p.unbanVerb(), p.freeVerb(), p.deleteVerb(),
		p.verb("bans", func(ctx context.Context) error { return p.bans(ctx) }),
		p.initVerb(),
		p.inviteVerb(),
		p.healthVerb(),
		p.backupVerb(),
		p.restoreVerb(),
		p.verifyVerb(),
	)
	root.SetHelpFunc(func(*cobra.Command, []string) { fmt.Fprint(p.out, usage) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flags.Problem(cmd.Flags(), err) })
	flags.AddAbout(root, p.out, "chatcoord "+chat.Release)
	return root
}

// verb asks a running coordinator.
func (p *program) verb(name string, do func(context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:  name,
		Args: p.noArguments(name),
		RunE: func(*cobra.Command, []string) error {
			return p.quick(func() error { return do(context.Background()) })
		},
	}
}

func (p *program) noArguments(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case name == "invite" && p.given("for"):
			return flags.Usagef("--for is for ban; how long a link is good is --ttl")
		case name != "chatcoord" && (p.given("for") || p.given("reason")):
			return flags.Usagef("--reason and --for are not for %s", name)
		case len(args) == 0:
			return nil
		}
		if near := flags.Nearest(args[0], flags.Verbs(cmd)); near != "" && name == "chatcoord" {
			return flags.Usagef("unknown verb %q, did you mean %s?", args[0], near)
		}
		return flags.Usagef("%s takes no arguments, not %q", name, args[0])
	}
}

// quick does what needs no server, or else the verb.
func (p *program) quick(verb func() error) error {
	switch {
	case p.version:
		fmt.Fprintf(p.out, "chatcoord %s\n", chat.Release)
		return nil
	case p.completion.Value != "":
		return flags.Complete(p.out, p.root, p.completion.Value)
	case p.printConfig:
		flags.Print(p.out, p.flags, func(_, value string) string { return value })
		return nil
	}
	return verb()
}
