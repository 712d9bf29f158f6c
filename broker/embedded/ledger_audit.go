package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"natter/broker"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The ledger and the audit log, which may lose its last entries before a crash:
//
//	AUDIT 4711 - - 7d3e02bb

const (
	auditLag  = 3 * time.Minute // an entry of the audit log is on the disk by then
	mostAudit = 100_000         // entries that a start reads; verify reads all
	// accepted stands in the place of a hash for how many entries were lost when that was accepted.
	accepted = "accepted"
)

// followAudit notes how far the audit log reached a while ago, or, when the server stops in
// order, how far it reaches.
func (l *ledger) followAudit(ctx context.Context, js jetstream.JetStream) ([]byte, error) {
	now := time.Now()
	if !l.closing && now.Sub(l.auditAt) < auditLag {
		return nil, nil
	}
	s, err := js.Stream(ctx, broker.AuditStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, sure := s.CachedInfo().State, l.audit
	if l.closing {
		sure = state.LastSeq
	} else {
		l.audit, l.auditAt = state.LastSeq, now
	}
	if sure <= l.pages[broker.AuditStream].last {
		return nil, nil
	}
	e := entry{sure, gone}
	l.set(broker.AuditStream, "-", e)
	return lineOf(broker.AuditStream, "-", e), nil
}

// compareAudit says what the audit log lacks, "" for nothing. Losses that were
// accepted before are not reported again.
func (l *ledger) compareAudit(ctx context.Context, nc *nats.Conn, all, accept bool) (string, error) {
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
	l.audit = state.LastSeq // noted by the next followAudit, without its lag: see flushAudit
	lost := uint64(state.NumDeleted)
	if p.last > state.LastSeq {
		lost += p.last - state.LastSeq
	}
	if state.Msgs > 0 && (all || state.Msgs <= mostAudit) {
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
	return fmt.Sprintf("%s has lost %s of the audit log", broker.AuditStream, plural(lost, "entry", "entries")), nil
}

// flushAudit writes to the disk what a process that was killed has left of the audit log
// to the system, so that a start can vouch for all that it finds.
func (a aside) flushAudit() error {
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
