package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"natter/chat"
	"natter/internal/flags"
)

// config are the settings from flags and the environment.
type config struct {
	name, key, server, creds  string
	passphraseFile            string
	context                   string
	tlsCA, tlsCert, tlsKey    string
	insecure                  bool
	waitServer                flags.Duration
	linger                    linger
	presence, onBye, logLevel flags.Choice
	accept                    policy
	takeover, fresh           bool
	plain, echo, time, bell   bool
	strict, keepGoing         bool
	logFile, transcript       string
	completion                flags.Choice
	printConfig, version      bool

	flags *pflag.FlagSet
}

// register makes the flags. Help is written by hand, in groups: see usage.
func (c *config) register(fs *pflag.FlagSet) {
	c.flags = fs
	c.server = chat.DefaultURL
	c.presence = flags.Choice{Value: "ask", Among: []string{"ask", "visible", "hidden"}}
	c.onBye = flags.Choice{Value: "menu", Among: []string{"menu", "exit"}}
	c.logLevel = flags.Choice{Value: "info", Among: []string{"debug", "info", "warn", "error"}}
	c.completion = flags.Choice{Among: flags.Shells}
	fs.StringVarP(&c.name, "name", "n", "", "user name")
	fs.StringVar(&c.key, "key", "", "identity key")
	fs.StringVar(&c.passphraseFile, "passphrase-file", "", "file with the passphrase of the key")
	fs.BoolVar(&c.takeover, "takeover", false, "sign out another terminal of the same user")
	fs.BoolVar(&c.fresh, "new", false, "send, list, listen: take a name that is new")
	fs.VarP((*server)(&c.server), "server", "s", "server")
	fs.StringVar(&c.context, "context", "", "server that was joined")
	fs.StringVar(&c.tlsCA, "tls-ca", "", "CA of the server: a file, or sha256: and its fingerprint")
	fs.StringVar(&c.tlsCert, "tls-cert", "", "certificate to show")
	fs.StringVar(&c.tlsKey, "tls-key", "", "its key")
	fs.BoolVar(&c.insecure, "insecure", false, "allow plain text off loopback")
	fs.StringVar(&c.creds, "creds", "", "the lobby's JWT")
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
	fs.StringVar(&c.transcript, "transcript", "", "keep one's own chats in this directory")
	fs.Var(&c.completion, "completion", "print a completion script")
	fs.BoolVar(&c.printConfig, "print-config", false, "print what would be used")
	fs.BoolVarP(&c.version, "version", "V", false, "print the version")
	fs.BoolP("help", "h", false, "print help")
	flags.Once(fs)
}

// about handles --version and --completion.
func (p *program) about() (done bool, err error) {
	switch {
	case p.version:
		fmt.Fprintf(p.out, "chatcli %s\n", chat.Release)
		return true, nil
	case p.completion.Value != "":
		return true, flags.Complete(p.out, p.root, p.completion.Value)
	}
	return false, nil
}

// shown prints the configuration for --print-config.
func (p *program) shown() (done bool, err error) {
	if !p.printConfig {
		return false, nil
	}
	flags.Print(p.out, p.flags, func(name, value string) string {
		if name == "server" {
			return shownServer(value)
		}
		return value
	})
	return true, nil
}

// argument is a flag without its name.
func (c *config) argument(name, value string) error {
	f := c.flags.Lookup(name)
	v := f.Value.(*flags.Single)
	switch {
	case f.Changed && name == "name":
		return flags.Usagef("two usernames, %q and %q; one is enough", v.String(), value)
	case f.Changed:
		return flags.Usagef("two servers, %s and %s; one is enough", shownServer(v.String()), masked(value))
	}
	if err := c.flags.Set(name, value); err != nil {
		return flags.Problem(c.flags, err)
	}
	return nil
}
