package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"natter/broker/embedded"
	"natter/chat"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const anyPort = "127.0.0.1:0"

func start(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	return srv
}

// refused starts a server that should not start, and checks what its error is and
// that it is a sentence for people.
func refused(t *testing.T, cfg embedded.Config, kind error, says ...string) {
	t.Helper()
	srv, err := embedded.Start(cfg)
	if err == nil {
		srv.Stop()
	}
	var sentence *chat.Error
	if !errors.Is(err, kind) || !errors.As(err, &sentence) {
		t.Fatalf("%v, want %v as a sentence", err, kind)
	}
	for _, s := range says {
		if !strings.Contains(sentence.Text, s) {
			t.Errorf("%q does not say %q", sentence.Text, s)
		}
	}
}

func connect(t *testing.T, srv *embedded.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(srv.URL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestTicketsOutliveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	srv := start(t, dir)
	account := srv.ChatAccount()
	jwt, key, err := srv.Minter().Creds(chat.UserGrant("alice"), time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	srv = start(t, dir)
	if srv.ChatAccount() != account {
		t.Errorf("account %s, before %s", srv.ChatAccount(), account)
	}
	connect(t, srv, nats.UserJWT(func() (string, error) { return jwt, nil }, key.Sign))
	connect(t, srv, nats.UserCredentials(filepath.Join(dir, "observer.creds")))
	connect(t, srv, nats.UserCredentials(filepath.Join(dir, "operator.creds")))
}

// TestStateOutlivesAStop commits one record as the coordinator does and finds it
// after an unannounced stop.
func TestStateOutlivesAStop(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir)
	js, ctx := state(t, srv)
	subjects := []string{chat.StateRoot + ".>"}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "LIVE", Subjects: subjects, MaxBytes: 1 << 20, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, chat.StateRoot+".user.alice", []byte("here")); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	js, ctx = state(t, start(t, dir))
	stream, err := js.Stream(ctx, "LIVE")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, chat.StateRoot+".user.alice")
	if err != nil || string(m.Data) != "here" {
		t.Errorf("record %v, %v", m, err)
	}
}

func state(t *testing.T, srv *embedded.Server) (jetstream.JetStream, context.Context) {
	t.Helper()
	nc, err := srv.Dial("storing", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return js, ctx
}

func TestEphemeralLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)
	for name, stop := range map[string]func(*embedded.Server){
		"shutdown": (*embedded.Server).Shutdown,
		"stop":     (*embedded.Server).Stop,
	} {
		srv := start(t, "")
		if got := entries(t, temp); len(got) != 1 {
			t.Errorf("%s: while it runs: %v", name, got)
		}
		stop(srv)
		if got := entries(t, temp); len(got) != 0 {
			t.Errorf("%s leaves %v", name, got)
		}
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestStartIsQuickAndShutdownBounded(t *testing.T) {
	before := time.Now()
	srv := start(t, t.TempDir())
	took := time.Since(before)
	t.Logf("ready after %v", took)
	if took > 2*time.Second { // hundreds of times what it takes
		t.Error("that is too long")
	}
	for range 20 {
		connect(t, srv, nats.NoReconnect())
	}
	before = time.Now()
	srv.Shutdown()
	if took := time.Since(before); took > 2*time.Second {
		t.Errorf("stopped after %v", took)
	}
	srv.Shutdown() // again, and otherwise: nothing happens
	srv.Stop()
}

func TestClientsAreToldOfAShutdown(t *testing.T) {
	srv := start(t, "")
	told := make(chan struct{})
	connect(t, srv, nats.LameDuckModeHandler(func(*nats.Conn) { close(told) }))
	srv.Shutdown()
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		t.Error("nobody told the client")
	}
}

func TestTakenAddress(t *testing.T) {
	srv := start(t, "")
	before := time.Now()
	refused(t, embedded.Config{Listen: srv.Addr()}, embedded.ErrInUse, srv.Addr()+" is in use")
	if took := time.Since(before); took > time.Second {
		t.Errorf("noticed after %v", took)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, listen := range []string{"nonsense", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-2", "300.0.0.1:0", "192.0.2.1:0"} {
		refused(t, embedded.Config{Listen: listen}, &chat.Error{Code: chat.Arguments}, listen[:3])
	}
}

func TestDataDirInUse(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir)
	cfg := embedded.Config{Listen: anyPort, DataDir: dir}
	refused(t, cfg, embedded.ErrDataDir, dir, fmt.Sprintf("process %d", os.Getpid()), filepath.Join(dir, "lock"))
	srv.Shutdown()
	start(t, dir)
}

func TestDataDirUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	refused(t, embedded.Config{Listen: anyPort, DataDir: file}, embedded.ErrDataDir, file)
	refused(t, embedded.Config{Listen: anyPort, DataDir: filepath.Join(file, "below")}, embedded.ErrDataDir, "below")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "keys"), "")
	refused(t, embedded.Config{Listen: anyPort, DataDir: dir}, embedded.ErrDataDir, "not a directory")
}

// TestFatalIsAnError: what NATS would exit the program for is an error of Start,
// after which the directory is free again.
func TestFatalIsAnError(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Shutdown()
	store := filepath.Join(dir, "jetstream")
	if err := os.Rename(store, store+".away"); err != nil {
		t.Fatal(err)
	}
	write(t, store, "not a directory")
	refused(t, embedded.Config{Listen: anyPort, DataDir: dir}, embedded.ErrDataDir, dir, "JetStream")
	if err := errors.Join(os.Remove(store), os.Rename(store+".away", store)); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsAreOursAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	for _, name := range []string{".", "keys"} {
		if mode := stat(t, filepath.Join(dir, name)).Perm(); mode != 0o700 {
			t.Errorf("%s: mode %04o", name, mode)
		}
	}
	secrets, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	if err != nil || len(secrets) != 5 {
		t.Fatalf("keys %v, %v", secrets, err)
	}
	for _, path := range append(secrets, filepath.Join(dir, "observer.creds"), filepath.Join(dir, "audit.creds"), filepath.Join(dir, "operator.creds"), filepath.Join(dir, "lock")) {
		if mode := stat(t, path).Perm(); mode != 0o600 {
			t.Errorf("%s: mode %04o", path, mode)
		}
	}
}

func stat(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// TestDamagedKeysAreRefusedAndKept damages the keys of a server that has run.
func TestDamagedKeysAreRefusedAndKept(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, key string)
		says   string
	}{
		"wide file":      {func(t *testing.T, key string) { chmod(t, key, 0o644) }, "chmod 600"},
		"wide directory": {func(t *testing.T, key string) { chmod(t, filepath.Dir(key), 0o755) }, "chmod 700"},
		"no key":         {func(t *testing.T, key string) { write(t, key, "not a key\n") }, "damaged"},
		"empty":          {func(t *testing.T, key string) { write(t, key, "") }, "damaged"},
		"another's key": {func(t *testing.T, key string) {
			write(t, key, read(t, filepath.Join(filepath.Dir(key), "operator.nk")))
		}, "damaged"},
		"missing": {func(t *testing.T, key string) {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
		}, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(name, "wide") {
				t.Skip("no file modes")
			}
			dir := t.TempDir()
			start(t, dir).Shutdown()
			key := filepath.Join(dir, "keys", "chat-signing.nk")
			test.damage(t, key)
			before, _ := os.ReadFile(key)
			refused(t, embedded.Config{Listen: anyPort, DataDir: dir}, embedded.ErrDataDir, test.says)
			if after, _ := os.ReadFile(key); !bytes.Equal(before, after) {
				t.Errorf("the key was changed from %q to %q", before, after)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestInterruptedFirstStart: keys that a first start could not finish are made, as
// long as there is no state.
func TestInterruptedFirstStart(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Shutdown()
	operator := read(t, filepath.Join(dir, "keys", "operator.nk"))
	for _, name := range []string{"keys/lobby.nk", "keys/chat.nk", "jetstream", "observer.creds"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir)
	if read(t, filepath.Join(dir, "keys", "operator.nk")) != operator {
		t.Error("the operator's key was made anew")
	}
	if got := entries(t, filepath.Join(dir, "keys")); len(got) != 5 || slices.ContainsFunc(got, func(n string) bool { return strings.HasPrefix(n, ".") }) {
		t.Errorf("keys: %v", got)
	}
}

func TestLogIsOursAndHoldsNoSecret(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir := t.TempDir()
	srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	if !strings.Contains(buf.String(), "component=nats") {
		t.Errorf("log: %s", buf.String())
	}
	for _, name := range []string{"operator.nk", "chat.nk", "chat-signing.nk"} {
		if strings.Contains(buf.String(), strings.TrimSpace(read(t, filepath.Join(dir, "keys", name)))) {
			t.Errorf("the log holds %s", name)
		}
	}
}

func TestURL(t *testing.T) {
	srv, err := embedded.Start(embedded.Config{Listen: ":0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	_, port, err := net.SplitHostPort(srv.Addr())
	if err != nil || srv.URL() != "nats://127.0.0.1:"+port {
		t.Errorf("address %s, URL %s", srv.Addr(), srv.URL())
	}
	connect(t, srv)
}
