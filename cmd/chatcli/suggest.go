package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// suggest adds completions for contexts and for names with a key.
func (p *program) suggest(root *cobra.Command) {
	for verb, words := range map[string]func() []string{
		"context use": contextNames, "context rm": contextNames,
		"key show": p.keyNames, "key export": p.keyNames, "key passphrase": p.keyNames, "rotate": p.keyNames,
	} {
		cmd, _, err := root.Find(strings.Fields(verb))
		if err != nil {
			continue // no such verb: completion has one suggestion less
		}
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return words(), cobra.ShellCompDirectiveNoFileComp
		}
	}
	root.ValidArgsFunction = cobra.NoFileCompletions
}

func contextNames() (names []string) {
	store, err := contextStore()
	if err != nil {
		return nil
	}
	set, err := store.Load()
	if err != nil {
		return nil
	}
	for _, c := range set.Contexts {
		names = append(names, c.Name)
	}
	return names
}

func (p *program) keyNames() (names []string) {
	files, err := p.keyFiles()
	if err != nil {
		return nil
	}
	for _, f := range files {
		names = append(names, nameOf(f))
	}
	return names
}
