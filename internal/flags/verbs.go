package flags

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Shells are those that Complete knows.
var Shells = []string{"bash", "zsh", "fish", "powershell"}

// Complete writes a completion script for a program.
func Complete(out io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(out)
	}
	return root.GenBashCompletionV2(out, true)
}

// AddAbout adds the verbs help, version and completion to a program that has all its other
// ones, and lets completion suggest the values of its flags.
func AddAbout(root *cobra.Command, out io.Writer, version string) {
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(out)
	plain := func(*cobra.Command, []string) error { return nil } // whatever the environment says
	root.SetHelpCommand(&cobra.Command{
		Use: "help", Short: "print help, also of a verb", PersistentPreRunE: plain,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, _, err := root.Find(args)
			if err != nil {
				cmd = root
			}
			return cmd.Help()
		},
	})
	root.AddCommand(
		&cobra.Command{
			Use: "version", Short: "print the version", PersistentPreRunE: plain,
			Args: complain(cobra.NoArgs, "version takes no arguments"),
			RunE: func(*cobra.Command, []string) error { _, err := fmt.Fprintln(out, version); return err },
		},
		&cobra.Command{
			Use: "completion", Short: "print a completion script: bash, zsh, fish or powershell", ValidArgs: Shells, PersistentPreRunE: plain,
			Args: complain(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), "completion needs one of "+strings.Join(Shells, ", ")),
			RunE: func(_ *cobra.Command, args []string) error { return Complete(out, root, args[0]) },
		},
	)
	suggestValues(root)
}

func complain(args cobra.PositionalArgs, complaint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if args(cmd, given) != nil {
			return Usagef("%s", complaint)
		}
		return nil
	}
}

// suggestValues registers what completion offers behind a flag that is one of a few words.
func suggestValues(cmd *cobra.Command) {
	suggest := func(f *pflag.Flag) {
		if s, ok := f.Value.(*Single); ok {
			if c, ok := s.Value.(*Choice); ok {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(c.Among, cobra.ShellCompDirectiveNoFileComp)) // fails for a second time
			}
		}
	}
	cmd.PersistentFlags().VisitAll(suggest)
	cmd.Flags().VisitAll(suggest)
	for _, verb := range cmd.Commands() {
		suggestValues(verb)
	}
}

// Verbs lists the verbs of a program.
func Verbs(root *cobra.Command) []string {
	names := []string{"help"}
	for _, verb := range root.Commands() {
		if !verb.Hidden && !slices.Contains(names, verb.Name()) {
			names = append(names, verb.Name())
		}
	}
	return names
}

// NearVerb finds the verb that a word which is none was probably meant for, several with "or"
// between, or "". It is stricter than Nearest, because the word may be a username, as lisa and
// john are: another case, two letters swapped, one too many or too few; in long verbs also a
// wrong one, of short ones the plural.
func NearVerb(word string, verbs []string) string {
	lower := strings.ToLower(word)
	switch {
	case slices.Contains(verbs, word):
		return ""
	case slices.Contains(verbs, lower):
		return lower
	}
	var near []string
	for _, verb := range verbs {
		switch short := len(verb) < 4; {
		case distance(lower, verb) > 1, short && len(word) != len(verb) && lower != verb+"s":
		case len(word) != len(verb), len(verb) > 4, swapped(lower, verb):
			near = append(near, verb)
		}
	}
	return strings.Join(near, " or ")
}

// swapped reports whether two words of one length have the same letters.
func swapped(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}
