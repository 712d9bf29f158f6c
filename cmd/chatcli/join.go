package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"natter/chat"
	"natter/client"
	"natter/internal/contexts"
	"natter/internal/flags"
	"natter/internal/private"
	"natter/internal/secure"
)

// settle chooses the server, once the flags are read: that of --server or --context, then that of the
// environment, then that of the current context.
func (p *program) settle() error {
	server, name := p.origin("server"), p.origin("context")
	switch {
	case server == "flag" && name == "flag":
		return flags.Usagef("two servers, %s and that of the context %s; one is enough", shownServer(p.server), chat.CleanLine(p.context))
	case server == "flag", server != "default" && name != "flag":
		p.joined = joinedAt(p.server)
		return nil
	}
	store, err := contextStore()
	if err != nil {
		if p.context == "" {
			return nil // without a home there are none
		}
		return err
	}
	set, err := store.Load()
	if err != nil {
		return err
	}
	if p.joined, err = set.Get(cmp.Or(p.context, set.Current)); err != nil {
		if p.context == "" && set.Current == "" {
			return nil
		}
		return err
	}
	from := "context " + p.joined.Name
	if err := p.single("server").Adopt(p.joined.Server, from); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if p.name == "" && p.joined.User != "" {
		return p.single("name").Adopt(p.joined.User, from)
	}
	return nil
}

// joinedAt returns the context of a server that was named by its address, because it has the pass and
// the CA. It is empty if there is none.
func joinedAt(server string) contexts.Context {
	store, err := contextStore()
	if err != nil {
		return contexts.Context{}
	}
	set, err := store.Load()
	if err != nil {
		return contexts.Context{} // it was not asked for
	}
	c, _ := set.At(server)
	return c
}

func (c *config) single(name string) *flags.Single { return c.flags.Lookup(name).Value.(*flags.Single) }

func (c *config) origin(name string) string { return c.single(name).Origin() }

// contextStore is where the contexts are kept.
func contextStore() (*contexts.Store, error) {
	dir, err := dataDir(os.Getenv, os.UserHomeDir)
	if err != nil {
		return nil, errors.New("there is no home directory, so there are no contexts")
	}
	return contexts.In(dir), nil
}

// reach returns the client's configuration for the server.
func (p *program) reach(log *slog.Logger) (client.Config, error) {
	cfg := client.Config{
		URL: p.server, Creds: p.creds, Sentinel: p.joined.Creds, Wait: p.waitServer.D, Log: log,
		Pass: p.joined.Pass, Seed: p.joined.Seed,
	}
	ca := p.tlsCA
	if ca == "" && p.joined.CA != "" {
		ca = secure.Pin + p.joined.CA
	}
	var err error
	cfg.Options, err = secure.Config{URLs: p.server, CA: ca, Cert: p.tlsCert, Key: p.tlsKey, Insecure: p.insecure}.Options()
	return cfg, err
}

// spend removes a used pass from a context, and the key that belongs to a name now.
func (p *program) spend(log *slog.Logger) {
	store, err := contextStore()
	if err == nil {
		err = store.Update(func(s *contexts.Set) error {
			now, err := s.Get(p.joined.Name)
			if err != nil || now.Pass != p.joined.Pass {
				return err // removed, or joined anew
			}
			now.Pass, now.Seed = "", ""
			s.Put(now)
			return nil
		})
	}
	if err != nil {
		log.Warn("forget the pass", "context", p.joined.Name, "err", err)
	}
}

// joinVerb stores the server of a link.
func (p *program) joinVerb() *cobra.Command {
	return verb("join", cobra.RangeArgs(1, 2), "join needs a link, or - for standard input; the name to take there may follow", func(args []string) error {
		if p.origin("server") == "flag" {
			return flags.Usagef("--server: the link says which server it is")
		}
		if len(args) == 2 {
			if err := p.argument("name", args[1]); err != nil {
				return err
			}
		}
		text := args[0]
		if text == "-" {
			line, err := readLink(p.in)
			if err != nil {
				return fmt.Errorf("read the link: %w", err)
			}
			text = line
		}
		link, err := chat.ParseLink(text)
		switch {
		case err != nil:
			return flags.Usage(err)
		case link.Cut():
			return flags.Usagef("the end of this link is missing, with its pass: a shell cuts a link at &, so write it in quotes: chatcli join 'LINK'")
		}
		return p.join(link)
	})
}

// readLink reads the first line that is not blank, without a byte order mark. It does not wait for the
// end of the input, because a terminal has none.
func readLink(r io.Reader) (string, error) {
	in := bufio.NewReader(io.LimitReader(r, 16<<10))
	for {
		line, err := in.ReadBytes('\n')
		if text := strings.Trim(string(private.Unmark(line)), " \t\r\n"); text != "" {
			return text, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", nil
		case err != nil:
			return "", err
		}
	}
}

