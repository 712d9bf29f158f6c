package embedded_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"natter/broker"
	"natter/broker/embedded"
	"natter/chat"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const accounts = 300

var damages = flag.Int("damages", 110, "how often the state is damaged")

// often is how often of usually n times something is tried: less with -short.
func often(n int) int {
	if testing.Short() {
		return max(1, n/4)
	}
	return n
}

// filled is a data directory with accounts, some of them changed since, and a few
// records of LIVE, one of them a tombstone. It was stopped in order, or not.
func filled(t *testing.T, stop func(*embedded.Server)) string {
	t.Helper()
	dir := t.TempDir()
	srv := start(t, dir)
	js, ctx := state(t, srv)
	if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, 1); err != nil {
		t.Fatal(err)
	}
	put := func(subject, text string, header nats.Header) {
		t.Helper()
		m := &nats.Msg{Subject: chat.StateRoot + "." + subject, Data: []byte(text), Header: header}
		if _, err := js.PublishMsg(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range accounts {
		put(fmt.Sprintf("account.user%d", i), fmt.Sprintf(`{"name":"user%d","key":"%040d"}`, i, i), nil)
	}
	for i := range accounts / 3 {
		put(fmt.Sprintf("account.user%d", 3*i), fmt.Sprintf(`{"name":"user%d","key":"later"}`, i), nil)
	}
	put("user.alice", "here", nil)
	put("user.bob", "here", nil)
	put("user.bob", "gone", nats.Header{broker.GoneHeader: {"1"}})
	s, err := js.Stream(ctx, broker.LiveStream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(chat.StateRoot+".user.bob"))
	}
	if err != nil {
		t.Fatal(err)
	}
	stop(srv)
	return dir
}

// contents are the records that a server holds.
func contents(t *testing.T, srv *embedded.Server) map[string]string {
	t.Helper()
	js, ctx := state(t, srv)
	all := map[string]string{}
	for _, stream := range broker.RecordStreams() {
		err := broker.Records(ctx, js.Conn(), stream, 1, func(r broker.Stored) { all[r.Subject] = fmt.Sprint(r.Revision, " ", string(r.Data)) })
		if err != nil {
			t.Errorf("%s: %v", stream, err)
		}
	}
	return all
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			all[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// streamDir is where a stream is kept.
func streamDir(t *testing.T, dir, stream string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", stream))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", stream, found, err)
	}
	return found[0]
}

func blocks(t *testing.T, dir, stream string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(streamDir(t, dir, stream), "msgs", "*.blk"))
	if err != nil || len(found) == 0 {
		t.Fatalf("blocks of %s: %v, %v", stream, found, err)
	}
	return found
}

// TestDamageIsNoticed flips bits, cuts files and takes some away, and starts again: the
// start is refused and changes nothing, or everything is there.
func TestDamageIsNoticed(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	srv := start(t, copied(t, dir))
	whole := contents(t, srv)
	srv.Stop()
	if len(whole) != accounts+1 {
		t.Fatalf("%d records", len(whole))
	}
	draw := rand.New(rand.NewPCG(1, 2))
	noticed, harmless := 0, 0
	for n := range often(*damages) {
		at := copied(t, dir)
		what := damage(t, draw, at, n)
		if refusedAsDamaged(t, at, what) {
			noticed++
			continue
		}
		srv := start(t, at)
		got := contents(t, srv)
		delete(got, chat.StateRoot+".user.bob") // a tombstone that was purged may come back
		if !maps.Equal(got, whole) {
			t.Errorf("%s: %d of %d records and no word about it", what, len(got), len(whole))
		}
		srv.Stop()
		harmless++
	}
	t.Logf("noticed %d, harmless %d", noticed, harmless)
	if noticed < often(*damages)*5/11 {
		t.Error("that is too few to have tested anything")
	}
}

// damage does something to a directory and says what.
func damage(t *testing.T, draw *rand.Rand, dir string, n int) string {
	t.Helper()
	stream := broker.AccountsStream
	if n%5 == 4 {
		stream = broker.LiveStream
	}
	index := filepath.Join(streamDir(t, dir, stream), "msgs", "index.db")
	without := ""
	if n%2 == 0 {
		without = ", no index"
		if err := os.Remove(index); err != nil {
			t.Fatal(err)
		}
	}
	block := blocks(t, dir, stream)[0]
	text := []byte(read(t, block))
	at := draw.IntN(len(text))
	switch {
	case n%110 < 100:
		text[at] ^= 1 << draw.IntN(8)
		write(t, block, string(text))
		return fmt.Sprintf("%s: a bit at %d of %d%s", stream, at, len(text), without)
	case n%110 < 104:
		write(t, block, string(text[:at]))
		return fmt.Sprintf("%s: cut at %d of %d%s", stream, at, len(text), without)
	case n%110 < 108:
		if err := os.Remove(block); err != nil {
			t.Fatal(err)
		}
		return stream + ": no block" + without
	}
	if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	return "no state"
}

