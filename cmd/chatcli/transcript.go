package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"natter/chat"
	"natter/internal/flags"
	"natter/internal/private"
	"natter/internal/ui"
	"natter/session/transcript"
)

// transcripts are the verbs for transcripts. None of them needs a server.
func (p *program) transcripts() *cobra.Command {
	all := &cobra.Command{
		Use: "transcript",
		RunE: func(*cobra.Command, []string) error {
			return flags.Usagef("transcript needs one of list, show, search, export")
		},
	}
	all.AddCommand(
		verb("list", cobra.NoArgs, "transcript list takes no arguments", func([]string) error {
			return p.reading(func(t ui.Transcripts) error {
				w, flush := p.table()
				defer flush()
				t.Out = w
				return t.List()
			})
		}),
		verb("show", cobra.ExactArgs(1), "transcript show needs an ID or a FILE", func(args []string) error {
			return p.reading(func(t ui.Transcripts) error { return t.Show(args[0]) })
		}),
		p.search(), p.export(),
	)
	return all
}

func (p *program) search() *cobra.Command {
	var with string
	var since day
	cmd := verb("search", cobra.MinimumNArgs(1), "transcript search needs at least one word", func(words []string) error {
		return p.reading(func(t ui.Transcripts) error {
			found, err := t.Search(ui.Search{Words: words, With: with, Since: time.Time(since)})
			if err == nil && found == 0 {
				return errors.New("nothing was found")
			}
			return err
		})
	})
	cmd.Flags().StringVar(&with, "with", "", "only chats with this user")
	cmd.Flags().Var(&since, "since", "only messages of this day and later")
	flags.Once(cmd.Flags())
	return cmd
}

func (p *program) export() *cobra.Command {
	format := flags.Choice{Value: "text", Among: ui.ExportFormats}
	var file string
	cmd := verb("export", cobra.ExactArgs(1), "transcript export needs an ID, a FILE or all", func(args []string) error {
		return p.reading(func(t ui.Transcripts) error {
			if file == "" || file == "-" {
				return t.Export(args[0], format.Value)
			}
			return intoFile(file, func(out io.Writer) error {
				t.Out = out
				return t.Export(args[0], format.Value)
			})
		})
	})
	cmd.Flags().Var(&format, "format", "of the export")
	cmd.Flags().StringVarP(&file, "output", "o", "", "instead of the standard output")
	flags.Once(cmd.Flags())
	return cmd
}

// intoFile writes a new file that only its owner can read. It removes an incomplete file.
func intoFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, private.Cause(err))
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(name)
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) && failed.Path == name {
		err = fmt.Errorf("cannot write %s: %w; nothing of it was kept", name, failed.Err)
	}
	return err
}

// reading runs a function on the transcripts, and prints its error in one line.
func (p *program) reading(do func(ui.Transcripts) error) error {
	if done, err := p.about(); done || err != nil {
		return err
	}
	if done, err := p.shown(); done || err != nil {
		return err
	}
	if p.transcript == "" {
		return flags.Usagef("where are the transcripts? --transcript DIR or CHATCLI_TRANSCRIPT")
	}
	return plainly(do(ui.Transcripts{Dir: p.transcript, Out: p.out, Err: p.err}))
}

// plainly turns a sentence into the rest of a line.
func plainly(err error) error {
	if e := (*chat.Error)(nil); errors.As(err, &e) {
		return errors.New(strings.TrimSuffix(chat.CleanLine(e.Text), "."))
	}
	return err
}

// keeper returns the writer of transcripts, if they are wanted.
func (p *program) keeper() (*transcript.Keeper, error) {
	if p.transcript == "" {
		return nil, nil
	}
	k, err := transcript.Open(p.transcript)
	return k, plainly(err)
}

// day is a flag that is a date.
type day time.Time

// String implements pflag.Value.
func (d *day) String() string {
	if time.Time(*d).IsZero() {
		return ""
	}
	return time.Time(*d).Format(time.DateOnly)
}

// Type implements pflag.Value.
func (d *day) Type() string { return "date" }

// Set implements pflag.Value.
func (d *day) Set(value string) error {
	t, err := time.ParseInLocation(time.DateOnly, value, time.Local)
	if err != nil {
		return fmt.Errorf("%q is not a date, for example 2026-01-31", value)
	}
	*d = day(t)
	return nil
}
