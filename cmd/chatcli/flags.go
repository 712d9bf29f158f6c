package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"natter/chat"
	"natter/internal/ui"
)

// config is what flags and the environment say.
type config struct {
	name, key, server         string
	waitServer, linger        duration
	presence, onBye, logLevel choice
	accept                    policy
	plain, echo, time, bell   bool
	strict, keepGoing         bool
	logFile                   string
	completion                choice
	printConfig, version      bool

	flags *pflag.FlagSet
}

// register makes the flags. Help is written by hand, in groups: see usage.
func (c *config) register(fs *pflag.FlagSet) {
	c.flags = fs
	c.server = chat.DefaultURL
	c.linger.forever = true
	c.presence = choice{"ask", []string{"ask", "visible", "hidden"}}
	c.onBye = choice{"menu", []string{"menu", "exit"}}
	c.logLevel = choice{"info", []string{"debug", "info", "warn", "error"}}
	c.completion = choice{"", []string{"bash", "zsh", "fish"}}
	fs.StringVarP(&c.name, "name", "n", "", "user name")
	fs.StringVar(&c.key, "key", "", "identity key")
	fs.VarP((*server)(&c.server), "server", "s", "server")
	fs.Var(&c.waitServer, "wait-server", "keep trying at start")
	fs.Var(&c.presence, "presence", "answer to the question of the beginning")
	fs.Var(&c.accept, "accept", "answer to invitations")
	fs.Var(&c.onBye, "on-bye", "what follows the end by bye")
	fs.BoolVar(&c.plain, "plain", false, "lines in, lines out")
	fs.BoolVar(&c.echo, "echo", false, "show own messages")
	fs.BoolVar(&c.time, "time", false, "show the time")
	fs.BoolVar(&c.bell, "bell", false, "ring at an invitation")
	fs.Var(&c.linger, "linger", "stay after the end of input")
	fs.BoolVar(&c.strict, "strict", false, "an error line makes the exit code 1")
	fs.BoolVar(&c.keepGoing, "keep-going", false, "a /wait in vain does not end the program")
	fs.StringVar(&c.logFile, "log-file", "", "log")
	fs.Var(&c.logLevel, "log-level", "what is logged")
	fs.Var(&c.completion, "completion", "print a completion script")
	fs.BoolVar(&c.printConfig, "print-config", false, "print what would be used")
	fs.BoolVarP(&c.version, "version", "V", false, "print the version")
	fs.BoolP("help", "h", false, "print help")
	fs.VisitAll(func(f *pflag.Flag) { f.Value = &single{Value: f.Value} })
}

// about does what needs no server: --version and --completion.
func (p *program) about() (done bool, err error) {
	root := &cobra.Command{Use: "chatcli"}
	root.Flags().AddFlagSet(p.flags)
	switch {
	case p.version:
		fmt.Fprintf(p.out, "chatcli %s\n", chat.Release)
	case p.completion.value == "bash":
		return true, root.GenBashCompletionV2(p.out, true)
	case p.completion.value == "zsh":
		return true, root.GenZshCompletion(p.out)
	case p.completion.value == "fish":
		return true, root.GenFishCompletion(p.out, true)
	default:
		return false, nil
	}
	return true, nil
}

// shown prints the configuration if that is all that was asked for.
func (p *program) shown() (done bool, err error) {
	if !p.printConfig {
		return false, nil
	}
	p.flags.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		switch f.Name {
		case "completion", "help", "print-config", "version":
			return
		case "server":
			value = shownServer(value)
		}
		fmt.Fprintf(p.out, "%s\t%s\t%s\n", f.Name, value, f.Value.(*single).origin())
	})
	return true, nil
}

// positional understands NAME, or HOST PORT as the third seed has it.
func (c *config) positional(args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case len(args) == 1:
		return c.argument("name", args[0])
	case len(args) == 2 && strings.Trim(args[1], "0123456789") == "":
		if err := checkPort(args[1]); err != nil {
			return usageError{err}
		}
		return c.argument("server", bracket(args[0])+":"+args[1])
	}
	return usageError{fmt.Errorf("too many arguments: %q; a NAME or HOST PORT is enough", args)}
}

// argument is a flag without its name.
func (c *config) argument(name, value string) error {
	f := c.flags.Lookup(name)
	v := f.Value.(*single)
	switch {
	case f.Changed && name == "name":
		return usageError{fmt.Errorf("two usernames, %q and %q; one is enough", v.String(), value)}
	case f.Changed:
		return usageError{fmt.Errorf("two servers, %s and %s; one is enough", shownServer(v.String()), masked(value))}
	}
	v.from = ""
	if err := c.flags.Set(name, value); err != nil {
		return usageError{flagError(c.flags, err)}
	}
	return nil
}

// bindEnv sets every flag that was not given from CHATCLI_ and its name; the server also
// from NATS_URL.
func (c *config) bindEnv(fs *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failure error
	fs.VisitAll(func(f *pflag.Flag) {
		names := []string{"CHATCLI_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))}
		if f.Name == "server" {
			names = append(names, "NATS_URL")
		}
		for _, name := range names {
			value, ok := lookup(name)
			if !ok || value == "" || f.Changed || f.Value.(*single).from != "" {
				continue
			}
			if err := f.Value.(*single).set(name, value); err != nil && failure == nil {
				failure = usageError{fmt.Errorf("%s: %w", name, err)}
			}
		}
	})
	return failure
}

// flagError says what is wrong with a command line.
func flagError(fs *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &invalid) && errors.Is(err, errTwice):
		return fmt.Errorf("--%s is given twice", invalid.GetFlag().Name)
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, reason(invalid))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		return unknownFlag(fs, unknown)
	}
	return err
}

// reason is what the flag's value has to say, without pflag's words around it.
func reason(invalid *pflag.InvalidValueError) error {
	if cause := invalid.Unwrap(); cause != nil && invalid.GetFlag().Value.Type() != "bool" {
		return cause
	}
	return fmt.Errorf("%q is neither true nor false", invalid.GetValue())
}

func unknownFlag(fs *pflag.FlagSet, unknown *pflag.NotExistError) error {
	name := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		return fmt.Errorf("unknown flag -%s", name)
	}
	var all []string
	fs.VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	if near := ui.Nearest(name, all); near != "" {
		return fmt.Errorf("unknown flag --%s, did you mean --%s?", name, near)
	}
	return fmt.Errorf("unknown flag --%s", name)
}

// logger opens the log if there is to be one.
func (c *config) logger() (*slog.Logger, func(), error) {
	if c.logFile == "" {
		return nil, func() {}, nil
	}
	f, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot write the log: %w", err)
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.logLevel.value)) // its words are slog's
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: level})), func() { _ = f.Close() }, nil
}
