package embedded

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"natter/broker"
	"natter/chat"

	"github.com/nats-io/nats.go/jetstream"
)

// Room for a few records is not enough where the next start could not set the state aside.
func TestEnoughForAStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a large file takes its room at once")
	}
	dir := t.TempDir()
	srv, err := Start(Config{Listen: "127.0.0.1:0", DataDir: dir})
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
