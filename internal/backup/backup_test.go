package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/backup"
	"natter/internal/private"
)

func store(t *testing.T, srv *embedded.Server) *nats.Conn {
	t.Helper()
	nc, err := srv.Dial("store", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// filled is a server with accounts, one of them changed, somebody who is here, and a ban.
func filled(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	srv := brokertest.RunIn(t, dir)
	js, err := jetstream.New(store(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.EnsureStreams(t.Context(), js, jetstream.FileStorage, 1); err != nil {
		t.Fatal(err)
	}
	for _, put := range []string{"account.alice", "account.bob", "user.alice", "account.alice", "session.s", "ban.name-mallory", "user.alice"} {
		if _, err := js.Publish(t.Context(), chat.StateRoot+"."+put, fmt.Appendf(nil, `{ "name":"<%s>" }`, put)); err != nil {
			t.Fatal(err)
		}
	}
	return srv
}

func records(t *testing.T, nc *nats.Conn, stream string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := broker.Records(t.Context(), nc, stream, 1, func(r broker.Stored) { all[r.Subject] = string(r.Data) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func saved(t *testing.T) ([]byte, *embedded.Server) {
	t.Helper()
	dir := t.TempDir()
	srv := filled(t, dir)
	files, err := embedded.Belongings(dir)
	if err != nil || len(files) != 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var b bytes.Buffer
	if _, err := backup.Save(t.Context(), &b, store(t, srv), files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), srv
}

// TestThereAndBack restores into a directory: who trusted the one server trusts the other,
// accounts are the same to the byte, and revisions are ahead, also after a crash.
func TestThereAndBack(t *testing.T) {
	text, before := saved(t)
	c, err := backup.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new", "data")
	if err := c.IntoDir(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		srv := brokertest.RunIn(t, dir)
		if srv.ChatAccount() != before.ChatAccount() {
			t.Error("another installation")
		}
		nc := store(t, srv)
		if got, want := records(t, nc, broker.AccountsStream), records(t, store(t, before), broker.AccountsStream); !maps.Equal(got, want) || len(got) != 2 {
			t.Errorf("accounts %v, before %v", got, want)
		}
		if got := records(t, nc, broker.LiveStream); len(got) != 1 || got[chat.StateRoot+".ban.name-mallory"] == "" {
			t.Errorf("of who was here, and of bans: %v", got)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		live, err := js.Stream(t.Context(), broker.LiveStream)
		if err != nil {
			t.Fatal(err)
		}
		if last := live.CachedInfo().State.LastSeq; last < c.Revision+1<<31 {
			t.Errorf("revision %d, of the backup %d", last, c.Revision)
		}
		srv.Stop()
		if err := os.Remove(indexOf(t, dir)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.IntoDir(t.Context(), dir, false); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("over itself: %v", err)
	}
}

func indexOf(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", broker.LiveStream, "msgs", "index.db"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	return found[0]
}

// A server that holds something is not restored into.
func TestOnlyWhereNothingIs(t *testing.T) {
	text, _ := saved(t)
	c, err := backup.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	other := store(t, filled(t, t.TempDir()))
	before := records(t, other, broker.AccountsStream)
	if err := c.Into(t.Context(), other, false); !errors.Is(err, &chat.Error{Code: chat.Taken}) {
		t.Error(err)
	}
	if !maps.Equal(before, records(t, other, broker.AccountsStream)) {
		t.Error("something was changed")
	}
}

// Whatever byte is wrong or missing: nothing is believed.
func TestDamagedBackups(t *testing.T) {
	text, _ := saved(t)
	for at := range text {
		damaged := bytes.Clone(text)
		damaged[at] ^= 1 << (at % 8)
		for what, b := range map[string][]byte{"flipped": damaged, "cut": text[:at]} {
			if _, err := backup.Read(bytes.NewReader(b)); !errors.Is(err, private.ErrFile) {
				t.Fatalf("%s at %d of %d: %v", what, at, len(text), err)
			}
		}
	}
	if _, err := backup.Read(bytes.NewReader(append(bytes.Clone(text), 0))); !errors.Is(err, private.ErrFile) {
		t.Errorf("something behind the end: %v", err)
	}
	later := bytes.Replace(text, []byte("backup 1"), []byte("backup 2"), 1)
	if _, err := backup.Read(bytes.NewReader(later)); err == nil || !strings.Contains(err.Error(), "later chatcoord") {
		t.Errorf("of a later release: %v", err)
	}
}

// TestFiles writes files that only their owner can read, whole or not at all, once.
func TestFiles(t *testing.T) {
	text, _ := saved(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(w io.Writer) error { _, err := w.Write(text); return err }
	for name, to := range map[string][]age.Recipient{"plain": nil, "sealed": {key.Recipient()}} {
		path := filepath.Join(dir, name)
		if err := backup.Create(path, to, write); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		c, err := backup.Open(path, func() ([]age.Identity, error) { return []age.Identity{key}, nil })
		if err != nil || c.Accounts() != 2 {
			t.Errorf("%s: %v", name, err)
		}
		if err := backup.Create(path, to, write); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), "there already") {
			t.Errorf("%s again: %v", name, err)
		}
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	_, err = backup.Open(filepath.Join(dir, "sealed"), func() ([]age.Identity, error) { return []age.Identity{other}, nil })
	if !errors.Is(err, &chat.Error{Code: chat.Denied}) {
		t.Errorf("another key: %v", err)
	}
	failed := errors.New("the connection is lost")
	if err := backup.Create(filepath.Join(dir, "half"), nil, func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("natter backup 1\n\x00\x00\x00\x00"))
	f.Add([]byte("natter backup 1\n\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := backup.Read(bytes.NewReader(text)); err != nil && !errors.Is(err, private.ErrFile) {
			t.Error(err)
		}
	})
}
