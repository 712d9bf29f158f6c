package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"natter/chat"
	"natter/client"
	"natter/internal/flags"
)

func (p *program) rotateCommand() *cobra.Command {
	return verb("rotate", cobra.MaximumNArgs(1), "rotate takes one name",
		func(args []string) error {
			return p.work(func(ctx context.Context) error { return p.rotate(ctx, args) })
		})
}

// rotate changes the login key of a name, at the server and in its file.
func (p *program) rotate(ctx context.Context, args []string) error {
	if err := p.settle(); err != nil {
		return err
	}
	n, path, err := p.mine(args)
	if err != nil {
		return err
	}
	f, err := p.unlock(ctx, string(n), path)
	if err != nil {
		return err
	}
	logger, closeLog, err := flags.Logger(p.logFile, p.logLevel.Value)
	if err != nil {
		return err
	}
	defer closeLog()
	cfg, err := p.reach(logger)
	if err != nil {
		return err
	}
	cfg.KeyFile, cfg.Passphrase, cfg.Name = path, f.Passphrase, string(n)
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	backup, err := c.Rotate(ctx, string(n))
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "* The login key of %s is changed. Copies of the former one are no longer valid for %s.\n", n, c.Server())
	if backup != "" {
		fmt.Fprintf(p.out, "* The former one is in %s: other servers where the name is yours still want it.\n", chat.CleanLine(backup))
	}
	return nil
}
