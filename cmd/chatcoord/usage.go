package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// width is how wide help is at most.
const width = 80

// help is what -h prints, of chatcoord or of a verb.
func help(cmd *cobra.Command) string {
	var b strings.Builder
	if !cmd.HasParent() {
		fmt.Fprintln(&b, "Usage: chatcoord [flags]         serve")
		fmt.Fprintln(&b, "       chatcoord VERB [flags]    a verb; chatcoord VERB --help says more")
		fmt.Fprintln(&b, "\nVerbs:")
		for _, verb := range cmd.Commands() {
			if verb.Short != "" {
				fmt.Fprintf(&b, "  %-11s %s\n", verb.Name(), verb.Short)
			}
		}
		for _, g := range serving {
			fs := pflag.NewFlagSet("", pflag.ContinueOnError)
			fs.SortFlags = false
			c := &config{}
			g.add(c, fs)
			c.finish(fs)
			fmt.Fprintf(&b, "\n%s:\n%s", g.title, fs.FlagUsagesWrapped(width))
		}
	} else {
		fmt.Fprintf(&b, "Usage: chatcoord %s [flags]\n\n", cmd.Use)
		if cmd.Long != "" {
			fmt.Fprintf(&b, "%s\n\n", cmd.Long)
		}
		fmt.Fprintf(&b, "Flags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(width))
	}
	fmt.Fprintln(&b, "\nEnvironment variables set flags, too: CHATCOORD_DATA_DIR is --data-dir.")
	return b.String()
}
