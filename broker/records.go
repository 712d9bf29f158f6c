package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// RecordStreams are the streams that hold one record per subject, for as long as it is
// not purged.
func RecordStreams() []string {
	var names []string
	for _, cfg := range streams {
		if cfg.MaxMsgsPerSubject == 1 && cfg.MaxAge == 0 {
			names = append(names, cfg.Name)
		}
	}
	return names
}

// GoneHeader marks a tombstone, for those who know nothing of records: it may be purged.
const GoneHeader = "Natter-Gone"

// Stored is a message of a stream.
type Stored struct {
	Subject  string
	Revision uint64
	Header   nats.Header // without what the server adds
	Data     []byte
}

// Gone reports whether it is a tombstone.
func (s Stored) Gone() bool { return s.Header.Get(GoneHeader) != "" }

const (
	readBatch = 20_000          // messages of one answer: for each, the server counts what is left
	readBytes = 4 << 20         // of one answer, far from what a connection may owe
	readFor   = 5 * time.Second // that an answer may stand still
)

// ErrUnreadable is a stream whose last records cannot be read. Those before were read.
var ErrUnreadable = errors.New("something in it cannot be read")

// Records reads a stream from a sequence on, until nothing more is there. What is
// overwritten meanwhile comes again: the last one of each subject is what the stream held
// at the end. nc needs chat.StoringGrant.
func Records(ctx context.Context, nc *nats.Conn, stream string, from uint64, read func(Stored)) error {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("read %s: %w", stream, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for next := max(from, 1); ; {
		ask, err := json.Marshal(map[string]any{"seq": next, "batch": readBatch, "max_bytes": readBytes})
		if err == nil {
			err = nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, ask)
		}
		var more bool
		if err == nil {
			next, more, err = ReadBatch(ctx, sub, next, read)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		if !more {
			return nil
		}
	}
}

// ReadBatch reads what the server sends for one request. It returns where to go on, and
// whether there is more.
func ReadBatch(ctx context.Context, sub *nats.Subscription, next uint64, read func(Stored)) (uint64, bool, error) {
	begun := next
	for {
		soon, cancel := context.WithTimeout(ctx, readFor)
		m, err := sub.NextMsgWithContext(soon)
		cancel()
		if err != nil {
			return next, false, err
		}
		switch m.Header.Get("Status") {
		case "":
		case "404":
			return next, false, nil
		case "503":
			return next, false, nats.ErrNoResponders
		case "204": // the end of the batch; nothing in it means that it would go on for ever
			more := m.Header.Get("Nats-Num-Pending") != "0"
			if more && next == begun {
				return next, false, ErrUnreadable
			}
			return next, more, nil
		default:
			return next, false, fmt.Errorf("%s %s", m.Header.Get("Status"), m.Header.Get("Description"))
		}
		revision, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return next, false, fmt.Errorf("an answer without a sequence: %w", err)
		}
		subject := m.Header.Get("Nats-Subject")
		for _, added := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence"} {
			m.Header.Del(added)
		}
		read(Stored{subject, revision, m.Header, m.Data})
		next = revision + 1
	}
}
