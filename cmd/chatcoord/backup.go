package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/backup"
	"natter/internal/flags"
	"natter/internal/private"
	"natter/internal/setup"
)

// secretFlags say how a backup is encrypted, or decrypted.
type secretFlags struct {
	encrypt, dryRun, again     bool
	passphraseFile, identities string
	recipients                 string // with commas
}

func (p *program) backupVerb() *cobra.Command {
	var f secretFlags
	return p.fileVerb(verb{
		use: "backup FILE", short: "write a backup into a file, while everything runs", least: 1,
		flags: []func(*config, *pflag.FlagSet){(*config).keyFlags},
		own: func(fs *pflag.FlagSet) {
			fs.BoolVar(&f.encrypt, "encrypt", false, "with a passphrase that is asked for")
			fs.StringVar(&f.passphraseFile, "passphrase-file", "", "encrypt with the passphrase in this `file`")
			fs.StringVar(&f.recipients, "recipient", "", "encrypt to these public `keys` of age, with commas")
		},
	}, func(ctx context.Context, file string) error { return p.backup(ctx, file, f) })
}

func (p *program) restoreVerb() *cobra.Command {
	var f secretFlags
	return p.fileVerb(verb{
		use: "restore FILE", short: "restore a backup where there is no state", least: 1,
		flags: []func(*config, *pflag.FlagSet){(*config).keyFlags},
		own: func(fs *pflag.FlagSet) {
			f.forReading(fs)
			fs.BoolVar(&f.dryRun, "dry-run", false, "only check, and say what would be done")
			fs.BoolVar(&f.again, "again", false, "also after an interrupted restore: remove what it has left")
		},
	}, func(ctx context.Context, file string) error {
		if err := f.checkReading(); err != nil {
			return err
		}
		return p.restore(ctx, file, f)
	})
}

func (p *program) verifyVerb() *cobra.Command {
	var f secretFlags
	return p.fileVerb(verb{
		use: "verify [FILE]", short: "check a backup or, without FILE, the data directory",
		flags: []func(*config, *pflag.FlagSet){(*config).dirFlag},
		own:   f.forReading,
	}, func(_ context.Context, file string) error {
		if err := f.checkReading(); err != nil {
			return err
		}
		return p.verify(file, f)
	})
}

// checkReading finds contradictions before a file is opened.
func (f *secretFlags) checkReading() error {
	if f.identities != "" && f.passphraseFile != "" {
		return flags.Usagef("--identity is a key, --passphrase-file a passphrase: choose one")
	}
	return nil
}

func (f *secretFlags) forReading(fs *pflag.FlagSet) {
	fs.StringVar(&f.passphraseFile, "passphrase-file", "", "the passphrase is in this `file`")
	fs.StringVar(&f.identities, "identity", "", "the private key of age is in this `file`")
}

// fileVerb is a verb with the name of a file, which may be missing if least is 0.
func (p *program) fileVerb(v verb, do func(ctx context.Context, file string) error) *cobra.Command {
	v.most, v.needs = 1, "the name of one file"
	v.run = func(ctx context.Context, args []string) error {
		if len(args) > 0 && args[0] == "-" {
			return flags.Usagef("a backup holds keys and is a file: name one instead of -")
		}
		return do(ctx, append(args, "")[0]) // each answer has its own limit: a large state takes long
	}
	return p.command(v)
}

