package embedded_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"natter/broker"
	"natter/broker/embedded"
	"natter/chat"

	"github.com/nats-io/nats.go/jetstream"
)

const storedMessages, auditEntries = 40, 60

// withStored is a data directory in which messages are stored for bob, and the audit log has entries.
func withStored(t *testing.T, stop func(*embedded.Server)) string {
	t.Helper()
	dir := t.TempDir()
	srv := start(t, dir)
	js, ctx := state(t, srv)
	if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, 1); err != nil {
		t.Fatal(err)
	}
	for i := range storedMessages {
		put(t, js, fmt.Sprintf("mailbox.s%d.bob.alice", i%3), fmt.Sprintf(`{"messages":[{"n":%d,"text":"words %040d"}]}`, i/3+1, i), nil)
	}
	for i := range auditEntries {
		if _, err := js.Publish(ctx, "chat.audit.action", fmt.Appendf(nil, `{"text":"entry %040d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	stop(srv)
	return dir
}

// storedIn are the messages in a stream.
func storedIn(t *testing.T, srv *embedded.Server, stream string) map[string]string {
	t.Helper()
	js, ctx := state(t, srv)
	all := map[string]string{}
	if err := broker.Records(ctx, js.Conn(), stream, 1, func(r broker.Stored) { all[fmt.Sprint(r.Subject, r.Revision)] = string(r.Data) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// spoil damages a stream in one of several ways, and says how.
func spoil(t *testing.T, draw *rand.Rand, dir, stream string, n int) string {
	t.Helper()
	what := stream
	if n%2 == 0 {
		what += ", no index"
		if err := os.Remove(filepath.Join(streamDir(t, dir, stream), "msgs", "index.db")); err != nil {
			t.Fatal(err)
		}
	}
	block := blocks(t, dir, stream)[0]
	text := []byte(read(t, block))
	at := draw.IntN(len(text))
	switch n % 13 {
	case 10, 11:
		write(t, block, string(text[:at]))
		return fmt.Sprintf("%s: cut at %d of %d", what, at, len(text))
	case 12:
		if err := os.RemoveAll(streamDir(t, dir, stream)); err != nil {
			t.Fatal(err)
		}
		return what + ": none"
	}
	text[at] ^= 1 << draw.IntN(8)
	write(t, block, string(text))
	return fmt.Sprintf("%s: a bit at %d of %d", what, at, len(text))
}

// TestStoredMessagesAreVouchedFor: whatever happens to the stream of the mailboxes, a start and verify
// notice it, and when the loss is accepted, there is a word for each member who lacks something.
func TestStoredMessagesAreVouchedFor(t *testing.T) {
	dir := withStored(t, (*embedded.Server).Shutdown)
	draw := rand.New(rand.NewPCG(3, 4))
	for n := range often(26) {
		at := copied(t, dir)
		what := spoil(t, draw, at, broker.MailboxesStream, n)
		if err := embedded.Verify(at, nil); !errors.Is(err, embedded.ErrDataDir) || !strings.Contains(err.Error(), "MAILBOXES holds") {
			t.Errorf("%s: verify: %v", what, err)
		}
		if !refusedAsDamaged(t, at, what) {
			t.Errorf("%s: served", what)
			continue
		}
		srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: at, AcceptLoss: true})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		left, words := 0, 0
		for _, text := range storedIn(t, srv, broker.MailboxesStream) {
			if text == chat.LostMessages {
				words++
			} else {
				left++
			}
		}
		if left >= storedMessages || words == 0 || words > 3 {
			t.Errorf("%s: %d of %d messages and %d words for who lacks some", what, left, storedMessages, words)
		}
		srv.Shutdown()
		if err := embedded.Verify(at, nil); err != nil {
			t.Errorf("%s: after it was accepted: %v", what, err)
		}
	}
}

// TestAuditLogIsVouchedFor: the same for the audit log, but nobody is kept from chatting.
func TestAuditLogIsVouchedFor(t *testing.T) {
	dir := withStored(t, (*embedded.Server).Shutdown)
	draw := rand.New(rand.NewPCG(5, 6))
	for n := range often(26) {
		at := copied(t, dir)
		what := spoil(t, draw, at, broker.AuditStream, n)
		if err := embedded.Verify(at, nil); !errors.Is(err, embedded.ErrDataDir) || !strings.Contains(err.Error(), "audit log") {
			t.Errorf("%s: verify: %v", what, err)
		}
		var log bytes.Buffer
		for _, accept := range []bool{false, true} {
			srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: at, AcceptLoss: accept, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			srv.Shutdown()
			if !strings.Contains(log.String(), "audit log") {
				t.Errorf("%s: started without a word: %s", what, &log)
			}
		}
		if err := embedded.Verify(at, nil); err != nil {
			t.Errorf("%s: after it was accepted: %v", what, err)
		}
	}
}

// TestAuditLogOfACrashIsVouchedFor: a start vouches for all entries that it finds, also if the process
// before ended without a word, and so does this one.
func TestAuditLogOfACrashIsVouchedFor(t *testing.T) {
	dir := withStored(t, (*embedded.Server).Stop)
	start(t, dir).Stop()
	draw := rand.New(rand.NewPCG(7, 8))
	for n := range 8 {
		at := copied(t, dir)
		what := spoil(t, draw, at, broker.AuditStream, n)
		if err := embedded.Verify(at, nil); !errors.Is(err, embedded.ErrDataDir) || !strings.Contains(err.Error(), "audit log") {
			t.Errorf("%s: verify: %v", what, err)
		}
	}
}

// What is deleted is not missed, also if the server ends at once; what is not deleted is.
func TestNothingLetGoIsMissed(t *testing.T) {
	for name, noted := range map[string]bool{"noted": true, "not noted": false} {
		t.Run(name, func(t *testing.T) {
			dir := withStored(t, (*embedded.Server).Shutdown)
			srv := start(t, dir)
			js, ctx := state(t, srv)
			mailboxes, err := broker.OpenMailboxes(ctx, js.Conn())
			if err != nil {
				t.Fatal(err)
			}
			if noted {
				mailboxes.Dropping = srv.Dropping
			}
			if err := errors.Join(mailboxes.DropAll(ctx, "s0", "bob"), mailboxes.Drop(ctx, "s1", "bob", "alice", 5)); err != nil {
				t.Fatal(err)
			}
			left := storedIn(t, srv, broker.MailboxesStream)
			srv.Stop()
			again, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir})
			if err == nil {
				defer again.Stop()
			}
			if !noted {
				t.Logf("not noted: %v", err) // none, if the ledger was faster
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := storedIn(t, again, broker.MailboxesStream); !maps.Equal(got, left) {
				t.Errorf("%d messages, %d before", len(got), len(left))
			}
		})
	}
}