// refusedAsDamaged reports whether a start is refused, as it should be then.
func refusedAsDamaged(t *testing.T, dir, what string) bool {
	t.Helper()
	before := files(t, filepath.Join(dir, "jetstream"))
	srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir})
	if err == nil {
		srv.Stop()
		return false
	}
	var told *chat.Error
	if !errors.Is(err, embedded.ErrDataDir) || !errors.As(err, &told) || !strings.Contains(told.Text, dir) || !strings.Contains(told.Text, "--accept-loss") {
		t.Errorf("%s: %v", what, err)
	}
	after := files(t, filepath.Join(dir, "jetstream"))
	for path, text := range before {
		if strings.Contains(path, "/ACCOUNTS/") || strings.Contains(path, "/LIVE/") {
			if after[path] != text {
				t.Errorf("%s: %s was changed", what, path)
			}
		}
	}
	return true
}

// An older copy of the state is less than what the ledger beside it knows.
func TestOlderStateIsNoticed(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	older := copied(t, dir)
	srv := start(t, dir)
	js, ctx := state(t, srv)
	if _, err := js.Publish(ctx, chat.StateRoot+".account.user7", []byte("newer")); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "jetstream")), os.Rename(filepath.Join(older, "jetstream"), filepath.Join(dir, "jetstream"))); err != nil {
		t.Fatal(err)
	}
	cfg := embedded.Config{Listen: anyPort, DataDir: dir}
	refused(t, cfg, embedded.ErrDataDir, fmt.Sprintf("ACCOUNTS holds %d of %d accounts (missing: user7)", accounts-1, accounts), "Nothing was changed", "chatcoord restore", dir)
	cfg.AcceptLoss = true
	srv, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	start(t, dir) // accepted is accepted
}

// What cannot be read is not lost: nobody is to accept a loss that there is none of.
func TestUnreadIsNotLost(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	srv := start(t, dir)
	js, ctx := state(t, srv)
	s, err := js.Stream(ctx, broker.AccountsStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.AllowDirect = false // which is how the ledger reads
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	before := files(t, streamDir(t, dir, broker.AccountsStream))
	for _, accept := range []bool{false, true} {
		srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, AcceptLoss: accept})
		if err == nil {
			srv.Stop()
			t.Fatal("it starts")
		}
		if !errors.Is(err, embedded.ErrDataDir) || !strings.Contains(err.Error(), "ACCOUNTS cannot be read (") || strings.Contains(err.Error(), "--accept-loss") {
			t.Error(err)
		}
	}
	if !maps.Equal(before, files(t, streamDir(t, dir, broker.AccountsStream))) {
		t.Error("the state was changed")
	}
}

// An end without a word is no damage, nor is a start that did not come to its end.
func TestNoFalseAlarm(t *testing.T) {
	dir := filled(t, (*embedded.Server).Stop)
	for range 5 {
		srv := start(t, dir)
		if got := len(contents(t, srv)); got != accounts+1 {
			t.Fatalf("%d records", got)
		}
		srv.Stop()
	}
	streams := filepath.Dir(streamDir(t, dir, broker.AccountsStream))
	if err := os.CopyFS(filepath.Join(dir, "unchecked"), os.DirFS(streams)); err != nil {
		t.Fatal(err)
	}
	write(t, blocks(t, dir, broker.AccountsStream)[0], "half of what it was")
	if got := len(contents(t, start(t, dir))); got != accounts+1 {
		t.Fatalf("%d records", got)
	}
}

// What was replaced by a tombstone that was purged does not come back when the server has
// to do without its index, as after a kill.
func TestTheDeadStayDead(t *testing.T) {
	for name, stop := range map[string]func(*embedded.Server){"stop": (*embedded.Server).Stop, "shutdown": (*embedded.Server).Shutdown} {
		dir := filled(t, (*embedded.Server).Shutdown)
		for range 3 {
			if err := os.Remove(filepath.Join(streamDir(t, dir, broker.LiveStream), "msgs", "index.db")); err != nil {
				t.Fatal(err)
			}
			srv := start(t, dir)
			if got := contents(t, srv); len(got) != accounts+1 {
				t.Errorf("%s: bob is %q", name, got[chat.StateRoot+".user.bob"])
			}
			stop(srv)
		}
	}
}