func (p *program) join(link chat.Link) error {
	logger, closeLog, err := flags.Logger(p.logFile, p.logLevel.Value)
	if err != nil {
		return err
	}
	defer closeLog()
	store, err := contextStore()
	if err != nil {
		return err
	}
	joined, err := p.contextOf(link)
	if err != nil {
		return err
	}
	set, err := store.Load()
	if err != nil {
		return err
	}
	if err := another(set, joined); err != nil {
		return err
	}
	if done, err := p.greet(joined, logger); done || err != nil {
		return err
	}
	known := 0
	err = store.Update(func(s *contexts.Set) error {
		if err := another(*s, joined); err != nil {
			return err
		}
		s.Put(joined)
		s.Current, known = joined.Name, len(s.Contexts)
		return nil
	})
	if err != nil {
		return err
	}
	next := "Take a name there"
	if joined.User != "" {
		next = "Sign in there as " + joined.User
	}
	others := ""
	if known > 1 {
		others = " The other servers that you know: chatcli context ls"
	}
	fmt.Fprintf(p.out, "* Joined %s: %s. chatcli goes there from now on.\n", joined.Name, joined.Server)
	fmt.Fprintf(p.out, "* %s: chatcli.%s\n", next, others)
	p.overruled(joined.Name)
	return nil
}

// contextOf returns the context of a link.
func (p *program) contextOf(link chat.Link) (contexts.Context, error) {
	c := contexts.Context{Name: link.Name, Server: link.URL(), CA: link.CA, Creds: link.Creds, Pass: link.Pass}
	if p.origin("context") == "flag" {
		c.Name = p.context
	}
	if !chat.ContextName(c.Name) {
		return c, flags.Usagef("--context: %+.80q cannot be a context: a letter or a digit, then also dots, - and _, %d at most", c.Name, chat.MaxContextName)
	}
	if p.origin("name") == "flag" {
		name, err := chat.ParseName(p.name)
		if err != nil {
			return c, flags.Usage(err)
		}
		c.User = string(name)
	}
	if c.Pass == "" {
		return c, nil
	}
	seed, err := client.NewSeed()
	c.Seed = seed
	return c, err
}

// overruled warns if the environment has a server, which overrides the context.
func (p *program) overruled(name string) {
	if from := p.origin("server"); from != "default" && from != "flag" {
		fmt.Fprintf(p.err, "! %s is set and names another server: unset it, or write --context %s\n", from, name)
	}
}

// another refuses to replace a context by one of another server.
func another(set contexts.Set, joined contexts.Context) error {
	there, err := set.Get(joined.Name)
	if err != nil || there.Server == joined.Server && there.CA == joined.CA {
		return nil
	}
	return chat.Errorf(chat.Arguments, "There is a context %s for another server, %s. Keep both: --context OTHER, or forget that one: chatcli context rm %s",
		joined.Name, there.Server, joined.Name)
}

// greet checks that the server of a link answers and is the right one. It takes no name, so the pass
// is not used. The context is stored also if the server cannot be reached.
func (p *program) greet(joined contexts.Context, log *slog.Logger) (done bool, err error) {
	ctx, end := signals(context.Background())
	defer end(context.Canceled)
	p.server, p.joined = joined.Server, joined
	cfg, err := p.reach(log)
	if err != nil {
		return true, err
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		if p.code = codeTold(ctx); p.code == 0 {
			p.code = p.failed(err)
		}
		return true, nil
	}
	c.Close()
	return false, nil
}

// contextVerb lists, chooses and forgets contexts.
func (p *program) contextVerb() *cobra.Command {
	root := verb("context", cobra.NoArgs, "context is followed by ls, use NAME or rm NAME", func([]string) error {
		return flags.Usagef("context is followed by ls, use NAME or rm NAME")
	})
	root.AddCommand(
		verb("ls", cobra.NoArgs, "context ls takes no arguments", func([]string) error { return p.contextList() }),
		verb("use", cobra.ExactArgs(1), "context use needs a name; chatcli context ls lists them", func(args []string) error {
			return p.contextUse(args[0])
		}),
		verb("rm", cobra.ExactArgs(1), "context rm needs a name; chatcli context ls lists them", func(args []string) error {
			return p.contextRemove(args[0])
		}),
	)
	return root
}

func (p *program) contextList() error {
	store, err := contextStore()
	if err != nil {
		return err
	}
	set, err := store.Load()
	if err != nil {
		return err
	}
	if len(set.Contexts) == 0 {
		fmt.Fprintln(p.err, "* There are none; chatcli join LINK makes one.")
		return nil
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, c := range set.Contexts {
		mark, user := " ", ""
		if c.Name == set.Current {
			mark = "*"
		}
		if c.User != "" {
			user = "\t" + chat.CleanLine(c.User)
		}
		fmt.Fprintf(w, "%s %s\t%s%s\n", mark, c.Name, chat.CleanLine(shownServer(c.Server)), user)
	}
	return w.Flush()
}

func (p *program) contextUse(name string) error {
	var chosen contexts.Context
	err := changeContexts(func(s *contexts.Set) (err error) {
		if chosen, err = s.Get(name); err == nil {
			s.Current = name
		}
		return err
	})
	if err == nil {
		fmt.Fprintf(p.out, "* chatcli goes to %s, %s, from now on.\n", name, chat.CleanLine(shownServer(chosen.Server)))
		p.overruled(name)
	}
	return err
}

func (p *program) contextRemove(name string) error {
	current := false
	err := changeContexts(func(s *contexts.Set) error {
		if _, err := s.Get(name); err != nil {
			return err
		}
		s.Remove(name)
		if current = s.Current == name; current {
			s.Current = ""
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "* %s is forgotten; the keys of your names are kept.\n", name)
	if current {
		fmt.Fprintf(p.out, "* chatcli goes to %s again.\n", chat.DefaultURL)
	}
	return nil
}

func changeContexts(change func(*contexts.Set) error) error {
	store, err := contextStore()
	if err != nil {
		return err
	}
	return store.Update(change)
}
