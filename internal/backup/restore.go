package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

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

const (
	onTheWay  = 256              // records that are not acknowledged yet: each waits for the disk
	answerFor = time.Minute      // a cluster may take to have leaders
	standFor  = 30 * time.Second // nothing may be acknowledged
)

var errStands = errors.New("the server acknowledges nothing")

// Into stores a backup through nc, which needs chat.StoringGrant, in a NATS server that
// holds nothing of ours yet, or, again, what is left of a restore that was cut short. An
// *chat.Error says if it does, and what is there after half.
func (c *Contents) Into(ctx context.Context, nc *nats.Conn, again bool) error {
	if again {
		if err := clearHalf(ctx, nc); err != nil {
			return err
		}
	} else if err := Empty(ctx, nc); err != nil {
		return err
	}
	if err := c.prepare(ctx, nc); err != nil {
		return err
	}
	if n, err := c.store(ctx, nc, standFor); err != nil {
		return chat.Errorf(chat.Internal, "The NATS server has stored %d of %d records, and then: %v. No coordinator serves with them. Begin again: chatcoord restore --again", n, len(c.records), err)
	}
	return broker.MarkRestoring(ctx, nc, false)
}

// clearHalf removes what is left of a restore that was cut short: its accounts, and with
// prepare the rest. Anything else is left alone.
func clearHalf(ctx context.Context, nc *nats.Conn) error {
	soon, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	cut, err := broker.Restoring(soon, nc)
	if err != nil {
		return err
	}
	if !cut {
		return Empty(ctx, nc)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, stream := range broker.RecordStreams() {
		err := retry(ctx, func(ctx context.Context) error {
			s, err := js.Stream(ctx, stream)
			if err != nil {
				return err
			}
			return s.Purge(ctx)
		})
		if err == nil {
			err = broker.MarkRestoring(soon, nc, true) // until the end
		}
		if err != nil {
			return fmt.Errorf("clear %s: %w", stream, err)
		}
	}
	return nil
}

// prepare makes the streams, with revisions that nobody has seen, and marks that they are not
// complete.
func (c *Contents) prepare(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, mostReplicas); err != nil {
		return err
	}
	err = retry(ctx, func(ctx context.Context) error {
		live, err := js.Stream(ctx, broker.LiveStream)
		if err != nil {
			return err
		}
		return live.Purge(ctx, jetstream.WithPurgeSequence(c.Revision+ahead))
	})
	if err != nil {
		return fmt.Errorf("set the revision: %w", err)
	}
	return retry(ctx, func(ctx context.Context) error { return broker.MarkRestoring(ctx, nc, true) })
}

// store stores the records in their order, each where nothing is, and counts those that are
// acknowledged. It gives up when none is for so long, however long they all take.
func (c *Contents) store(ctx context.Context, nc *nats.Conn, stand time.Duration) (stored int, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	var sent []jetstream.PubAckFuture
	for next := 0; stored < len(c.records); stored++ {
		for ; next < len(c.records) && len(sent) < onTheWay; next++ {
			r := c.records[next]
			ack, err := js.PublishAsync(r.Subject, r.Data, jetstream.WithExpectStream(r.Stream), jetstream.WithExpectLastSequencePerSubject(0))
			if err != nil {
				return stored, fmt.Errorf("store %s: %w", r.Subject, err)
			}
			sent = append(sent, ack)
		}
		if err := acknowledged(ctx, sent[0], stand); err != nil {
			return stored, fmt.Errorf("store %s: %w", c.records[stored].Subject, err)
		}
		sent = sent[1:]
	}
	return stored, nil
}

