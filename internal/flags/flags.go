// Package flags is what the command lines of both programs have in common: values that
// check themselves, the environment, and one sentence for everything that is wrong.
//
// Each flag may be given once. What is not given is taken from the environment, under
// the program's prefix and the flag's name, and otherwise has its default; every value
// knows where it came from.
package flags

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// UsageError is a wrong command line: one line that says so, and exit code 2.
type UsageError struct{ error }

// Usage makes a UsageError of an error.
func Usage(err error) error { return UsageError{err} }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Unwrap returns what is wrong.
func (u UsageError) Unwrap() error { return u.error }

// Single is a value that may be given once, and knows where it came from.
type Single struct {
	pflag.Value
	given bool
	from  string // the variable of the environment
}

var errTwice = errors.New("given twice")

// Once makes every flag of a set one that may be given once.
func Once(fs *pflag.FlagSet) {
	fs.VisitAll(func(f *pflag.Flag) { f.Value = &Single{Value: f.Value} })
}

// Set takes the value from the command line.
func (s *Single) Set(value string) error {
	if s.given {
		return errTwice
	}
	s.given, s.from = true, ""
	return s.take(value)
}

// take sets the value. Of what is yes or no, all the usual words are understood.
func (s *Single) take(value string) error {
	if s.Type() != "bool" {
		return s.Value.Set(value)
	}
	switch strings.ToLower(value) {
	case "1", "t", "true", "y", "yes", "on":
		return s.Value.Set("true")
	case "0", "f", "false", "n", "no", "off":
		return s.Value.Set("false")
	}
	return fmt.Errorf("%q is neither true nor false", value)
}

// Adopt takes the value from another place, which a later Origin names.
func (s *Single) Adopt(value, from string) error {
	s.from = from
	return s.take(value)
}

// Origin is where the value came from: flag, default, or a variable's name.
func (s *Single) Origin() string {
	switch {
	case s.given:
		return "flag"
	case s.from != "":
		return s.from
	}
	return "default"
}

// BindEnv sets every flag that was not given from prefix and its name in capitals, or
// from the other variables that are named for it. A variable that is empty says nothing, and
// none asks for help, the version and the like.
func BindEnv(fs *pflag.FlagSet, prefix string, others map[string]string, lookup func(string) (string, bool)) error {
	var failure error
	fs.VisitAll(func(f *pflag.Flag) {
		if about[f.Name] {
			return
		}
		names := []string{prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))}
		if other := others[f.Name]; other != "" {
			names = append(names, other)
		}
		v, ours := f.Value.(*Single)
		if !ours { // of a command that cobra has made, as for completions
			return
		}
		for _, name := range names {
			value, ok := lookup(name)
			if !ok || value == "" || f.Changed || v.from != "" {
				continue
			}
			v.from = name
			if err := v.take(value); err != nil && failure == nil {
				failure = UsageError{fmt.Errorf("%s: %w", name, err)}
			}
		}
	})
	return failure
}

// Sources is what a sentence about wrong flags has to add: which variables set those that it
// names. It is "" if none did.
func Sources(fs *pflag.FlagSet, sentence string) string {
	var said []string
	for _, word := range strings.FieldsFunc(sentence, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }) {
		name, long := strings.CutPrefix(word, "--")
		if f := fs.Lookup(name); long && f != nil {
			if v, ours := f.Value.(*Single); ours && v.from != "" {
				said = append(said, fmt.Sprintf("%s comes from %s", word, v.from))
			}
		}
	}
	if len(said) == 0 {
		return ""
	}
	slices.Sort(said)
	return " (" + strings.Join(slices.Compact(said), ", ") + ")"
}

// Problem says what is wrong with a command line.
func Problem(fs *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &invalid) && errors.Is(err, errTwice):
		return Usagef("--%s is given twice", invalid.GetFlag().Name)
	case errors.As(err, &invalid):
		return UsageError{fmt.Errorf("--%s: %w", invalid.GetFlag().Name, cmp.Or(invalid.Unwrap(), err))}
	case errors.As(err, &missing):
		return Usagef("--%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		return unknownFlag(fs, unknown)
	}
	return UsageError{err}
}

func unknownFlag(fs *pflag.FlagSet, unknown *pflag.NotExistError) error {
	name := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		return Usagef("unknown flag -%s", name)
	}
	var all []string
	fs.VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	if near := Nearest(name, all); near != "" {
		return Usagef("unknown flag --%s, did you mean --%s?", name, near)
	}
	return Usagef("unknown flag --%s", name)
}

// about are the flags that are no configuration.
var about = map[string]bool{"completion": true, "help": true, "print-config": true, "version": true}

// Print writes every flag, its value as show has it, and where it came from, with tabs
// between them.
func Print(out io.Writer, fs *pflag.FlagSet, show func(name, value string) string) {
	fs.VisitAll(func(f *pflag.Flag) {
		if !about[f.Name] {
			fmt.Fprintf(out, "%s\t%s\t%s\n", f.Name, show(f.Name, f.Value.String()), f.Value.(*Single).Origin())
		}
	})
}
