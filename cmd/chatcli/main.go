// Chatcli is the user's program of natter, for a terminal or a script.
//
// This package handles flags, the environment, signals and exit codes, and nothing else: the user
// interface is package ui, the connection to the server package client. It reaches a broker only
// over the network.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"natter/chat"
	"natter/client"
	"natter/internal/contexts"
	"natter/internal/flags"
	"natter/internal/ui"
)

func main() { os.Exit(main1()) }

// main1 is main without os.Exit, so that scripts can test it.
func main1() int {
	flags.SurviveWrites()
	return run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// program is one run.
type program struct {
	in  io.Reader
	out *flags.Output
	err io.Writer
	config
	joined contexts.Context // the server, if it was joined; otherwise empty
	root   *cobra.Command
	code   int
	known  bool                           // the name must be the user's already: the verb does one thing
	lines  *bufio.Reader                  // of in, for verbs that ask something
	aside  bool                           // it comes in beside the user's terminals
	asks   bool                           // it can ask for a name
	client *atomic.Pointer[client.Client] // once the server is reached
}

// run does what the arguments say and returns the exit code.
func run(args []string, in io.Reader, out, err io.Writer) int {
	p := &program{in: in, out: flags.NewOutput(out), err: err, lines: bufio.NewReader(in), client: new(atomic.Pointer[client.Client])}
	return p.out.End(p.execute(args), func(lost error) { fmt.Fprintf(err, "chatcli: %v\n", lost) })
}

// execute returns the exit code, or that of a failure of the output.
func (p *program) execute(args []string) int {
	root := p.commands()
	root.SetArgs(args)
	failure := root.Execute()
	switch {
	case failure == nil:
		return p.code
	case p.out.Caused(failure):
		return ui.ExitFailure
	}
	return p.failed(failure)
}

// commands are chatcli and its verbs.
func (p *program) commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "chatcli",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, args []string) error { return p.chat(args, flags.Verbs(cmd)) },
	}
	p.root = root
	p.register(root.PersistentFlags())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if p.version || p.completion.Value != "" {
			return nil
		}
		return flags.BindEnv(cmd.Flags(), "CHATCLI_", map[string]string{"server": "NATS_URL"}, os.LookupEnv)
	}
	root.AddCommand(
		verb("send", cobra.ExactArgs(2), "send needs whom to write to and a text, or - for standard input",
			func(args []string) error {
				p.aside = true
				return p.once(func(ctx context.Context, c *client.Client, o ui.Options) int {
					return ui.SendOnce(ctx, c, o, args[0], args[1])
				})
			}),
		verb("list", cobra.NoArgs, "list takes no arguments",
			func([]string) error { p.aside = true; return p.once(ui.ListOnce) }),
		verb("listen", cobra.NoArgs, "listen takes no arguments",
			func([]string) error { return p.once(listen) }),
		p.keyCommand(), p.rotateCommand(), p.joinVerb(), p.contextVerb(), p.transcripts(),
	)
	root.SetHelpFunc(func(*cobra.Command, []string) { fmt.Fprint(p.out, usage) })
	flags.AddAbout(root, p.out, "chatcli "+chat.Release)
	p.suggest(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return flags.Problem(cmd.Flags(), err)
	})
	return root
}

