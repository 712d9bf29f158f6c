package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"natter/chat"
	"natter/internal/flags"
	"natter/internal/keyfile"
	"natter/internal/private"
)

// keyCommand is chatcli key and its verbs. None of them needs a server.
func (p *program) keyCommand() *cobra.Command {
	key := verb("key", cobra.NoArgs, "key needs a verb: list, show, export, import or passphrase",
		func([]string) error {
			return flags.Usagef("key needs a verb: list, show, export, import or passphrase")
		})
	var newFile string
	passphrase := verb("passphrase", cobra.MaximumNArgs(1), "key passphrase takes one name",
		func(args []string) error {
			return p.work(func(ctx context.Context) error { return p.changePassphrase(ctx, args, newFile) })
		})
	passphrase.Flags().StringVar(&newFile, "new-passphrase-file", "", "file with the new passphrase")
	flags.Once(passphrase.Flags())
	key.AddCommand(passphrase,
		verb("list", cobra.NoArgs, "key list takes no arguments",
			func([]string) error { return p.work(func(context.Context) error { return p.listKeys() }) }),
		verb("show", cobra.MaximumNArgs(1), "key show takes one name",
			func(args []string) error {
				return p.work(func(ctx context.Context) error { return p.showKey(ctx, args) })
			}),
		verb("export", cobra.ExactArgs(2), "key export needs a name and a file to write",
			func(args []string) error {
				return p.work(func(context.Context) error { return p.exportKey(args[0], args[1]) })
			}),
		verb("import", cobra.RangeArgs(1, 2), "key import needs a file, and a name if the file does not tell it",
			func(args []string) error {
				return p.work(func(ctx context.Context) error { return p.importKey(ctx, args[0], args[1:]) })
			}),
	)
	key.SetHelpFunc(func(*cobra.Command, []string) { fmt.Fprint(p.out, keyUsage) })
	return key
}

// work runs a verb that may ask for a passphrase. A signal decides the exit code.
func (p *program) work(do func(context.Context) error) error {
	if done, err := p.about(); done || err != nil {
		return err
	}
	if done, err := p.shown(); done || err != nil {
		return err
	}
	ctx, end := signals(context.Background())
	defer end(context.Canceled)
	err := do(ctx)
	var usage flags.UsageError
	switch sig, stopped := context.Cause(ctx).(toldToStop); {
	case stopped:
		p.code = sig.code()
	case errors.As(err, &usage):
		return usage
	case err != nil:
		p.code = p.failed(err)
	}
	return nil
}

// keyPath is the file of a name's key.
func (p *program) keyPath(n chat.Name) (string, error) {
	if p.key != "" {
		return p.key, nil
	}
	dir := p.keyDir()
	if dir == "" {
		return "", chat.Errorf(chat.Arguments, "Without a home directory the key has to be named: --key FILE.")
	}
	return filepath.Join(dir, string(n.User())+keyfile.Ending), nil
}

// mine returns the name that a verb is for, and its key file: the given name, or the only one with a
// key.
func (p *program) mine(args []string) (chat.Name, string, error) {
	given := append(args, p.name)[0]
	if given == "" && p.key != "" {
		given = strings.TrimSuffix(filepath.Base(p.key), keyfile.Ending)
	}
	if given == "" {
		files, err := p.keyFiles()
		if err != nil || len(files) != 1 {
			return "", "", flags.Usagef("which name? There are %d keys; chatcli key list shows them", len(files))
		}
		given = nameOf(files[0])
	}
	n, err := chat.ParseName(given)
	if err != nil {
		return "", "", err
	}
	path, err := p.keyPath(n)
	return n, path, err
}

// keyFiles lists the key files of the data directory, by name.
func (p *program) keyFiles() ([]string, error) {
	dir := p.keyDir()
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, chat.Errorf(chat.Denied, "Cannot read %s: %v.", dir, private.Cause(err))
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), keyfile.Ending) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

func nameOf(path string) string { return strings.TrimSuffix(filepath.Base(path), keyfile.Ending) }

