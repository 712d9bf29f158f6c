package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"natter/broker"
	"natter/chat"
	"natter/internal/private"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The ledger and what is no record: the messages that are kept for members, of which a subject
// has several, and the audit trail, which is allowed to lose its last entries before a crash.
//
//	PARKED 17 natter.state.parked.s.bob.alice@17 9c1185a5c5e9fc54 5f3a0c11
//	PARKED 20 natter.state.parked.s.bob.* dropped 02bb7d3e
//	AUDIT 4711 - - 7d3e02bb
//
// Who lets go of messages has it noted first: see Dropping.

const (
	dropped   = "dropped"       // in the place of a hash: what a subject, with wildcards, had up to a sequence
	trailLag  = 3 * time.Minute // an entry of the audit trail is on the disk by then
	mostTrail = 100_000         // entries that a start reads; verify reads all
	dropFor   = time.Minute     // more than a drop takes
)

// keptStreams are those that the ledger vouches for message by message.
func keptStreams() []string { return append(broker.RecordStreams(), broker.ParkedStream) }

// drop is what somebody lets go of.
type drop struct {
	subject string
	upTo    uint64
	at      time.Time
}

func (d drop) covers(key string) bool {
	subject, seq := cutKey(key)
	if seq > d.upTo {
		return false
	}
	want, have := strings.Split(d.subject, "."), strings.Split(subject, ".")
	return len(want) == len(have) && matches(want, have)
}

func matches(pattern, subject []string) bool {
	for i, token := range pattern {
		if token != "*" && token != subject[i] {
			return false
		}
	}
	return true
}

// keyOf is what a kept message is in the ledger.
func keyOf(subject string, seq uint64) string { return subject + "@" + strconv.FormatUint(seq, 10) }

func cutKey(key string) (subject string, seq uint64) {
	subject, text, _ := strings.Cut(key, "@")
	seq, _ = strconv.ParseUint(text, 10, 64)
	return subject, seq
}

// Dropping notes that messages which are kept for members are let go of: those of a subject,
// which may have wildcards, up to a sequence. It is noted on the disk when it returns; nobody
// would know otherwise, after a crash, whether they were lost.
func (s *Server) Dropping(subject string, upTo uint64) error {
	if s.ledger == nil {
		return nil
	}
	return s.ledger.dropping(drop{subject, upTo, time.Now()})
}

func (l *ledger) dropping(d drop) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drops = slices.DeleteFunc(l.drops, func(old drop) bool { return d.at.Sub(old.at) > dropFor })
	l.drops = append(l.drops, d)
	if !l.apply(d) {
		return nil // the ledger vouches for none of them
	}
	if l.file == nil {
		return l.write()
	}
	return l.add(lineOf(broker.ParkedStream, d.subject, entry{d.upTo, dropped}))
}

// apply forgets what a drop covers, and reports whether there was any.
func (l *ledger) apply(d drop) bool {
	records := l.pages[broker.ParkedStream].records
	before := len(records)
	maps.DeleteFunc(records, func(key string, _ entry) bool { return d.covers(key) })
	return len(records) < before
}

