package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// The ledger and the mailboxes, of whose subjects each has several messages:
//
//	MAILBOXES 17 natter.state.mailbox.s.bob.alice@17 9c1185a5c5e9fc54 5f3a0c11
//	MAILBOXES 20 natter.state.mailbox.s.bob.* dropped 02bb7d3e
//
// Messages are deleted only after the ledger has noted it: see Dropping.

const (
	dropped = "dropped"   // in the place of a hash: what a subject, with wildcards, had up to a sequence
	dropFor = time.Minute // more than a drop takes
)

// ledgerStreams are those that the ledger vouches for message by message.
func ledgerStreams() []string { return append(broker.RecordStreams(), broker.MailboxesStream) }

// drop is a deletion of messages.
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

// keyOf is the key of a stored message in the ledger.
func keyOf(subject string, seq uint64) string { return subject + "@" + strconv.FormatUint(seq, 10) }

func cutKey(key string) (subject string, seq uint64) {
	subject, text, _ := strings.Cut(key, "@")
	seq, _ = strconv.ParseUint(text, 10, 64)
	return subject, seq
}

// Dropping notes that messages are about to be deleted from mailboxes: those of a subject, which
// may have wildcards, up to a sequence. The note is on the disk when it returns; otherwise nobody
// could tell after a crash whether they were lost.
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
	return l.add(lineOf(broker.MailboxesStream, d.subject, entry{d.upTo, dropped}))
}

// apply forgets what a drop covers, and reports whether there was any.
func (l *ledger) apply(d drop) bool {
	records := l.pages[broker.MailboxesStream].records
	before := len(records)
	maps.DeleteFunc(records, func(key string, _ entry) bool { return d.covers(key) })
	return len(records) < before
}

// followMailboxes adds the messages that were stored since the last time, and takes out those
// that are gone although no deletion was noted.
func (l *ledger) followMailboxes(ctx context.Context, js jetstream.JetStream) ([]byte, error) {
	s, err := js.Stream(ctx, broker.MailboxesStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, p := s.CachedInfo().State, l.pages[broker.MailboxesStream]
	var lines []byte
	note := func(key string, e entry) {
		l.set(broker.MailboxesStream, key, e)
		lines = append(lines, lineOf(broker.MailboxesStream, key, e)...)
	}
	from, all := p.last+1, uint64(len(p.records)) > state.Msgs
	if all {
		from = 1
	}
	have := map[string]bool{}
	if all || state.LastSeq >= from {
		err = broker.Records(ctx, js.Conn(), broker.MailboxesStream, from, func(r broker.Stored) {
			key, covered := keyOf(r.Subject, r.Revision), false
			have[key] = true
			for _, d := range l.drops {
				covered = covered || d.covers(key)
			}
			if _, known := l.pages[broker.MailboxesStream].records[key]; !known && !covered {
				note(key, entryOf(r))
			}
		})
	}
	if err != nil {
		l.close() // the pages may be ahead of the file
		return nil, err
	}
	for key := range p.records {
		if _, seq := cutKey(key); all && !have[key] {
			note(key, entry{seq, gone})
		}
	}
	if l.pages[broker.MailboxesStream].last < state.LastSeq {
		note("-", entry{state.LastSeq, gone})
	}
	return lines, nil
}

// compareMailboxes compares the messages in the mailboxes.
func (l *ledger) compareMailboxes(ctx context.Context, nc *nats.Conn, f *found) (part string, err error) {
	have := map[string]entry{}
	unread, err := readStream(ctx, nc, broker.MailboxesStream, func(r broker.Stored) { have[keyOf(r.Subject, r.Revision)] = entryOf(r) })
	if err != nil {
		return "", fmt.Errorf("%s cannot be read (%w)", broker.MailboxesStream, err)
	}
	p := l.pages[broker.MailboxesStream]
	for key, e := range p.records {
		if have[key] != e {
			f.messages = append(f.messages, key)
		}
	}
	if unread > 0 {
		f.unreadable = append(f.unreadable, broker.MailboxesStream)
	}
	delete(l.pages, broker.MailboxesStream)
	for key, e := range have {
		l.set(broker.MailboxesStream, key, e)
	}
	switch {
	case len(f.messages) > 0:
		return fmt.Sprintf("%s holds %d of %d messages that are stored for members", broker.MailboxesStream, len(p.records)-len(f.messages), len(p.records)), nil
	case unread > 0:
		return fmt.Sprintf("%s has %s", broker.MailboxesStream, plural(unread, "unreadable message", "unreadable messages")), nil
	}
	return "", nil
}

// tellLost stores a record of the loss in each mailbox that has lost messages: its user is told
// when they fetch it.
func (s *Server) tellLost(ctx context.Context, keys []string) error {
	js, err := jetstream.New(s.book)
	if err != nil {
		return err
	}
	if err := broker.EnsureStreams(ctx, js, jetstream.FileStorage, 1); err != nil {
		return err
	}
	var notes []broker.Stored
	for _, key := range keys {
		subject, _ := cutKey(key)
		if !slices.ContainsFunc(notes, func(n broker.Stored) bool { return n.Subject == subject }) {
			notes = append(notes, broker.Stored{Subject: subject, Data: []byte(chat.LostMessages)})
		}
	}
	if err := storeAgain(ctx, js, notes); err != nil {
		return private.Errorf(ErrDataDir, "The users whose stored messages are lost could not be noted: %v. Nothing was changed. Start again.", err)
	}
	return nil
}
