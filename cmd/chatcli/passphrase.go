package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"natter/chat"
	"natter/client"
	"natter/internal/flags"
	"natter/internal/keyfile"
	"natter/internal/private"
	"natter/internal/ui"
)

// passphrase returns the first line of --passphrase-file; "" without one.
func (p *program) passphrase() (string, error) {
	if p.passphraseFile == "" {
		return "", nil
	}
	s, err := firstLine(p.passphraseFile)
	if err == nil && s == "" {
		err = chat.Errorf(chat.Denied, "The passphrase file %s holds no passphrase.", p.passphraseFile)
	}
	return s, err
}

func firstLine(path string) (string, error) {
	text, err := private.Read("passphrase file", path, private.Small)
	if err != nil {
		return "", chat.Errorf(chat.Denied, "%s", err)
	}
	return private.FirstLine(text), nil
}

// unlock reads a key and asks for its passphrase if it needs one; whose is in the question.
func (p *program) unlock(ctx context.Context, whose, path string) (*keyfile.File, error) {
	given, err := p.passphrase()
	if err != nil {
		return nil, err
	}
	f, err := keyfile.Read(path, given)
	if given == "" && errors.Is(err, &chat.Error{Code: chat.Auth}) {
		return p.askToUnlock(ctx, whose, path)
	}
	return f, missing(whose, path, err)
}

// openKey asks on a terminal for the passphrase of a key that a verb needs.
func (p *program) openKey(ctx context.Context, cfg *client.Config) error {
	path := p.key
	if path == "" && cfg.KeyDir != "" {
		path = filepath.Join(cfg.KeyDir, string(chat.Name(p.name).User())+".key")
	}
	if !p.known || path == "" || cfg.Passphrase != "" {
		return nil
	}
	if _, err := keyfile.Read(path, ""); !errors.Is(err, &chat.Error{Code: chat.Auth}) {
		return nil // other errors are reported later
	}
	q := *p
	q.out = flags.NewOutput(p.err) // the verb's output may be redirected
	if !isTerminal(p.in) {
		t := ownTerminal(p.err) // send reads its text from standard input
		if t == nil {
			return nil
		}
		defer t.Close()
		q.in, q.lines = t, bufio.NewReader(t)
	}
	f, err := q.askToUnlock(ctx, p.name, path)
	if err == nil {
		cfg.Passphrase = f.Passphrase
	}
	return err
}

func (p *program) askToUnlock(ctx context.Context, whose, path string) (*keyfile.File, error) {
	for left := ui.Tries - 1; ; left-- {
		typed, err := p.secret(ctx, fmt.Sprintf("Passphrase for %s: ", whose))
		if err != nil {
			return nil, err
		}
		wrong := keyfile.WrongPassphrase(path)
		if typed != "" {
			f, err := keyfile.Read(path, typed)
			if !errors.Is(err, wrong) {
				return f, err
			}
		}
		told := chat.Errorf(chat.Auth, "%s", ui.WrongPassphrase(wrong, left))
		if left == 0 {
			return nil, told
		}
		fmt.Fprintf(p.out, "! %s\n", chat.CleanLine(told.Text))
	}
}

// secret asks for a line that the terminal does not show.
func (p *program) secret(ctx context.Context, prompt string) (string, error) {
	end := "\n"
	if hide := hider(p.in); hide != nil {
		hide(true)
		defer func() { hide(false); fmt.Fprintln(p.out) }()
		end = ""
	}
	fmt.Fprint(p.out, prompt+end)
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // a read from a terminal cannot be interrupted; it ends with the program
		line, err := p.lines.ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && a.line == "" {
			return "", chat.Errorf(chat.Auth, "No passphrase came; nothing was changed.")
		}
		return strings.TrimSuffix(strings.TrimSuffix(a.line, "\n"), "\r"), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// changePassphrase changes the passphrase of a key, or removes it if the new one is empty.
func (p *program) changePassphrase(ctx context.Context, args []string, newFile string) error {
	n, path, err := p.mine(args)
	if err != nil {
		return err
	}
	f, err := p.unlock(ctx, string(n), path)
	if err != nil {
		return err
	}
	wanted, err := p.newPassphrase(ctx, newFile)
	if err != nil {
		return err
	}
	_, err = keyfile.Change(ctx, path, f.Passphrase, func(f *keyfile.File) error {
		f.Passphrase = wanted
		return f.Complete(n)
	})
	switch {
	case err != nil:
		return err
	case wanted == "":
		fmt.Fprintf(p.out, "* The key of %s has no passphrase: who can read %s has the name.\n", n, chat.CleanLine(path))
	default:
		fmt.Fprintf(p.out, "* The key of %s is protected. Nobody can bring the passphrase back if it is lost.\n", n)
	}
	return nil
}

func (p *program) newPassphrase(ctx context.Context, file string) (string, error) {
	if file != "" {
		return firstLine(file)
	}
	first, err := p.secret(ctx, "New passphrase (empty for none): ")
	if err != nil {
		return "", err
	}
	second, err := p.secret(ctx, "The same again: ")
	if err == nil && first != second {
		err = chat.Errorf(chat.Arguments, "The two are not the same; nothing was changed.")
	}
	return first, err
}
