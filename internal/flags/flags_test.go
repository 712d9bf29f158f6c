package flags_test

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/spf13/pflag"

	"natter/internal/flags"
)

func TestNearest(t *testing.T) {
	words := []string{"list", "listen", "log-file", "log-level", "key", "init", "invite"}
	for word, want := range map[string]string{
		"lsit": "list", "lst": "list", "lo-file": "log-file", "log-levle": "log-level",
		"kye": "key", "xyz": "", "q": "", "": "", "invit": "invite", "inti": "init", "log-": "",
	} {
		if got := flags.Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for value, want := range map[string]string{
		"16384": "16KB", "16KB": "16KB", "1mb": "1MB", "300B": "300B",
		"":   `"" is not a size: a number and B, KB, MB or GB, for example 16KB`,
		"x":  `"x" is not a size: a number and B, KB, MB or GB, for example 16KB`,
		"-1": "-1 is not between 256B and 1MB", "2MB": "2MB is not between 256B and 1MB",
		"9223372036854775807GB": "9223372036854775807GB is not between 256B and 1MB",
	} {
		s := flags.Size{Least: 256, Most: 1 << 20}
		got := ""
		if err := s.Set(value); err != nil {
			got = err.Error()
		} else {
			got = s.String()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}

// TestEnvironment: a variable is yes or no in all the usual words, an error names it, and none
// asks for help or the version.
func TestEnvironment(t *testing.T) {
	set := func(name, value string) (*pflag.FlagSet, error) {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		fs.Bool("echo", false, "")
		fs.Bool("version", false, "")
		flags.Once(fs)
		return fs, flags.BindEnv(fs, "X_", map[string]string{"echo": "ECHOES"}, func(asked string) (string, bool) { return value, asked == name })
	}
	for value, want := range map[string]string{
		"1": "true", "yes": "true", "Y": "true", "ON": "true", "True": "true",
		"0": "false", "no": "false", "n": "false", "off": "false", "FALSE": "false", "": "false",
	} {
		if fs, err := set("X_ECHO", value); err != nil || fs.Lookup("echo").Value.String() != want {
			t.Errorf("%q is %s, %v", value, fs.Lookup("echo").Value, err)
		}
	}
	for _, name := range []string{"X_ECHO", "ECHOES"} {
		want := name + `: "maybe" is neither true nor false`
		if _, err := set(name, "maybe"); err == nil || err.Error() != want || !errors.As(err, &flags.UsageError{}) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if fs, err := set("X_VERSION", "0.1.0"); err != nil || fs.Lookup("version").Value.String() != "false" {
		t.Errorf("the version is asked for: %v", err)
	}
}

// TestSources: a sentence about flags says which variables set them.
func TestSources(t *testing.T) {
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	fs.String("http", "", "")
	fs.String("tls-cert", "", "")
	fs.String("keys", "", "")
	flags.Once(fs)
	values := map[string]string{"X_HTTP": "foo", "X_TLS_CERT": "c"}
	if err := flags.BindEnv(fs, "X_", nil, func(name string) (string, bool) { v, ok := values[name]; return v, ok }); err != nil {
		t.Fatal(err)
	}
	for sentence, want := range map[string]string{
		`--http: "foo" is not an address`:       " (--http comes from X_HTTP)",
		"--http, --http:0, and --tls-cert=c":    " (--http comes from X_HTTP, --tls-cert comes from X_TLS_CERT)",
		"X_HTTP: wrong, --keys DIR, http --htt": "",
	} {
		if got := flags.Sources(fs, sentence); got != want {
			t.Errorf("%s: %q, want %q", sentence, got, want)
		}
	}
}

func TestNearVerb(t *testing.T) {
	verbs := []string{"help", "join", "key", "list", "listen", "send"}
	for word, want := range map[string]string{
		"lsit": "list", "lst": "list", "liist": "list", "List": "list", "kye": "key", "KEY": "key", "listem": "listen", "lisn": "", "snd": "send",
		"listn": "list or listen", "keys": "key", "KEYS": "key", "keyz": "",
		"list": "", "lisa": "", "john": "", "ken": "", "kay": "", "ke": "", "alice": "", "": "",
	} {
		if got := flags.NearVerb(word, verbs); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// takes is a writer that takes so many writes, and then none.
type takes int

func (n *takes) Write(b []byte) (int, error) {
	if *n--; *n < 0 {
		return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: errors.New("full")}
	}
	return len(b), nil
}

// TestOutput: the first failure is remembered, told once, and ends with another code than 0.
func TestOutput(t *testing.T) {
	room := takes(1)
	out, calls := flags.NewOutput(&room), 0
	out.OnFailure(func() { calls++ })
	if _, err := io.WriteString(out, "x"); err != nil || out.Err() != nil || calls != 0 {
		t.Fatalf("%v, %v, %d", err, out.Err(), calls)
	}
	_, err := io.WriteString(out, "y")
	_, again := io.WriteString(out, "z")
	if err == nil || again == nil || calls != 1 || !out.Caused(err) || out.Caused(errors.New("full")) {
		t.Errorf("%v, %v, %d", err, again, calls)
	}
	for code, want := range map[int]int{flags.ExitOK: flags.ExitFailure, flags.ExitRefused: flags.ExitRefused, 130: 130} {
		said := ""
		if got := out.End(code, func(lost error) { said = lost.Error() }); got != want || (said == "cannot write to standard output: full") != (code < 128) {
			t.Errorf("%d: %d, %q", code, got, said)
		}
	}
	out.OnFailure(func() { calls++ })
	if calls != 2 {
		t.Error("a failure that was before is not told")
	}
	fine := flags.NewOutput(io.Discard)
	if got := fine.End(flags.ExitOK, nil); got != flags.ExitOK || fine.Err() != nil || fine.Caused(nil) {
		t.Error(got, fine.Err())
	}
}