// listKeys prints a row for each key. A protected file does not show its key.
func (p *program) listKeys() error {
	files, err := p.keyFiles()
	if err != nil {
		return err
	}
	given, err := p.passphrase()
	if err != nil {
		return err
	}
	var failure error
	w, flush := p.table()
	defer flush()
	fmt.Fprintln(w, "Name\tLogin key\tIdentity\tPassphrase\tFile")
	for _, path := range files {
		_, sealed, err := keyfile.Load(path)
		if err != nil {
			fmt.Fprintf(p.err, "chatcli: %s\n", chat.CleanLine(err.Error()))
			failure = errors.New("some of the keys cannot be used")
			continue
		}
		name, login, identity := nameOf(path), "-", "-"
		if f, err := keyfile.Read(path, given); err == nil {
			login, identity = f.PublicLogin(), orNone(f.Fingerprint())
			if f.Name != "" {
				name = string(f.Name)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", chat.CleanLine(name), login, identity, yesNo(sealed), chat.CleanLine(path))
	}
	return failure
}

// table is where rows with tabs go: on a terminal they become columns.
func (p *program) table() (w io.Writer, flush func()) {
	if !p.out.Terminal() {
		return p.out, func() {}
	}
	columns := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	return columns, func() { columns.Flush() }
}

func orNone(s string) string {
	if s == "" {
		return "none yet"
	}
	return s
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (p *program) showKey(ctx context.Context, args []string) error {
	n, path, err := p.mine(args)
	if err != nil {
		return err
	}
	f, err := p.unlock(ctx, string(n), path)
	if err != nil {
		return err
	}
	if f.Name != "" {
		n = f.Name
	}
	w, flush := p.table()
	defer flush()
	fmt.Fprintf(w, "name\t%s\nlogin\t%s\nidentity\t%s\nfingerprint\t%s\npassphrase\t%s\nfile\t%s\n",
		n, f.PublicLogin(), orNone(f.PublicIdentity()), orNone(f.Fingerprint()), yesNo(f.Passphrase != ""), chat.CleanLine(path))
	return nil
}

// exportKey copies a key as it is, to the standard output or a new file.
func (p *program) exportKey(name, to string) error {
	n, path, err := p.mine([]string{name})
	if err != nil {
		return err
	}
	text, sealed, err := keyfile.Load(path)
	if err != nil {
		return missing(string(n), path, err)
	}
	if to == "-" {
		_, _ = p.out.Write(text) // p.out remembers a failure
		return nil
	}
	err = private.Create(to, text)
	if errors.Is(err, fs.ErrExist) {
		return chat.Errorf(chat.Arguments, "%s is there already; it was left as it is.", to)
	}
	if err != nil {
		return err
	}
	how := "It is protected by the passphrase of the key."
	if !sealed {
		how = "It has no passphrase: who can read it has the name. chatcli key passphrase protects a key."
	}
	fmt.Fprintf(p.out, "* The key of %s is in %s. %s\n", n, chat.CleanLine(to), how)
	return nil
}

// importKey takes a copy of a key for the name that it is of.
func (p *program) importKey(ctx context.Context, from string, args []string) error {
	text, sealed, err := p.loadKey(from)
	if err != nil {
		return err
	}
	n, err := p.importedName(ctx, from, text, sealed, args)
	if err != nil {
		return err
	}
	path, err := p.keyPath(n)
	if err != nil {
		return err
	}
	unlock, err := keyfile.Lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	err = private.Create(path, text)
	if errors.Is(err, fs.ErrExist) {
		if there, _, err := keyfile.Load(path); err != nil || !bytes.Equal(there, text) {
			return chat.Errorf(chat.Arguments, "There is another key of %s in %s; it was left as it is. Move it away to bring this one.", n, path)
		}
	} else if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "* The key of %s is in %s.\n", n, chat.CleanLine(path))
	return nil
}

// loadKey is keyfile.Load, of the standard input for "-".
func (p *program) loadKey(from string) (text []byte, sealed bool, err error) {
	if from != "-" {
		return keyfile.Load(from)
	}
	if text, err = io.ReadAll(io.LimitReader(p.in, private.Small)); err != nil {
		return nil, false, fmt.Errorf("read the key: %w", err)
	}
	text = private.Plain(text)
	sealed, err = keyfile.Check("from standard input", text)
	return text, sealed, err
}

// importedName is the name that a key is of. One that is protected is opened only if
// nothing else tells it.
func (p *program) importedName(ctx context.Context, from string, text []byte, sealed bool, args []string) (chat.Name, error) {
	var in chat.Name
	switch {
	case !sealed:
		k, err := keyfile.Parse(text)
		if err != nil {
			return "", err
		}
		in = k.Name
	case len(args) == 0 && from != "-": // standard input has the key, so nobody can be asked for the passphrase there
		f, err := p.unlock(ctx, chat.CleanLine(from), from)
		if err != nil {
			return "", err
		}
		in = f.Name
	}
	if len(args) == 0 {
		if in == "" {
			return "", flags.Usagef("that file does not tell whose key it holds: chatcli key import FILE NAME")
		}
		return in, nil
	}
	n, err := chat.ParseName(args[0])
	if err == nil && in != "" && in.User() != n.User() {
		err = chat.Errorf(chat.ForeignKey, "That is the key of %s, not of %s; nothing was written.", in, n)
	}
	return n, err
}

// missing returns the error for a name without a key.
func missing(n, path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return chat.Errorf(chat.Denied, "There is no key of %s: %s is not there.", n, path)
	}
	return err
}
