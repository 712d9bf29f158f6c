package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"natter/internal/flags"
	"natter/internal/setup"
)

// initFlags are those of init alone.
type initFlags struct {
	external, again   bool
	out, hosts, store string
	nodes             flags.Choice
}

// initVerb writes an installation for a NATS server that is not ours.
func (p *program) initVerb() *cobra.Command {
	f := initFlags{nodes: flags.Choice{Value: "1", Among: []string{"1", "3"}}}
	return p.command(verb{
		use: "init", short: "write the keys and configuration that an existing NATS needs",
		own: func(fs *pflag.FlagSet) {
			fs.BoolVar(&f.external, "external", false, "for a NATS server that is not embedded")
			fs.BoolVar(&f.again, "again", false, "also after an interrupted init: remove what it has left")
			fs.StringVar(&f.out, "out", "", "`directory` to be made")
			fs.Var(&f.nodes, "nodes", "number of NATS servers")
			fs.StringVar(&f.hosts, "hosts", "", "their addresses: `HOST[:PORT]`, separated by commas (default this computer)")
			fs.StringVar(&f.store, "store", "", "`directory` where they keep their state (default data in --out)")
		},
		run: func(context.Context, []string) error { return p.init(f) },
	})
}

func (p *program) init(f initFlags) error {
	switch {
	case !f.external:
		return flags.Usagef("the embedded server sets itself up; init --external --out DIR writes what an existing NATS needs")
	case f.out == "":
		return flags.Usagef("init needs a directory to write: --out DIR")
	}
	plan := setup.Plan{Dir: f.out, Nodes: int(f.nodes.Value[0] - '0'), Store: f.store, Again: f.again}
	if f.hosts != "" {
		for part := range strings.SplitSeq(f.hosts, ",") {
			h, err := setup.ParseHost(strings.TrimSpace(part))
			if err != nil {
				return err
			}
			plan.Hosts = append(plan.Hosts, h)
		}
	}
	made, err := setup.Init(plan)
	if err != nil {
		return err
	}
	readme := filepath.Join(f.out, "README.txt")
	if !made {
		fmt.Fprintf(p.out, "The installation in %s is there and complete; nothing was changed. %s says which file goes where.\n", f.out, readme)
		return nil
	}
	fmt.Fprintf(p.out, "Wrote %s. %s says which file goes where. Keep a copy in a safe place.\n", f.out, readme)
	return nil
}
