package setup_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"natter/broker/ticket"
	"natter/internal/private"
	"natter/internal/setup"
)

func write(t *testing.T, p setup.Plan) map[string]string {
	t.Helper()
	made, err := setup.Init(p)
	if err != nil || !made {
		t.Fatalf("init: %v, %v", made, err)
	}
	return contents(t, p.Dir)
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func TestSecretsAreOursAndStayThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "keys")
	files := write(t, setup.Plan{Dir: dir, Nodes: 3})
	want := []string{
		"README.txt", "accounts.conf", "audit.creds", "chat.nk", "coord.creds", "lobby.nk", "node-1.conf", "node-2.conf", "node-3.conf", "observer.creds",
		"operator-signing.nk", "operator.creds", "operator.jwt", "operator.nk", "sentinel.jwt", "signing.nk", "store.creds", "sys.creds", "system.nk", "tap.creds",
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("files %v", got)
	}
	for name, seed := range files {
		if !strings.HasSuffix(name, ".nk") {
			continue
		}
		for other, text := range files {
			if other != name && strings.Contains(text, strings.TrimSpace(seed)) {
				t.Errorf("%s has the seed of %s", other, name)
			}
		}
	}
	modes(t, dir, slices.Collect(maps.Keys(files)))
}

func modes(t *testing.T, dir string, files []string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	for _, name := range append(files, ".") {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestNothingIsWrittenTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	before := write(t, setup.Plan{Dir: dir})
	if made, err := setup.Init(setup.Plan{Dir: dir}); made || err != nil {
		t.Errorf("again: %v, %v", made, err)
	}
	for what, spoil := range map[string]func(){
		"another number": func() {},
		"incomplete":     func() { remove(t, filepath.Join(dir, "signing.nk")) },
	} {
		nodes := 1
		if what == "another number" {
			nodes = 3
		}
		spoil()
		_, err := setup.Init(setup.Plan{Dir: dir, Nodes: nodes})
		if !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, text := range contents(t, dir) {
		if before[name] != text {
			t.Errorf("%s was changed", name)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestSomethingElseIsThere(t *testing.T) {
	dir := t.TempDir()
	if made, err := setup.Init(setup.Plan{Dir: dir}); !made || err != nil {
		t.Errorf("an empty directory: %v, %v", made, err)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := setup.Init(setup.Plan{Dir: dir}); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), "something else") {
		t.Errorf("a letter: %v", err)
	}
	file := filepath.Join(dir, "letter.txt")
	for _, place := range []string{file, filepath.Join(file, "below")} {
		if _, err := setup.Init(setup.Plan{Dir: place}); !errors.Is(err, private.ErrFile) {
			t.Errorf("%s: %v", place, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".natter-init-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestHosts(t *testing.T) {
	for text, want := range map[string]setup.Host{
		"nats-1": {Name: "nats-1", Port: 4222}, "nats.example.org:5222": {Name: "nats.example.org", Port: 5222},
		"10.0.0.1": {Name: "10.0.0.1", Port: 4222}, "[::1]:5000": {Name: "::1", Port: 5000}, "::1": {Name: "::1", Port: 4222},
	} {
		if got, err := setup.ParseHost(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":4222", "a:0", "a:64000", "a:b", "a b", `a"`, "nats://a", "a\nb", "$HOME"} {
		if got, err := setup.ParseHost(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestClusterOfOtherComputers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	hosts := []setup.Host{{Name: "a", Port: 4222}, {Name: "b", Port: 4222}, {Name: "c", Port: 5222}}
	files := write(t, setup.Plan{Dir: dir, Nodes: 3, Hosts: hosts, Store: "/var/lib/nats"})
	for _, want := range []string{
		`server_name: "natter-2"`, `HOST: "0.0.0.0"`, `client_advertise: "b:4222"`, `STATE: "/var/lib/nats/natter-2"`, `http: "127.0.0.1:8222"`,
		"@a:6222", "@c:7222", "sync_interval: always", "no_fast_producer_stall: true", "max_control_line: 16KB",
	} {
		if !strings.Contains(files["node-2.conf"], want) {
			t.Errorf("node-2.conf has no %s:\n%s", want, files["node-2.conf"])
		}
	}
	if strings.Contains(files["node-2.conf"], "@b:6222") {
		t.Error("a route of a server to itself")
	}
	if _, err := setup.Init(setup.Plan{Dir: filepath.Join(dir, "other"), Nodes: 3, Hosts: hosts[:2]}); err == nil {
		t.Error("two hosts for three servers")
	}
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	write(t, setup.Plan{Dir: dir})
	for _, optional := range []string{"operator.nk", "operator.creds", "observer.creds", "audit.creds", "sentinel.jwt", "operator-signing.nk", "nats.conf"} {
		remove(t, filepath.Join(dir, optional))
	}
	keys, err := setup.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if keys.Minter.Account() != keys.ChatID || keys.Deputy != nil || keys.Sentinel != "" || keys.Creds(setup.Operator) != nil {
		t.Errorf("keys %+v", keys)
	}
	if keys.Creds(setup.System).Account == keys.ChatID {
		t.Error("sys.creds is of the account of the users")
	}
	for _, r := range setup.Roles {
		if !r.Coordinators() {
			continue
		}
		path := filepath.Join(dir, r.File())
		text := contents(t, dir)[r.File()]
		remove(t, path)
		if _, err := setup.Open(dir); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), r.File()) {
			t.Errorf("without %s: %v", r.File(), err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := setup.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, private.ErrFile) {
		t.Errorf("no directory: %v", err)
	}
}

func TestDerive(t *testing.T) {
	ids, err := ticket.NewInstallation()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := setup.Derive(ids, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range setup.Roles {
		creds := keys.Creds(r)
		if creds == nil || !creds.Grant.Equal(r.Grant(keys.ChatID, creds.User)) || creds.Expires.IsZero() {
			t.Errorf("%s: %+v", r.Name, creds)
		}
	}
}

// What an init has left that was cut short holds keys: it is named by the next one, and by who
// wants to use the installation, and can be begun again.
func TestCutInitIsRefused(t *testing.T) {
	parent := t.TempDir()
	dir, left := filepath.Join(parent, "keys"), filepath.Join(parent, ".natter-init-keys")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"operator.nk", ".new-123"} {
		if err := os.WriteFile(filepath.Join(left, name), []byte("SO"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, begun := setup.Init(setup.Plan{Dir: dir})
	_, opened := setup.Open(dir)
	for what, err := range map[string]error{"init": begun, "open": opened} {
		if !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), left) || !strings.Contains(err.Error(), "--again") {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := filepath.Join(left, "letter.txt")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := setup.Init(setup.Plan{Dir: dir, Again: true}); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), "letter.txt") {
		t.Errorf("something else is removed: %v", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	write(t, setup.Plan{Dir: dir, Again: true})
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something is left:", err)
	}
	if _, err := setup.Open(dir); err != nil {
		t.Error(err)
	}
}
