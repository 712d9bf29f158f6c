package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"natter/broker"
	"natter/chat"

	"github.com/nats-io/nats.go/jetstream"
)

// withStreams is a server with the streams as they are made.
func withStreams(t *testing.T) (*Server, jetstream.JetStream) {
	t.Helper()
	srv, err := Start(Config{Listen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	nc, err := srv.Dial("storing", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err == nil {
		err = broker.EnsureStreams(t.Context(), js, jetstream.FileStorage, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return srv, js
}

// Room for a few records is not enough where the next start could not set the state aside.
func TestEnoughForAStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a large file takes its room at once")
	}
	srv, _ := withStreams(t)
	dir := srv.keptIn
	d := newDisk(dir, newAside(dir, srv.ids), slog.New(slog.DiscardHandler))
	d.end(errors.New("there was trouble"))
	if err := d.look(false); err != nil {
		t.Fatal(err)
	}
	free, _, err := volume(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range broker.RecordStreams() {
		large := filepath.Join(dir, "jetstream", srv.ChatAccount(), "streams", stream, "msgs", "large")
		if err := os.WriteFile(large, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(large, 2*free); err != nil { // it takes no room itself
			t.Fatal(err)
		}
		var full *broker.Outage
		if err := d.look(false); !errors.As(err, &full) || full.Told != broker.ErrNoRoom {
			t.Errorf("with a large %s: %v", stream, err)
		}
		if err := os.Remove(large); err != nil {
			t.Fatal(err)
		}
		if err := d.look(false); err != nil {
			t.Error(err)
		}
	}
}

// A stream of which one write has failed takes nothing more, though the disk is fine again:
// that is noticed by asking the server.
func TestStreamThatFailedOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no file that is always full")
	}
	srv, js := withStreams(t)
	if what := srv.refusing(); what != "" {
		t.Fatalf("%s fails from the beginning", what)
	}
	// The next block of the stream is on a device that is full.
	msgs := filepath.Join(srv.keptIn, "jetstream", srv.ChatAccount(), "streams", broker.LiveStream, "msgs")
	for n := 2; n < 6; n++ {
		if err := os.Symlink("/dev/full", filepath.Join(msgs, fmt.Sprint(n, ".blk"))); err != nil {
			t.Fatal(err)
		}
	}
	stored := 0
	for err := error(nil); err == nil && stored < 1000; stored++ {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err = js.Publish(ctx, fmt.Sprint(chat.StateRoot, ".user.", stored), make([]byte, 60<<10))
		cancel()
	}
	t.Logf("%d records are stored", stored)
	select {
	case <-srv.Storing().Done():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody notices")
	}
	var out *broker.Outage
	if !errors.As(context.Cause(srv.Storing()), &out) || !strings.Contains(out.Why, broker.LiveStream) || out.Told != broker.ErrNotStored {
		t.Error(context.Cause(srv.Storing()))
	}
	select {
	case <-srv.Recovered():
	case <-time.After(30 * time.Second):
		t.Error("it is not started again")
	}
}