// followParked adds the messages that are kept since, and takes out those that are gone
// although no deletion was noted.
func (l *ledger) followParked(ctx context.Context, js jetstream.JetStream) ([]byte, error) {
	s, err := js.Stream(ctx, broker.ParkedStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, p := s.CachedInfo().State, l.pages[broker.ParkedStream]
	var lines []byte
	note := func(key string, e entry) {
		l.set(broker.ParkedStream, key, e)
		lines = append(lines, lineOf(broker.ParkedStream, key, e)...)
	}
	from := p.last + 1
	if uint64(len(p.records)) > state.Msgs {
		from = 1
	}
	have := map[string]bool{}
	if from == 1 || state.LastSeq >= from {
		err = broker.Records(ctx, js.Conn(), broker.ParkedStream, from, func(r broker.Stored) {
			key, covered := keyOf(r.Subject, r.Revision), false
			have[key] = true
			for _, d := range l.drops {
				covered = covered || d.covers(key)
			}
			if _, known := l.pages[broker.ParkedStream].records[key]; !known && !covered {
				note(key, entryOf(r))
			}
		})
	}
	if err != nil {
		l.close() // the pages may be ahead of the file
		return nil, err
	}
	for key := range p.records {
		if _, seq := cutKey(key); from == 1 && !have[key] {
			note(key, entry{seq, gone})
		}
	}
	if l.pages[broker.ParkedStream].last < state.LastSeq {
		note("-", entry{state.LastSeq, gone})
	}
	return lines, nil
}

// followTrail notes how far the audit trail reached a while ago, or, when the server stops in
// order, how far it reaches.
func (l *ledger) followTrail(ctx context.Context, js jetstream.JetStream) ([]byte, error) {
	s, err := js.Stream(ctx, broker.AuditStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, sure := s.CachedInfo().State, l.trail
	if now := time.Now(); l.closing {
		sure = state.LastSeq
	} else if now.Sub(l.trailAt) >= trailLag {
		l.trail, l.trailAt = state.LastSeq, now
	} else {
		return nil, nil
	}
	if sure <= l.pages[broker.AuditStream].last {
		return nil, nil
	}
	e := entry{sure, gone}
	l.set(broker.AuditStream, "-", e)
	return lineOf(broker.AuditStream, "-", e), nil
}

// compareParked compares the messages that are kept.
func (l *ledger) compareParked(ctx context.Context, nc *nats.Conn, f *found) (part string, err error) {
	have := map[string]entry{}
	unread, err := readStream(ctx, nc, broker.ParkedStream, func(r broker.Stored) { have[keyOf(r.Subject, r.Revision)] = entryOf(r) })
	if err != nil {
		return "", fmt.Errorf("%s cannot be read (%w)", broker.ParkedStream, err)
	}
	p := l.pages[broker.ParkedStream]
	for key, e := range p.records {
		if have[key] != e {
			f.kept = append(f.kept, key)
		}
	}
	if unread > 0 {
		f.unreadable = append(f.unreadable, broker.ParkedStream)
	}
	delete(l.pages, broker.ParkedStream)
	for key, e := range have {
		l.set(broker.ParkedStream, key, e)
	}
	switch {
	case len(f.kept) > 0:
		return fmt.Sprintf("%s holds %d of %d messages that are kept for members who are away", broker.ParkedStream, len(p.records)-len(f.kept), len(p.records)), nil
	case unread > 0:
		return fmt.Sprintf("%s has %s", broker.ParkedStream, plural(unread, "unreadable message", "unreadable messages")), nil
	}
	return "", nil
}

// compareTrail says what the audit trail lacks, "" for nothing. Losses that were
// accepted before are not reported again.
func (l *ledger) compareTrail(ctx context.Context, nc *nats.Conn, all, accept bool) (string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	var state jetstream.StreamState
	s, err := js.Stream(ctx, broker.AuditStream)
	if err == nil {
		state = s.CachedInfo().State
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return "", err
	}
	p := l.pages[broker.AuditStream]
	l.trail = state.LastSeq // noted by the next followTrail, without its lag: see flushTrail
	lost := uint64(state.NumDeleted)
	if p.last > state.LastSeq {
		lost += p.last - state.LastSeq
	}
	if state.Msgs > 0 && (all || state.Msgs <= mostTrail) {
		unread, err := readStream(ctx, nc, broker.AuditStream, func(broker.Stored) {})
		if err != nil {
			return "", fmt.Errorf("%s cannot be read (%w)", broker.AuditStream, err)
		}
		lost += unread
	}
	if lost <= p.records[accepted].seq {
		return "", nil
	}
	if accept {
		l.pages[broker.AuditStream] = page{last: state.LastSeq, records: map[string]entry{accepted: {lost, accepted}}}
	}
	return fmt.Sprintf("%s has lost %s of the audit trail", broker.AuditStream, plural(lost, "entry", "entries")), nil
}

// plural is a number of things, in words.
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// flushTrail writes to the disk what a process that ended without a word has left of the audit
// trail to the system, so that a start can vouch for all that it finds.
func (a aside) flushTrail() error {
	files, err := filepath.Glob(filepath.Join(a.streams, broker.AuditStream, "msgs", "*.blk"))
	for _, file := range files {
		f, openErr := os.OpenFile(file, os.O_RDWR, 0)
		if openErr != nil {
			return openErr
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	return err
}

// accepted is how many entries of the audit trail were lost when that was accepted.
const accepted = "accepted"

// readStream reads a stream whole, and counts what is there and cannot be read: of a message that the
// server knows by its index, it finds out only when it is asked for it. A stream that is not there
// holds nothing.
func readStream(ctx context.Context, nc *nats.Conn, stream string, read func(broker.Stored)) (unread uint64, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	s, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n := uint64(0)
	err = broker.Records(ctx, nc, stream, 1, func(r broker.Stored) {
		read(r)
		n++
	})
	if errors.Is(err, broker.ErrUnreadable) {
		err = nil
	}
	if all := s.CachedInfo().State.Msgs; all > n {
		unread = all - n
	}
	return unread, err
}

// tellLost keeps a word for each member of whom a message was kept that is lost: they are told so
// when they ask for what is kept.
func (s *Server) tellLost(ctx context.Context, keys []string) error {
	js, err := jetstream.New(s.book)
	if err != nil {
		return err
	}
	if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, 1); err != nil {
		return err
	}
	var words []broker.Stored
	for _, key := range keys {
		subject, _ := cutKey(key)
		if !slices.ContainsFunc(words, func(w broker.Stored) bool { return w.Subject == subject }) {
			words = append(words, broker.Stored{Subject: subject, Data: []byte(chat.ParkedLost)})
		}
	}
	if err := storeAgain(ctx, js, words); err != nil {
		return private.Errorf(ErrDataDir, "It cannot be noted for whom something that was kept is lost: %v. Nothing was changed. Start again.", err)
	}
	return nil
}
