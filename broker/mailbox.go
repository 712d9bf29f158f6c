package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
)

const (
	// maxStored is how many records of one sender a mailbox holds.
	maxStored = 128
	// fetchedAtOnce and fetchedBytes bound what is sent into an inbox at once: a reader that
	// is slower than the server must not be cut off.
	fetchedAtOnce = 256
	fetchedBytes  = 1 << 20
)

// ErrMailboxFull means that the mailbox holds as much of the sender as it may.
var ErrMailboxFull = errors.New("no room")

// Mailboxes is the stream of the messages that are stored for members, with a subject for
// each session, receiver and sender.
type Mailboxes struct {
	js     jetstream.JetStream
	stream jetstream.Stream

	// Dropping is called before messages are deleted: those of a subject, which may have
	// wildcards, up to a sequence. nil: nothing is called.
	Dropping func(subject string, upTo uint64) error
}

// OpenMailboxes opens the stream. nc needs chat.StoringGrant.
func OpenMailboxes(ctx context.Context, nc *nats.Conn) (*Mailboxes, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, MailboxesStream)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", MailboxesStream, err)
	}
	return &Mailboxes{js: js, stream: stream}, nil
}

const mailboxRoot = chat.StateRoot + ".mailbox."

// mailboxSubject is the subject of what one member has stored for another; "*" stands for
// any member.
func mailboxSubject(session string, to, from chat.User) string {
	return mailboxRoot + session + "." + string(to) + "." + string(from)
}

// Put stores a record and returns its sequence. A record with the id of one that is stored
// already is not stored again. ErrMailboxFull if there is no room.
func (m *Mailboxes) Put(ctx context.Context, session string, to, from chat.User, id string, record chat.StoredMessages) (uint64, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("encode stored messages: %w", err)
	}
	var ack *jetstream.PubAck
	err = Retry(ctx, func(ctx context.Context) (err error) {
		ack, err = m.js.Publish(ctx, mailboxSubject(session, to, from), data, jetstream.WithMsgID(id))
		return err
	})
	switch {
	case IsFull(err):
		return 0, ErrMailboxFull
	case err != nil:
		return 0, fmt.Errorf("store messages: %w", err)
	}
	return ack.Sequence, nil
}

// Left counts the records in a mailbox.
func (m *Mailboxes) Left(ctx context.Context, session string, to chat.User) (uint64, error) {
	count := uint64(0)
	subjects, err := m.subjects(ctx, mailboxSubject(session, to, "*"))
	for _, n := range subjects {
		count += n
	}
	return count, err
}

// Sessions lists the sessions whose mailboxes are not empty.
func (m *Mailboxes) Sessions(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	subjects, err := m.subjects(ctx, mailboxRoot+">")
	for subject := range subjects {
		id, _, _ := strings.Cut(strings.TrimPrefix(subject, mailboxRoot), ".")
		found[id] = true
	}
	return found, err
}

// subjects asks the stream's leader, who knows everything that was ever acknowledged.
func (m *Mailboxes) subjects(ctx context.Context, filter string) (map[string]uint64, error) {
	info, err := m.info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

func (m *Mailboxes) info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (info *jetstream.StreamInfo, err error) {
	err = Retry(ctx, func(ctx context.Context) (err error) {
		info, err = m.stream.Info(ctx, opts...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask what the mailboxes hold: %w", err)
	}
	return info, nil
}

// Drop deletes from a mailbox what a member sent, or with "*" what anybody sent, up to a
// sequence. The server would count up to a sequence that does not exist yet, so Drop does not
// ask for one.
func (m *Mailboxes) Drop(ctx context.Context, session string, to, from chat.User, upTo uint64) error {
	info, err := m.info(ctx)
	if err != nil || info.State.Msgs == 0 {
		return err
	}
	return m.purge(ctx, mailboxSubject(session, to, from), min(upTo, info.State.LastSeq))
}

// DropAll empties the mailbox of a member of a session, or with "*" those of all members.
// It writes nothing if they are empty.
func (m *Mailboxes) DropAll(ctx context.Context, session string, to chat.User) error {
	if n, err := m.Left(ctx, session, to); n == 0 || err != nil {
		return err
	}
	return m.purgeAll(ctx, mailboxSubject(session, to, "*"))
}

// DropFrom deletes from the mailboxes of a session what some of its members sent.
func (m *Mailboxes) DropFrom(ctx context.Context, session string, from map[chat.User]bool) error {
	subjects, err := m.subjects(ctx, mailboxSubject(session, "*", "*"))
	if err != nil {
		return err
	}
	for subject := range subjects {
		if !from[chat.User(subject[strings.LastIndexByte(subject, '.')+1:])] {
			continue
		}
		if err := m.purgeAll(ctx, subject); err != nil {
			return err
		}
	}
	return nil
}

// purgeAll deletes what a subject has by now.
func (m *Mailboxes) purgeAll(ctx context.Context, subject string) error {
	info, err := m.info(ctx)
	if err != nil {
		return err
	}
	return m.purge(ctx, subject, info.State.LastSeq)
}

func (m *Mailboxes) purge(ctx context.Context, subject string, upTo uint64) error {
	if m.Dropping != nil {
		if err := m.Dropping(subject, upTo); err != nil {
			return fmt.Errorf("note what is deleted: %w", err)
		}
	}
	err := Retry(ctx, func(ctx context.Context) error {
		return m.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo+1))
	})
	if err != nil {
		return fmt.Errorf("delete stored messages: %w", err)
	}
	return nil
}

// Send has the server send the records of a mailbox, or the first of them, into an inbox. The
// caller must check that the inbox is the receiver's.
func (m *Mailboxes) Send(session string, to chat.User, inbox string) error {
	q, err := json.Marshal(map[string]any{
		"seq": 1, "next_by_subj": mailboxSubject(session, to, "*"), "batch": fetchedAtOnce, "max_bytes": fetchedBytes,
	})
	if err != nil {
		return err
	}
	return m.js.Conn().PublishRequest("$JS.API.DIRECT.GET."+MailboxesStream, inbox, q)
}

// formerStream is what earlier builds had in the place of MailboxesStream.
const formerStream = "PARKED"

// RemoveFormer removes the stream in which earlier builds stored messages for members, whose
// room MailboxesStream needs, and returns how many records it held.
func RemoveFormer(ctx context.Context, js jetstream.JetStream) (records uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, ElectFor)
	defer cancel()
	err = Retry(ctx, func(ctx context.Context) error {
		s, err := js.Stream(ctx, formerStream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		records = s.CachedInfo().State.Msgs
		return js.DeleteStream(ctx, formerStream)
	})
	if err != nil {
		return 0, fmt.Errorf("remove stream %s: %w", formerStream, sentence(err))
	}
	return records, nil
}