// backup writes a backup of a running installation.
func (p *program) backup(ctx context.Context, file string, f secretFlags) error {
	if _, err := os.Lstat(file); err == nil {
		return private.Errorf(private.ErrFile, "%s is there already; nothing was changed. Name another file.", file)
	}
	for _, left := range backup.Left(file) {
		fmt.Fprintf(p.err, "chatcoord: %s is of a backup that was cut short, or is under way; it may hold keys. Remove it if no other backup runs.\n", left)
	}
	nc, err := p.storing()
	if err != nil {
		return err
	}
	defer nc.Close()
	var files map[string][]byte
	if p.keys == "" {
		if files, err = embedded.Belongings(p.dataDir); err != nil {
			return err
		}
	}
	recipients, err := f.readers(p)
	if err != nil {
		return err
	}
	var saved *backup.Contents
	err = backup.Create(file, recipients, func(w io.Writer) (err error) {
		saved, err = backup.Save(ctx, w, nc, files)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Wrote %s: %s.\n", file, describe(saved))
	if len(recipients) == 0 && len(files) > 0 {
		fmt.Fprintln(p.out, "It holds the keys of this installation and is not encrypted: who reads it can be the server. Keep it safe.")
	}
	return nil
}

// storing connects to the NATS server as a coordinator that stores.
func (p *program) storing() (*nats.Conn, error) {
	keys, err := p.examined()
	if err != nil {
		return nil, err
	}
	secured, err := p.secured()
	if err != nil {
		return nil, err
	}
	return keys.Dial(p.server, setup.Store, append(secured, nats.MaxReconnects(0))...)
}

func describe(c *backup.Contents) string {
	n, keys := c.Accounts(), ""
	if len(c.Files) > 0 {
		keys = " and the keys of the installation"
	}
	accounts := fmt.Sprintf("%d accounts", n)
	if n == 1 {
		accounts = "1 account"
	}
	return fmt.Sprintf("%s%s, as of %s, by chatcoord %s", accounts, keys, when(c.At), c.Release)
}

// restore restores a backup into an empty data directory, or an existing NATS server without our
// streams.
func (p *program) restore(ctx context.Context, file string, f secretFlags) error {
	c, err := backup.Open(file, func() ([]age.Identity, error) { return f.keys(p) })
	if err != nil {
		return err
	}
	if p.keys == "" && p.given("server") {
		return flags.Usagef("--server needs --keys: restoring into an existing NATS takes its keys; what is embedded is restored into --data-dir, while nothing runs there")
	}
	into := "the data directory " + p.dataDir
	if p.keys != "" {
		into = "the NATS server " + p.server
		err = p.restoreExternal(ctx, c, f)
	} else if err = backup.EmptyDir(p.dataDir, f.again); err == nil && !f.dryRun {
		err = c.IntoDir(ctx, p.dataDir, f.again)
	}
	switch {
	case err != nil:
		return err
	case f.dryRun:
		fmt.Fprintf(p.out, "%s is whole: %s. It would go into %s, which is empty. Nothing was changed.\n", file, describe(c), into)
	default:
		fmt.Fprintf(p.out, "Restored into %s: %s. Who registered later is unknown and registers again; chats that were open have ended.\n", into, describe(c))
	}
	return nil
}

func (p *program) restoreExternal(ctx context.Context, c *backup.Contents, f secretFlags) error {
	nc, err := p.storing()
	if err != nil {
		return err
	}
	defer nc.Close()
	if f.dryRun && !f.again {
		return backup.Empty(ctx, nc)
	}
	if f.dryRun {
		return nil
	}
	return c.Into(ctx, nc, f.again)
}

// verify checks a backup or, without one, a data directory that is not in use.
func (p *program) verify(file string, f secretFlags) error {
	if file == "" {
		log := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if err := embedded.Verify(p.dataDir, log); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "The state in %s is whole: nothing is missing or damaged.\n", p.dataDir)
		return nil
	}
	c, err := backup.Open(file, func() ([]age.Identity, error) { return f.keys(p) })
	if err == nil {
		fmt.Fprintf(p.out, "%s is whole: %s.\n", file, describe(c))
	}
	return err
}

// readers returns the recipients of a backup; none: it is not encrypted.
func (f *secretFlags) readers(p *program) ([]age.Recipient, error) {
	if f.encrypt || f.passphraseFile != "" {
		if f.recipients != "" {
			return nil, flags.Usagef("--recipient encrypts to a key, --encrypt and --passphrase-file with a passphrase: choose one")
		}
		text, err := f.passphrase(p, true)
		if err != nil {
			return nil, err
		}
		r, err := age.NewScryptRecipient(text)
		return []age.Recipient{r}, err
	}
	if f.recipients == "" {
		return nil, nil
	}
	all, err := age.ParseRecipients(strings.NewReader(strings.ReplaceAll(f.recipients, ",", "\n")))
	if err != nil {
		return nil, flags.Usagef("--recipient: %q is not a public key of age, which begins with age1", chat.CleanLine(f.recipients))
	}
	return all, nil
}

// keys returns the keys that decrypt a backup.
func (f *secretFlags) keys(p *program) ([]age.Identity, error) {
	if f.identities != "" {
		text, err := private.ReadText("identity", f.identities, private.Small)
		if err != nil {
			return nil, err
		}
		ids, err := age.ParseIdentities(bytes.NewReader(text))
		if err != nil {
			return nil, private.Errorf(private.ErrFile, "The file %s does not hold a private key of age.", f.identities)
		}
		return ids, nil
	}
	text, err := f.passphrase(p, false)
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(text)
	return []age.Identity{id}, err
}

// passphrase reads it from its file, or asks for it: a new one twice.
func (f *secretFlags) passphrase(p *program, newOne bool) (string, error) {
	if f.passphraseFile != "" {
		text, err := private.Read("passphrase file", f.passphraseFile, private.Small)
		line := private.FirstLine(text)
		if err == nil && line == "" {
			err = private.Errorf(private.ErrFile, "The file %s holds no passphrase.", f.passphraseFile)
		}
		return line, err
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", chat.Errorf(chat.Denied, "This needs a passphrase or a key, and there is no terminal to ask at. Use --passphrase-file FILE, or --identity FILE for a key.")
	}
	text, err := p.askSecret("Passphrase of the backup: ")
	if err == nil && newOne {
		var again string
		if again, err = p.askSecret("The same again: "); err == nil && again != text {
			err = chat.Errorf(chat.Arguments, "The two are not the same. Nothing was written.")
		}
	}
	if err == nil && text == "" {
		err = chat.Errorf(chat.Arguments, "There is no passphrase. Nothing was done.")
	}
	return text, err
}

func (p *program) askSecret(prompt string) (string, error) {
	fmt.Fprint(p.err, prompt)
	text, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(p.err)
	return string(text), err
}
