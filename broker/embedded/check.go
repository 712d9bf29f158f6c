package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"natter/broker"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/private"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	ledgerEvery = time.Second
	ledgerFor   = 10 * time.Second // one round may take so long
	lastRound   = time.Second      // at the end, when next to nothing is left to note
	asideDir    = "unchecked"
)

// aside keeps the streams as they were while the server that has opened them is checked:
// NATS cuts off what it cannot read, and is silent about it.
type aside struct{ dir, streams string }

func newAside(dir string, ids *ticket.Installation) aside {
	return aside{filepath.Join(dir, asideDir), filepath.Join(dir, "jetstream", ticket.Public(ids.Chat), "streams")}
}

// put makes the copy. One that is there is of a start that did not come to its end: it is
// what the state was, and takes its place again.
func (a aside) put() error {
	if exists(a.dir) {
		if err := a.back(); err != nil {
			return err
		}
	}
	half := a.dir + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	for _, stream := range ledgerStreams() {
		if from := filepath.Join(a.streams, stream); exists(from) {
			if err := copyDir(from, filepath.Join(half, stream)); err != nil {
				return errors.Join(err, os.RemoveAll(half))
			}
		}
	}
	if !exists(half) {
		return nil
	}
	return os.Rename(half, a.dir)
}

// back makes the state what it was. The server must be down.
func (a aside) back() error {
	for _, stream := range ledgerStreams() {
		kept := filepath.Join(a.dir, stream)
		if !exists(kept) {
			continue
		}
		at := filepath.Join(a.streams, stream)
		if err := errors.Join(os.RemoveAll(at), os.MkdirAll(a.streams, 0o700)); err != nil {
			return err
		}
		if err := os.Rename(kept, at); err != nil {
			return err
		}
	}
	return os.RemoveAll(a.dir)
}

// lacks are the streams that are not there.
func (a aside) lacks() (names []string) {
	for _, stream := range broker.RecordStreams() {
		if !exists(filepath.Join(a.streams, stream)) {
			names = append(names, stream)
		}
	}
	return names
}

// size is how many bytes put would write.
func (a aside) size() (sum int64, err error) {
	for _, stream := range ledgerStreams() {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(a.streams, stream), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var info fs.FileInfo
				if info, err = d.Info(); err == nil {
					sum += info.Size()
				}
			}
			if errors.Is(err, fs.ErrNotExist) { // the server has removed it meanwhile
				return nil
			}
			return err
		}))
	}
	return sum, err
}

func (a aside) forget() error { return os.RemoveAll(a.dir) }

func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, path[len(from):])
		if d.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		return copyFile(path, at)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// check finds out whether the state holds what the ledger vouches for, and brings the
// ledger up to date. What is less is an error, unless the loss is accepted. Each answer has
// its own limit, and all of them together have none: a large state takes long.
func (s *Server) check(dir string, l *ledger, acceptLoss, strict bool) error {
	ctx := context.Background()
	switch {
	case l.blank:
		s.log.Warn("the ledger is missing: whether the state is whole cannot be checked", "file", l.path)
	case l.bad > 0:
		s.log.Warn("the ledger is damaged: what it says elsewhere is checked", "file", l.path, "lines", l.bad)
	}
	var err error
	if s.book, err = s.Dial("ledger", chat.StoringGrant(), chat.StoreInbox); err != nil {
		return err
	}
	err = s.reopen(ctx, newAside(dir, s.ids))
	var f found
	if err == nil {
		f, err = l.compare(ctx, s.book)
	}
	audit := ""
	if err == nil {
		audit, err = l.compareAudit(ctx, s.book, strict, acceptLoss)
	}
	if err := newAside(dir, s.ids).flushAudit(); err != nil {
		s.log.Warn("the end of the audit log may not be on the disk yet", "err", err)
		l.audit = 0
	}
	if strict && audit != "" {
		f.missing = strings.TrimPrefix(f.missing+", "+audit, ", ")
	}
	switch {
	case err != nil: // also where a loss is accepted: nobody knows of one
		s.book.Close()
		return private.Errorf(ErrDataDir, "The state in %s cannot be checked: %v. Nothing was changed. Start again; if this stays, bring back a backup with chatcoord restore FILE in an empty directory.", dir, err)
	case f.missing != "" && !acceptLoss:
		s.book.Close()
		return damaged(dir, f.missing)
	case f.missing != "":
		s.log.Warn("going on with what is left", "dir", dir, "missing", f.missing)
	}
	if audit != "" && !strict {
		advice := "To start without this message, use --accept-loss once"
		if acceptLoss {
			advice = "The loss is accepted: the next start does not mention it"
		}
		s.log.Error("the audit log is damaged: "+audit+". Users and chats are not affected. "+advice, "dir", dir)
	}
	if err := s.buryAgain(ctx, f.risen); err != nil {
		s.book.Close()
		return fmt.Errorf("burying what has come back: %w", err)
	}
	for _, stream := range f.unreadable {
		if err := s.rebuild(ctx, stream); err != nil {
			s.book.Close()
			return private.Errorf(ErrDataDir, "What is left of %s in %s cannot be stored anew: %v. Nothing was changed. Look at the disk, and start again.", stream, dir, err)
		}
		delete(l.pages, stream) // it is read anew
	}
	if len(f.messages) > 0 {
		if err := s.tellLost(ctx, f.messages); err != nil {
			s.book.Close()
			return err
		}
	}
	if err := l.follow(ctx, s.book); err != nil {
		s.book.Close()
		return fmt.Errorf("writing the ledger: %w", err)
	}
	s.ledger = l
	return nil
}