func verb(name string, args cobra.PositionalArgs, complaint string, do func([]string) error) *cobra.Command {
	return &cobra.Command{
		Use: name,
		Args: func(cmd *cobra.Command, given []string) error {
			if args(cmd, given) != nil {
				return flags.Usagef("%s", complaint)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, given []string) error { return do(given) },
	}
}

// chat is chatcli without a verb.
func (p *program) chat(args, verbs []string) error {
	if done, err := p.about(); done || err != nil {
		return err
	}
	if err := p.positional(args, verbs); err != nil {
		return err
	}
	if err := p.settle(); err != nil {
		return err
	}
	if done, err := p.shown(); done || err != nil {
		return err
	}
	p.asks = true
	return p.visit(ui.Run)
}

// once runs a verb that asks nothing, so the name must be given.
func (p *program) once(do func(context.Context, *client.Client, ui.Options) int) error {
	if done, err := p.about(); done || err != nil {
		return err
	}
	if err := p.settle(); err != nil {
		return err
	}
	if done, err := p.shown(); done || err != nil {
		return err
	}
	if p.name == "" {
		return flags.Usagef("your own username is missing: --name NAME or CHATCLI_NAME")
	}
	p.known = !p.fresh
	return p.visit(do)
}

// listen prints messages until a signal. Users who are not visible get no messages, so the user is
// visible unless a flag says otherwise.
func listen(ctx context.Context, c *client.Client, o ui.Options) int {
	o.Listen, o.Linger = true, ui.Forever
	if o.Presence == chat.Undecided {
		o.Presence = chat.Visible
	}
	return ui.Run(ctx, c, o)
}

// visit connects to the server and runs a function. A signal decides the exit code.
func (p *program) visit(do func(context.Context, *client.Client, ui.Options) int) error {
	logger, closeLog, err := flags.Logger(p.logFile, p.logLevel.Value)
	if err != nil {
		return err
	}
	defer closeLog()
	passphrase, err := p.passphrase()
	if err != nil {
		p.code = p.failed(err)
		return nil
	}
	keeper, err := p.keeper()
	if err != nil {
		return err
	}
	ctx, end := signals(context.Background())
	defer end(context.Canceled)
	guardHeap(mostHeap, func() { p.endTooMuch(end) })
	cfg, err := p.reach(logger)
	if err != nil {
		return err
	}
	dir := p.keyDir()
	unkept := p.warnUnkept(dir)
	person := isTerminal(p.in) && p.out.Terminal()
	cfg.KeyDir, cfg.KeyFile, cfg.Name, cfg.Presence = dir, p.key, p.name, presenceOf(p.presence.Value)
	cfg.Passphrase, cfg.Takeover, cfg.Transcript, cfg.Known = passphrase, p.takeover, keeper, p.known
	cfg.MustKeep = unkept && !(person && p.asks) // without a person there is nobody to ask
	if p.aside {
		cfg.Name = "" // no ticket of a terminal is used
	}
	if err := p.openKey(ctx, &cfg); err != nil {
		if p.code = codeTold(ctx); p.code == 0 {
			p.code = p.failed(err)
		}
		return nil
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		p.code = p.failed(err)
	} else {
		p.client.Store(c)
		o := p.options(logger)
		if unkept && !cfg.MustKeep {
			o.Name = "" // the prompt asks, below the warning
		}
		o.In = attend(p.in, end)
		p.code = do(ctx, c, o)
		if c.PassSpent() {
			p.spend(logger)
		}
	}
	switch cause := context.Cause(ctx).(type) {
	case toldToStop:
		p.code = cause.code()
	case tooMuch:
		p.code = p.failed(cause)
	}
	return nil
}

// failed prints an error and returns the exit code.
func (p *program) failed(err error) int {
	code := flags.ChatcliExit(err)
	text := strings.TrimSuffix(chat.CleanLine(err.Error()), ".")
	if errors.As(err, &flags.UsageError{}) {
		text += flags.Sources(p.root.PersistentFlags(), text)
	}
	fmt.Fprintf(p.err, "chatcli: %s\n", text)
	switch {
	case errors.As(err, &flags.UsageError{}):
		fmt.Fprintln(p.err, "Try chatcli --help.")
	case code == ui.ExitUnreachable:
		fmt.Fprintln(p.err, "Start a server with: chatcoord        or name another one: chatcli --server nats://HOST:4222")
	}
	return code
}

// codeTold returns the exit code after a signal; 0 if there was none.
func codeTold(ctx context.Context) int {
	if told, ok := context.Cause(ctx).(toldToStop); ok {
		return told.code()
	}
	return 0
}

// options returns the flags as options of the front end.
func (p *program) options(log *slog.Logger) ui.Options {
	home, _ := os.UserHomeDir()
	return ui.Options{
		In: p.in, Out: p.out, Terminal: isTerminal(p.in) && p.out.Terminal(), CutsAt: cutsAt(p.in),
		Name: p.name, Presence: presenceOf(p.presence.Value), Accept: p.accept.policy,
		ByeExits: p.onBye.Value == "exit", Echo: p.echo, Time: p.time, Bell: p.bell,
		New: p.fresh, Linger: time.Duration(p.linger), Strict: p.strict, KeepGoing: p.keepGoing, Home: home, Log: log, Secret: hider(p.in),
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
