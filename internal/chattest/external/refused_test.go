package external_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestWhyNot starts coordinators that cannot serve, and reads what they say.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	in, other := plan(t, 1).run(), plan(t, 1)
	missing := plan(t, 1)
	if err := os.Remove(filepath.Join(missing.dir, "tap.creds")); err != nil {
		t.Fatal(err)
	}
	damaged := plan(t, 1)
	write(t, filepath.Join(damaged.dir, "signing.nk"), "no key\n")
	wide := plan(t, 1)
	if err := os.Chmod(filepath.Join(wide.dir, "store.creds"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"not reachable":     {[]string{"--server", other.urls, "--keys", other.dir}, 5, "Cannot reach " + other.urls},
		"credentials":       {[]string{"--server", in.urls, "--keys", other.dir}, 4, "does not accept the credentials"},
		"no directory":      {[]string{"--server", in.urls, "--keys", filepath.Join(in.dir, "none")}, 3, "none"},
		"a file is missing": {[]string{"--server", in.urls, "--keys", missing.dir}, 3, "tap.creds is missing"},
		"a file is damaged": {[]string{"--server", in.urls, "--keys", damaged.dir}, 3, "signing.nk is damaged"},
		"a file is wide":    {[]string{"--server", in.urls, "--keys", wide.dir}, 3, "chmod 600"},
		"no keys":           {[]string{"--server", in.urls}, 2, "--keys"},
		"a listener":        {[]string{"--server", in.urls, "--keys", in.dir, "--listen", "127.0.0.1:1"}, 2, "--listen"},
		"a data directory":  {[]string{"--server", in.urls, "--keys", in.dir, "--data-dir", "x"}, 2, "--data-dir"},
		"ephemeral":         {[]string{"--server", in.urls, "--keys", in.dir, "--ephemeral"}, 2, "--ephemeral"},
		"init again":        {[]string{"init", "--external", "--out", in.dir}, 0, "nothing was changed"},
		"init of three":     {[]string{"init", "--external", "--out", in.dir, "--nodes", "3"}, 3, "another number"},
		"init of the rest":  {[]string{"init", "--external", "--out", missing.dir}, 3, "tap.creds missing"},
		"init of two":       {[]string{"init", "--external", "--out", "x", "--nodes", "2"}, 2, "--nodes"},
		"init of nothing":   {[]string{"init", "--external"}, 2, "--out"},
		"init, embedded":    {[]string{"init", "--out", "x"}, 2, "--external"},
		"doctor, keys":      {[]string{"doctor", "--keys", missing.dir}, 3, "tap.creds is missing"},
		"doctor, nothing":   {[]string{"doctor", "--data-dir", t.TempDir()}, 3, "--keys DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && name == "a file is wide" {
				t.Skip("no file modes")
			}
			text, code := verb(t, test.args...)
			if code != test.code || !strings.Contains(text, test.says) {
				t.Errorf("exit code %d, want %d with %q:\n%s", code, test.code, test.says, text)
			}
		})
	}
}
