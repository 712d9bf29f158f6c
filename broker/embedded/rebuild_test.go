package embedded_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natter/broker"
	"natter/broker/embedded"
	"natter/broker/ticket"
	"natter/chat"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// put stores a record.
func put(t *testing.T, js jetstream.JetStream, subject, text string, header nats.Header) {
	t.Helper()
	if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: chat.StateRoot + "." + subject, Data: []byte(text), Header: header}); err != nil {
		t.Fatal(err)
	}
}

// flip flips a bit in the record of a stream that contains a text.
func flip(t *testing.T, dir, stream, text string) {
	t.Helper()
	block := blocks(t, dir, stream)[0]
	b := []byte(read(t, block))
	i := bytes.LastIndex(b, []byte(text))
	if i < 0 {
		t.Fatalf("%s does not hold %s", stream, text)
	}
	b[i] ^= 4
	write(t, block, string(b))
}

// TestDamagedTombstone: a tombstone that cannot be read is noticed, wherever it lies, and a loss
// that is accepted is over.
func TestDamagedTombstone(t *testing.T) {
	for name, behind := range map[string]bool{"with records behind it": true, "as the last record": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			srv := start(t, dir)
			js, ctx := state(t, srv)
			if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, 1); err != nil {
				t.Fatal(err)
			}
			put(t, js, "account.alice", "owner", nil)
			put(t, js, "user.bob", "here", nil)
			put(t, js, "user.bob", "tombstone", nats.Header{broker.GoneHeader: {"1"}, "Nats-Msg-Id": {"x.1"}})
			if behind {
				put(t, js, "user.carol", "here", nats.Header{"Nats-Expected-Last-Subject-Sequence": {"0"}})
			}
			srv.Shutdown()
			flip(t, dir, broker.LiveStream, "tombstone")

			if !refusedAsDamaged(t, dir, name) {
				t.Fatal("it is not noticed")
			}
			if err := embedded.Verify(dir, nil); !errors.Is(err, embedded.ErrDataDir) || !strings.Contains(err.Error(), "LIVE has 1 unreadable entry") {
				t.Errorf("verify: %v", err)
			}
			for _, accept := range []bool{true, false} {
				srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, AcceptLoss: accept})
				if err != nil {
					t.Fatal(err)
				}
				got := contents(t, srv)
				want := 1
				if behind {
					want = 2
				}
				if len(got) != want || !strings.HasSuffix(got[chat.StateRoot+".account.alice"], "owner") {
					t.Errorf("left are %v", got)
				}
				js, ctx := state(t, srv)
				put(t, js, "user.bob", "here again", nats.Header{"Nats-Expected-Last-Subject-Sequence": {"0"}})
				s, err := js.Stream(ctx, broker.LiveStream)
				if err == nil && s.CachedInfo().State.LastSeq < 3 {
					t.Errorf("sequences begin anew: %+v", s.CachedInfo().State)
				}
				if err := errors.Join(err, s.Purge(ctx, jetstream.WithPurgeSubject(chat.StateRoot+".user.bob"))); err != nil {
					t.Error(err)
				}
				srv.Shutdown()
			}
		})
	}
}

// An account that cannot be read is no account when that loss is accepted.
func TestDamagedAccountIsLost(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	flip(t, dir, broker.AccountsStream, `"user200","key"`)
	if !refusedAsDamaged(t, dir, "an account") {
		t.Fatal("it is not noticed")
	}
	srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, AcceptLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	if got := contents(t, srv); len(got) != accounts {
		t.Errorf("%d records", len(got))
	}
	js, ctx := state(t, srv)
	if _, _, err := broker.Last(ctx, js.Conn(), broker.AccountsStream, chat.StateRoot+".account.user200"); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("of the account: %v", err)
	}
}

// A record whose number cannot be: the refusal says what is missing, as for any damage, and what
// is left can be gone on with.
func TestNumberThatCannotBe(t *testing.T) {
	dir := filled(t, (*embedded.Server).Shutdown)
	block := blocks(t, dir, broker.AccountsStream)[0]
	text := []byte(read(t, block))
	begins := bytes.Index(text, []byte(chat.StateRoot+".account.user298")) - 22 // the head of a record
	text[begins+9] ^= 1                                                         // of its number, which is at 4
	write(t, block, string(text))
	_, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "ACCOUNTS holds ") || !refusedAsDamaged(t, dir, "a number") {
		t.Fatalf("refused with: %v", err)
	}
	srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, AcceptLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	if got := contents(t, srv); len(got) < accounts/2 || len(got) > accounts {
		t.Errorf("%d records", len(got))
	}
}

// Credentials of other rights than this release gives are named, and written anew; others stay.
func TestCredsOfOtherRights(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir)
	before := map[string]string{}
	for _, name := range []string{"operator.creds", "observer.creds", "audit.creds"} {
		before[name] = read(t, filepath.Join(dir, name))
	}
	wide, err := srv.Minter().NewCreds(chat.ObserverGrant("_INBOX"), 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	text, err := ticket.FormatCreds(wide.JWT, wide.Key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "observer.creds")
	write(t, path, string(text))
	var log bytes.Buffer
	srv, err = embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	creds, err := ticket.ParseCreds([]byte(read(t, path)))
	if err != nil || !creds.Grant.Equal(chat.ObserverGrant(chat.ObserverInbox(creds.User))) {
		t.Errorf("%+v, %v", creds, err)
	}
	if !strings.Contains(log.String(), path) {
		t.Errorf("not named: %s", &log)
	}
	for _, name := range []string{"operator.creds", "audit.creds"} {
		if read(t, filepath.Join(dir, name)) != before[name] {
			t.Errorf("%s was written anew", name)
		}
	}
}

// Credentials that are damaged are named, and written anew.
func TestDamagedCreds(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Stop()
	for _, name := range []string{"operator.creds", "observer.creds", "audit.creds"} {
		path := filepath.Join(dir, name)
		whole := read(t, path)
		for _, at := range []int{len(whole) / 4, len(whole) - 120} { // in the JWT, and in the seed
			b := []byte(whole)
			b[at] ^= 1
			write(t, path, string(b))
			var log bytes.Buffer
			srv, err := embedded.Start(embedded.Config{Listen: anyPort, DataDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			nc, err := nats.Connect(srv.URL(), nats.UserCredentials(path))
			if err != nil {
				t.Errorf("%s at %d: %v", name, at, err)
			} else {
				nc.Close()
			}
			srv.Stop()
			if !strings.Contains(log.String(), path) {
				t.Errorf("%s is not named: %s", name, &log)
			}
		}
	}
}
