package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"natter/chat"
	"natter/internal/flags"
	"natter/internal/keyfile"
)

// positional parses NAME, SERVER, or HOST PORT as in the third seed. verbs are the words that NAME may
// be a typing error of.
func (p *program) positional(args, verbs []string) error {
	if len(args) == 0 {
		return nil
	}
	first := args[0]
	near := flags.NearVerb(first, verbs)
	switch {
	case strings.HasPrefix(first, chat.LinkScheme+":"):
		return flags.Usagef("a link is for join: chatcli join 'LINK' (in quotes, or the shell takes it apart)")
	case len(args) == 2 && strings.Trim(args[1], "0123456789") == "":
		if err := checkPort(args[1]); err != nil {
			return flags.Usage(err)
		}
		return p.argument("server", bracket(first)+":"+args[1])
	case len(args) > 1 && near != "":
		return flags.Usagef("unknown verb %q, did you mean %s?", first, near)
	case len(args) > 1:
		return flags.Usagef("too many arguments: %q; a NAME or HOST PORT is enough", args)
	case namesServer(first):
		return p.argument("server", first)
	case near != "" && !p.hasKey(first):
		if err := p.askVerb(first, near); err != nil {
			return err
		}
	}
	return p.argument("name", first)
}

// namesServer reports whether an argument is a server: it has a character that no username has.
func namesServer(s string) bool {
	s, _, _ = strings.Cut(s, ",")
	if strings.Contains(s, "://") {
		return true
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host = strings.Trim(s, "[]")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if withPort := err == nil; withPort {
		return host != "" && port != "" && strings.Trim(port, "0123456789") == ""
	}
	return strings.EqualFold(host, "localhost") || strings.Contains(strings.Trim(host, "."), ".")
}

// hasKey reports whether there is a key of a name on this computer.
func (p *program) hasKey(name string) bool {
	n, err := chat.ParseName(name)
	if err != nil {
		return false
	}
	dir, err := dataDir(os.Getenv, os.UserHomeDir)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, string(n.User())+keyfile.Ending))
	return err == nil
}

// askVerb asks whether a word that looks like a verb is a username. It returns an error if not, or if
// there is no terminal to ask on.
func (p *program) askVerb(word, verb string) error {
	no := flags.Usagef("%q is nearly the verb %s, did you mean that? A username like this is written --name %s", word, verb, word)
	if !isTerminal(p.in) || !p.out.Terminal() {
		return no
	}
	if _, err := p.out.Write([]byte("\"" + word + "\" is nearly the verb " + verb + ". Is it your username? (yes/no) [no]: ")); err != nil {
		return err
	}
	line, err := p.lines.ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		_, _ = p.out.Write([]byte("\n")) // the end of input leaves the cursor behind the question
	}
	return no
}