// reopen makes the streams again whose configuration the server could not read: it leaves them
// out, and never writes that file anew. Their messages are read from where they are.
func (s *Server) reopen(ctx context.Context, a aside) error {
	js, err := jetstream.New(s.book)
	if err != nil {
		return err
	}
	again := false
	for _, stream := range append(ledgerStreams(), broker.AuditStream) {
		at := filepath.Join(a.streams, stream)
		if !exists(at) {
			continue
		}
		if _, err := js.Stream(ctx, stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		for _, file := range []string{server.JetStreamMetaFile, server.JetStreamMetaFileSum} {
			if err := os.Remove(filepath.Join(at, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		s.log.Warn("the configuration of a stream could not be read: it was made again, and its messages are checked", "stream", stream)
		again = true
	}
	if !again {
		return nil
	}
	return broker.EnsureStreams(ctx, js, jetstream.FileStorage, 1)
}

func damaged(dir, what string) error {
	return private.Errorf(ErrDataDir, "The state in %s is damaged: %s. Nothing was changed. Bring back a backup with chatcoord restore FILE in an empty directory, or go on with what is left: --accept-loss.", dir, what)
}

// wild reports whether a file of a stream has a record with a sequence that cannot be. The
// server would believe it, and make room for all the records before it.
//
// A record begins with its length, whose highest bit says that there are headers, and its
// sequence, whose two highest bits mark deletions. What makes no sense otherwise, the
// server finds by its checksums.
func wild(file string, last uint64) (bool, error) {
	const head, most = 22, 1 << 20 // of changes that the ledger may not know yet
	data, err := os.ReadFile(file)
	for len(data) >= head {
		n := binary.LittleEndian.Uint32(data) &^ (1 << 31)
		if seq := binary.LittleEndian.Uint64(data[4:]) &^ (3 << 62); seq > last+most {
			return true, nil
		}
		if n < head || uint64(n) > uint64(len(data)) {
			break
		}
		data = data[n:]
	}
	return false, err
}

// unindex has the server read each record at its start, and leave out what is damaged.
func (a aside) unindex() error {
	for _, stream := range append(ledgerStreams(), broker.AuditStream) {
		err := os.Remove(filepath.Join(a.streams, stream, "msgs", "index.db"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// wildIn looks for such records in all that the ledger knows of.
func (a aside) wildIn(l *ledger) (bool, error) {
	for stream, p := range l.pages {
		files, err := filepath.Glob(filepath.Join(a.streams, stream, "msgs", "*.blk"))
		if err != nil {
			return false, err
		}
		for _, file := range files {
			if found, err := wild(file, p.last); found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// buryAgain removes records that were gone and have come back: NATS does not write down
// that a record was replaced, so that after an end without a word the one before a
// tombstone is there again once the tombstone is purged.
func (s *Server) buryAgain(ctx context.Context, risen map[string][]uint64) error {
	js, err := jetstream.New(s.book)
	if err != nil {
		return err
	}
	for stream, sequences := range risen {
		str, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		for _, seq := range sequences {
			if err := str.DeleteMsg(ctx, seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepLedger adds to the ledger what changes, until the server is to stop.
func (s *Server) keepLedger() {
	tick := time.NewTicker(ledgerEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.note(ledgerFor); err != nil && s.Storing().Err() == nil {
				s.log.Warn("the ledger is behind", "err", err)
			}
		case <-s.quit:
			return
		}
	}
}

// closeLedger ends the ledger, with what is left to note unless that is not wanted.
func (s *Server) closeLedger(note bool) {
	if s.ledger == nil {
		return
	}
	if note {
		s.ledger.closing = true // keepLedger has ended
		if err := s.note(lastRound); err != nil {
			s.log.Warn("the ledger is behind", "err", err)
		}
	}
	s.ledger.mu.Lock()
	s.ledger.close()
	s.ledger.mu.Unlock()
	s.book.Close()
}

func (s *Server) note(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return s.ledger.follow(ctx, s.book)
}
