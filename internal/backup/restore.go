package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/private"
)

// ahead is how far behind the backup's revisions those after a restore begin: no client can
// have seen so many changes since.
const ahead = 1 << 32

// mostReplicas is how many servers keep each stream, where they are a cluster.
const mostReplicas = 3

// Into stores a backup through nc, which needs chat.StoringGrant, in a NATS server that
// holds nothing of ours yet. An *chat.Error says if it does.
func (c *Contents) Into(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := Empty(ctx, nc); err != nil {
		return err
	}
	if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, mostReplicas); err != nil {
		return err
	}
	err = broker.Patiently(ctx, func(ctx context.Context) error {
		live, err := js.Stream(ctx, broker.LiveStream)
		if err != nil {
			return err
		}
		return live.Purge(ctx, jetstream.WithPurgeSequence(c.Revision+ahead))
	})
	if err != nil {
		return fmt.Errorf("set the revision: %w", err)
	}
	for _, r := range c.records {
		if _, err := js.Publish(ctx, r.Subject, r.Data, jetstream.WithExpectStream(r.Stream), jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
			return fmt.Errorf("store %s: %w", r.Subject, err)
		}
	}
	return nil
}

// Empty is an *chat.Error if a NATS server holds state of ours.
func Empty(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, stream := range broker.RecordStreams() {
		var s jetstream.Stream
		err := broker.Patiently(ctx, func(ctx context.Context) (err error) { // the servers may have started just now
			s, err = js.Stream(ctx, stream)
			return err
		})
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			continue
		case err != nil:
			return fmt.Errorf("ask for %s: %w", stream, err)
		case s.CachedInfo().State.Msgs > 0:
			return chat.Errorf(chat.Taken, "The NATS server holds %d records in %s, and a backup goes only where nothing is. Nothing was changed.", s.CachedInfo().State.Msgs, stream)
		}
	}
	return nil
}

// EmptyDir is an *chat.Error, and private.ErrFile, if there is something in a directory.
func EmptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return private.Errorf(private.ErrFile, "Cannot use %s: %v.", dir, private.Cause(err))
	case slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "lost+found" }):
		return private.Errorf(private.ErrFile, "The directory %s is not empty, and a backup goes only where nothing is. Nothing was changed. Name another one: --data-dir DIR", dir)
	}
	return nil
}

// IntoDir makes the data directory of an embedded server. It is made aside and then moved:
// what is not moved to its end is refused by a server, for its keys come last.
func (c *Contents) IntoDir(ctx context.Context, dir string) error {
	if err := EmptyDir(dir); err != nil {
		return err
	}
	if len(c.Files) == 0 {
		return private.Errorf(private.ErrFile, "This backup is of an existing NATS, and has no keys for an embedded server. Name the NATS server: --server URL --keys DIR")
	}
	aside := filepath.Join(dir, "restoring")
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", aside, private.Cause(err))
	}
	if err := c.fill(ctx, aside); err != nil {
		return errors.Join(err, os.RemoveAll(aside))
	}
	entries, err := os.ReadDir(aside)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { // jetstream first, keys last
		return order(a.Name()) - order(b.Name())
	})
	for _, e := range entries {
		if err := os.Rename(filepath.Join(aside, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return private.Errorf(private.ErrFile, "Cannot finish %s: %v. Empty it and try again.", dir, private.Cause(err))
		}
	}
	return os.Remove(aside)
}

func order(name string) int {
	switch name {
	case "jetstream":
		return 0
	case "keys":
		return 2
	}
	return 1
}

// fill makes a data directory by having a server run in it for a moment.
func (c *Contents) fill(ctx context.Context, dir string) error {
	for name, data := range c.Files {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return errDamaged
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return private.Errorf(private.ErrFile, "Cannot make %s: %v.", filepath.Dir(path), private.Cause(err))
		}
		if err := private.Write(path, data); err != nil {
			return err
		}
	}
	srv, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir, AcceptLoss: true}) // there are keys, and nothing else yet
	if err != nil {
		return err
	}
	defer srv.Shutdown()
	nc, err := srv.Dial("restore", chat.StoringGrant(), chat.StoreInbox)
	if err != nil {
		return err
	}
	defer nc.Close()
	return c.Into(ctx, nc)
}
