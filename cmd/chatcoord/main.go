// Chatcoord is the coordinator's program of natter: a NATS server, the service for names, invitations
// and sessions on it, and the operator's console.
//
// This package handles flags, the environment, signals and exit codes, and connects the other
// packages: broker/embedded, coord and console.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"natter/broker"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/flags"
	"natter/internal/ops"
	"natter/internal/private"
	"natter/internal/secure"
)

func main() { os.Exit(main1()) }

// main1 is main without os.Exit, so that scripts can test it.
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

// execute returns the verb and the exit code, or that of a failure of the output.
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
	case errors.Is(err, embedded.ErrDataDir), errors.Is(err, private.ErrFile):
		return flags.ExitFile
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
		Args: func(cmd *cobra.Command, args []string) error {
			p.flags = cmd.Flags()
			return noVerb(cmd, args)
		},
		RunE: func(*cobra.Command, []string) error { return p.quick(p.serve) },
	}
	p.root = root
	p.register(root.Flags())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if p.version || p.completion.Value != "" {
			return nil
		}
		return flags.BindEnv(cmd.Flags(), "CHATCOORD_", nil, os.LookupEnv)
	}
	root.AddCommand(p.verbs()...)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(p.out, help(cmd)) })
	root.SetFlagErrorFunc(wrongFlag)
	flags.AddAbout(root, p.out, "chatcoord "+chat.Release)
	return root
}

// noVerb refuses arguments that are no verb.
func noVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := flags.Nearest(args[0], flags.Verbs(root)); near != "" {
		return flags.Usagef("unknown verb %q, did you mean %s?", args[0], near)
	}
	return flags.Usagef("unknown verb %q", args[0])
}

// wrongFlag explains an invalid flag, and names the verb that has it.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return flags.Problem(cmd.Flags(), err)
	}
	name, owners := unknown.GetSpecifiedName(), []string(nil)
	if cmd.Root().Flags().Lookup(name) != nil {
		owners = append(owners, "chatcoord without a verb")
	}
	for _, verb := range cmd.Root().Commands() {
		if verb.Flags().Lookup(name) != nil {
			owners = append(owners, verb.Name())
		}
	}
	switch {
	case len(owners) == 0:
		return flags.Problem(cmd.Flags(), err)
	case cmd.HasParent():
		return flags.Usagef("%s has no flag --%s; it is for %s", cmd.Name(), name, strings.Join(owners, ", "))
	}
	return flags.Usagef("--%s is for verbs, and stands behind them: %s", name, strings.Join(owners, ", "))
}

// quick handles what needs no server, and otherwise runs the verb.
func (p *program) quick(verb func() error) error {
	switch {
	case p.version:
		fmt.Fprintf(p.out, "chatcoord %s\n", chat.Release)
		return nil
	case p.completion.Value != "":
		return flags.Complete(p.out, p.root, p.completion.Value)
	case p.printConfig:
		flags.Print(p.out, p.flags, func(name, value string) string {
			if name == "server" {
				return broker.Redact(value)
			}
			return value
		})
		return nil
	}
	return verb()
}
