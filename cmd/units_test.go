package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What systemd does not understand in a unit, it leaves out with a warning that nobody reads.
func TestUnitsAreUnderstood(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not installed")
	}
	units, err := filepath.Glob(filepath.Join("..", "deploy", "systemd", "*.service"))
	if err != nil || len(units) == 0 {
		t.Fatal("no units", err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nRestart=always\n") || !strings.Contains(string(text), "\nRestartPreventExitStatus=2") {
			t.Errorf("%s is started again and again after an error that stays", unit)
		}
		here := filepath.Join(t.TempDir(), filepath.Base(unit)) // with programs that are on this machine
		installed := strings.NewReplacer("/usr/local/bin/chatcoord", "/bin/true", "/usr/local/bin/nats-server", "/bin/true").Replace(string(text))
		if err := os.WriteFile(here, []byte(installed), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", here).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
