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
	// maxParked is how many records one member may have kept for another.
	maxParked = 128
	// parkedAtOnce and parkedBytes bound what is sent into an inbox at once: a reader who
	// is slower than the server must not be cut off.
	parkedAtOnce = 256
	parkedBytes  = 1 << 20
)

// ErrParkedFull means that no more can be kept.
var ErrParkedFull = errors.New("no room")

// Parked is the stream of messages that members have yet to get, a subject for each
// session, receiver and sender.
type Parked struct {
	js     jetstream.JetStream
	stream jetstream.Stream

	// Dropping is told before messages are let go of: those of a subject, which may have
	// wildcards, up to a sequence. nil: nobody needs to know.
	Dropping func(subject string, upTo uint64) error
}

// OpenParked opens the stream. nc needs chat.StoringGrant.
func OpenParked(ctx context.Context, nc *nats.Conn) (*Parked, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, ParkedStream)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ParkedStream, err)
	}
	return &Parked{js: js, stream: stream}, nil
}

const parkedRoot = chat.StateRoot + ".parked."

// parkedSubject is where messages lie; "*" stands for anybody.
func parkedSubject(session string, to, from chat.User) string {
	return parkedRoot + session + "." + string(to) + "." + string(from)
}

// Put keeps a record. It is stored when Put returns, under the sequence; again under the
// same id it is not stored again. ErrParkedFull if there is none.
func (p *Parked) Put(ctx context.Context, session string, to, from chat.User, id string, record chat.Parked) (uint64, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("encode what is parked: %w", err)
	}
	var ack *jetstream.PubAck
	err = Patiently(ctx, func(ctx context.Context) (err error) {
		ack, err = p.js.Publish(ctx, parkedSubject(session, to, from), data, jetstream.WithMsgID(id))
		return err
	})
	switch {
	case IsFull(err):
		return 0, ErrParkedFull
	case err != nil:
		return 0, fmt.Errorf("park: %w", err)
	}
	return ack.Sequence, nil
}

// Left counts the records that are kept for somebody.
func (p *Parked) Left(ctx context.Context, session string, to chat.User) (uint64, error) {
	count := uint64(0)
	subjects, err := p.subjects(ctx, parkedSubject(session, to, "*"))
	for _, n := range subjects {
		count += n
	}
	return count, err
}

// Sessions lists the sessions that something is kept in.
func (p *Parked) Sessions(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	subjects, err := p.subjects(ctx, parkedRoot+">")
	for subject := range subjects {
		id, _, _ := strings.Cut(strings.TrimPrefix(subject, parkedRoot), ".")
		found[id] = true
	}
	return found, err
}

// subjects asks the stream's leader, who knows everything that was ever acknowledged.
func (p *Parked) subjects(ctx context.Context, filter string) (map[string]uint64, error) {
	info, err := p.info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

func (p *Parked) info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (info *jetstream.StreamInfo, err error) {
	err = Patiently(ctx, func(ctx context.Context) (err error) {
		info, err = p.stream.Info(ctx, opts...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask what is parked: %w", err)
	}
	return info, nil
}

// Drop lets go of what is kept up to a sequence; from "*" is from everybody. A sequence
// that does not exist yet would have the server count up to it, and do nothing else.
func (p *Parked) Drop(ctx context.Context, session string, to, from chat.User, upTo uint64) error {
	info, err := p.info(ctx)
	if err != nil || info.State.Msgs == 0 {
		return err
	}
	return p.purge(ctx, parkedSubject(session, to, from), min(upTo, info.State.LastSeq))
}

// DropAll lets go of everything for somebody in a session, or with "*" for everybody.
// Where nothing is, nothing is written.
func (p *Parked) DropAll(ctx context.Context, session string, to chat.User) error {
	if n, err := p.Left(ctx, session, to); n == 0 || err != nil {
		return err
	}
	return p.purgeAll(ctx, parkedSubject(session, to, "*"))
}

// DropFrom lets go of everything from some members of a session.
func (p *Parked) DropFrom(ctx context.Context, session string, from map[chat.User]bool) error {
	subjects, err := p.subjects(ctx, parkedSubject(session, "*", "*"))
	if err != nil {
		return err
	}
	for subject := range subjects {
		if !from[chat.User(subject[strings.LastIndexByte(subject, '.')+1:])] {
			continue
		}
		if err := p.purgeAll(ctx, subject); err != nil {
			return err
		}
	}
	return nil
}

// purgeAll lets go of what a subject has by now.
func (p *Parked) purgeAll(ctx context.Context, subject string) error {
	info, err := p.info(ctx)
	if err != nil {
		return err
	}
	return p.purge(ctx, subject, info.State.LastSeq)
}

func (p *Parked) purge(ctx context.Context, subject string, upTo uint64) error {
	if p.Dropping != nil {
		if err := p.Dropping(subject, upTo); err != nil {
			return fmt.Errorf("note what is let go of: %w", err)
		}
	}
	err := Patiently(ctx, func(ctx context.Context) error {
		return p.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo+1))
	})
	if err != nil {
		return fmt.Errorf("let go of what is parked: %w", err)
	}
	return nil
}

// Send has the server send what is kept for somebody, or the beginning of it, into an
// inbox. Nobody but the caller sees to it that the inbox is the receiver's.
func (p *Parked) Send(session string, to chat.User, inbox string) error {
	q, err := json.Marshal(map[string]any{
		"seq": 1, "next_by_subj": parkedSubject(session, to, "*"), "batch": parkedAtOnce, "max_bytes": parkedBytes,
	})
	if err != nil {
		return err
	}
	return p.js.Conn().PublishRequest("$JS.API.DIRECT.GET."+ParkedStream, inbox, q)
}