// TestStreamWithoutConfiguration: what is damaged is the file that says how a stream is kept, and
// not what it keeps. Nothing is lost, then and at the next start.
func TestStreamWithoutConfiguration(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	srv := start(t, dir)
	want := contents(t, srv)
	srv.Shutdown()
	for _, stream := range []string{broker.AccountsStream, broker.LiveStream, broker.MailboxesStream, broker.AuditStream} {
		for _, file := range []string{"meta.inf", "meta.sum"} {
			at := copied(t, dir)
			path := filepath.Join(streamDir(t, at, stream), file)
			text := []byte(read(t, path))
			text[len(text)/2] ^= 4
			write(t, path, string(text))
			for range 2 {
				srv := start(t, at)
				if got := contents(t, srv); !maps.Equal(got, want) {
					t.Errorf("%s of %s: %d records instead of %d", file, stream, len(got), len(want))
				}
				srv.Shutdown()
				if err := embedded.Verify(at, nil); err != nil {
					t.Errorf("%s of %s: %v", file, stream, err)
				}
			}
		}
	}
}

// A damaged ledger, or none, is no damage to the state.
func TestDamagedLedger(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	path := filepath.Join(dir, "ledger")
	text := []byte(read(t, path))
	draw := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		damaged := slices.Clone(text)
		damaged[draw.IntN(len(text))] ^= 1 << draw.IntN(8)
		write(t, path, string(damaged))
		start(t, dir).Stop()
		write(t, path, string(text[:draw.IntN(len(text))]))
		start(t, dir).Stop()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	start(t, dir).Shutdown()
	if got := len(read(t, path)); got < len(text)/2 {
		t.Errorf("the new ledger has %d bytes, the former one %d", got, len(text))
	}
}

// TestLargeLedger: of thousands of users it has megabytes, and says as much as a small one.
func TestLargeLedger(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	path := filepath.Join(dir, "ledger")
	text := read(t, path)
	title, lines, _ := strings.Cut(text, "\n")
	write(t, path, title+"\n"+strings.Repeat(lines, 4<<20/len(lines)))
	damaged := copied(t, dir)
	remove(t, streamDir(t, damaged, broker.AccountsStream))
	refused(t, embedded.Config{Listen: "127.0.0.1:0", DataDir: damaged}, embedded.ErrDataDir, broker.AccountsStream)
	srv := start(t, dir)
	if got := len(contents(t, srv)); got != accounts+1 {
		t.Errorf("%d records, not %d", got, accounts+1)
	}
}

// TestLostLedger: with the ledger gone, what else is missing is still noticed, unless it is
// accepted; a state that seems whole is served, and the log says that nobody knows.
func TestLostLedger(t *testing.T) {
	whole := filled(t, (*embedded.Server).Shutdown)
	for name, lose := range map[string]func(dir string) []string{
		"all streams":              func(dir string) []string { return []string{"ledger", "jetstream"} },
		"a stream":                 func(dir string) []string { return []string{"ledger", streamDir(t, dir, broker.AccountsStream)} },
		"a stream, ledger emptied": func(dir string) []string { return []string{"", streamDir(t, dir, broker.AccountsStream)} },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, whole)
			for _, path := range lose(dir) {
				switch {
				case path == "":
					write(t, filepath.Join(dir, "ledger"), "")
				case filepath.IsAbs(path):
					remove(t, path)
				default:
					remove(t, filepath.Join(dir, path))
				}
			}
			before := files(t, dir)
			srv, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir})
			if err == nil {
				srv.Stop()
				t.Fatal("it starts")
			}
			if !errors.Is(err, embedded.ErrDataDir) || !strings.Contains(err.Error(), "ACCOUNTS") || !strings.Contains(err.Error(), "the ledger are missing") {
				t.Error(err)
			}
			if after := files(t, dir); !maps.Equal(before, after) {
				t.Errorf("the state was changed: %d files were there, and now %d", len(before), len(after))
			}
			srv, err = embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir, AcceptLoss: true})
			if err != nil {
				t.Fatal(err)
			}
			srv.Stop()
			start(t, dir).Stop() // counts from there
		})
	}
	t.Run("alone", func(t *testing.T) {
		dir, said := copied(t, whole), &bytes.Buffer{}
		remove(t, filepath.Join(dir, "ledger"))
		srv, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir, Log: slog.New(slog.NewTextHandler(said, nil))})
		if err != nil {
			t.Fatal(err)
		}
		srv.Stop()
		if !strings.Contains(said.String(), "the ledger is missing") {
			t.Error(said)
		}
	})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