func acknowledged(ctx context.Context, ack jetstream.PubAckFuture, within time.Duration) error {
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return err
	case <-late.C:
		return errStands
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry is broker.Retry, but not for ever.
func retry(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	return broker.Retry(ctx, try)
}

// Empty is an *chat.Error if a NATS server holds state of ours.
func Empty(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	if cut, err := broker.Restoring(soon, nc); cut || err != nil {
		return cmp.Or(err, error(broker.ErrRestoring))
	}
	for _, stream := range broker.RecordStreams() {
		var s jetstream.Stream
		err := retry(ctx, func(ctx context.Context) (err error) { // the servers may have started just now
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

// EmptyDir is an *chat.Error, and private.ErrFile, if there is something in a directory. With
// again, what is left of a restore that was cut short is nothing.
func EmptyDir(dir string, again bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	cut := exists(filepath.Join(dir, embedded.Restoring))
	something := func(e os.DirEntry) bool {
		return !slices.Contains(nothing, e.Name()) && !(again && cut && slices.Contains(ours, e.Name()))
	}
	switch {
	case err != nil:
		return private.Errorf(private.ErrFile, "Cannot use %s: %v.", dir, private.Cause(err))
	case cut && !again:
		return private.Errorf(private.ErrFile, "A restore into %s was cut short: %s is left of it. Nothing was changed. Begin it again, with what is left removed: chatcoord restore --again FILE --data-dir %s",
			dir, filepath.Join(dir, embedded.Restoring), dir)
	case slices.ContainsFunc(entries, something):
		return private.Errorf(private.ErrFile, "The directory %s is not empty, and a backup goes only where nothing is. Nothing was changed. Name another one: --data-dir DIR", dir)
	}
	return nil
}

// What may be in a directory into which a backup goes, and what a restore puts there.
var (
	nothing = []string{"lost+found", lockFile}
	ours    = []string{embedded.Restoring, "jetstream", "keys", "tls", "ledger", "observer.creds", "audit.creds", "operator.creds", "revoked.jwt", "issued.json", "probe"}
)

const lockFile = "lock"

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// IntoDir makes the data directory of an embedded server. It is made aside and then moved. As
// long as the place aside is there, the directory is refused: by a server, and by another
// restore, unless it is to begin again.
func (c *Contents) IntoDir(ctx context.Context, dir string, again bool) error {
	if err := EmptyDir(dir, again); err != nil {
		return err
	}
	if len(c.Files) == 0 {
		return private.Errorf(private.ErrFile, "This backup is of an existing NATS, and has no keys for an embedded server. Name the NATS server: --server URL --keys DIR")
	}
	aside := filepath.Join(dir, embedded.Restoring)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", aside, private.Cause(err))
	}
	unlock, err := private.Lock(filepath.Join(dir, lockFile))
	if err != nil {
		return private.Errorf(private.ErrFile, "Another program uses %s: %v.", dir, private.Cause(err))
	}
	defer unlock()
	if err := clearDir(dir, aside); err != nil {
		return private.Errorf(private.ErrFile, "Cannot remove what is left in %s: %v.", dir, private.Cause(err))
	}
	if err := c.fill(ctx, aside); err != nil {
		return errors.Join(err, os.RemoveAll(aside))
	}
	return move(aside, dir)
}

// clearDir removes what a restore that was cut short has left, the place aside last, and makes
// that anew.
func clearDir(dir, aside string) error {
	for _, name := range ours {
		if name == embedded.Restoring {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(aside)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(aside, e.Name())))
	}
	return err
}

// move puts what was made aside into its place.
func move(aside, dir string) error {
	if err := os.RemoveAll(filepath.Join(aside, lockFile)); err != nil { // dir has one, which is held
		return err
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
			return private.Errorf(private.ErrFile, "Cannot finish %s: %v. Begin again: chatcoord restore --again", dir, private.Cause(err))
		}
	}
	if err := private.SyncDir(dir); err != nil { // the mark goes last
		return err
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
	if err := c.prepare(ctx, nc); err != nil {
		return err
	}
	if n, err := c.store(ctx, nc, standFor); err != nil {
		return private.Errorf(private.ErrFile, "Stored are %d of %d records, and then: %v. Nothing of it is kept. Look at the disk of %s, and restore again.", n, len(c.records), err, dir)
	}
	return broker.MarkRestoring(ctx, nc, false)
}
