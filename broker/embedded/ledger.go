package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"natter/broker"
	"natter/internal/private"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A ledger says what the state must hold at least: each record's sequence and hash. It is
// a file beside the state, to which a line is added for each change within a second or
// two, and which is written anew when most of its lines are out of date.
//
//	natter ledger 1 2
//	ACCOUNTS 17 natter.state.account.alice 9c1185a5c5e9fc54 5f3a0c11
//	LIVE 230 natter.state.user.bob - 02bb7d3e
//
// A - in the place of the hash is a tombstone's: it may be gone. The last word is the
// line's own checksum: a line that was not written to its end says nothing. The number in
// the title is that of the lines that were written with it; each further one has a higher
// sequence than those before it of its stream.
type ledger struct {
	path  string
	pages map[string]page // by stream
	bad   int             // lines that could not be read
	blank bool            // it is missing, or nothing in it can be read

	file  *os.File // to add to; nil: the file must be written anew
	lines int      // in the file

	mu      sync.Mutex // guards all of it, once the server runs
	drops   []drop     // of the last minute
	audit   uint64     // how far the audit log reached at auditAt
	auditAt time.Time
	closing bool // the server stops in order
}

// page is what the ledger knows of a stream.
type page struct {
	last    uint64           // sequence, up to which it is complete
	records map[string]entry // by subject
}

type entry struct {
	seq uint64
	sum string // of the record's bytes; gone for a tombstone
}

const (
	ledgerFile  = "ledger"
	ledgerTitle = "natter ledger 1 %d\n"
	gone        = "-"
	spareLines  = 10_000 // that may be out of date before the file is written anew
)

// beginLedger writes the ledger of a directory in which nothing has been kept yet. It is
// there before the first key is, so that one that is missing later was lost.
func beginLedger(dir string) error {
	path := filepath.Join(dir, ledgerFile)
	keys, err := filepath.Glob(filepath.Join(dir, keysDir, "*"))
	if err != nil || len(keys) > 0 || exists(path) {
		return err
	}
	return private.Write(path, fmt.Appendf(nil, ledgerTitle, 0))
}

// readLedger reads the ledger of a data directory.
func readLedger(dir string) (*ledger, error) {
	l := &ledger{path: filepath.Join(dir, ledgerFile), pages: map[string]page{}}
	text, err := private.Read("ledger", l.path, private.Large)
	if errors.Is(err, fs.ErrNotExist) {
		l.blank = true
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	title, rest, _ := bytes.Cut(text, []byte("\n"))
	base, n := 0, bytes.Count(rest, []byte("\n"))
	if _, err := fmt.Sscanf(string(title)+"\n", ledgerTitle, &base); err != nil || n < base {
		l.bad++
	}
	for line := range bytes.Lines(rest) {
		if !l.read(string(line)) && bytes.HasSuffix(line, []byte("\n")) {
			l.bad++ // unlike the last one, which the end of the process may have cut off
		}
	}
	l.blank = l.bad > 0 && len(l.pages) == 0
	return l, nil
}

// read takes a line. It is false for one that is damaged.
func (l *ledger) read(line string) bool {
	body, sum, ok := cutLast(strings.TrimSuffix(line, "\n"))
	if !ok || !strings.HasSuffix(line, "\n") || sum != checksum(body) {
		return false
	}
	f := strings.Fields(body)
	if len(f) != 4 {
		return false
	}
	seq, err := strconv.ParseUint(f[1], 10, 64)
	if err == nil {
		l.set(f[0], f[2], entry{seq, f[3]})
	}
	return err == nil
}

func cutLast(line string) (body, sum string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

func checksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

func lineOf(stream, subject string, e entry) []byte {
	body := fmt.Sprintf("%s %d %s %s", stream, e.seq, subject, e.sum)
	return fmt.Appendf(nil, "%s %s\n", body, checksum(body))
}

func (l *ledger) set(stream, subject string, e entry) {
	p := l.pages[stream]
	if p.records == nil {
		p.records = map[string]entry{}
	}
	switch {
	case e.sum == dropped:
		l.apply(drop{subject: subject, upTo: e.seq})
		return
	case e.sum == gone:
		delete(p.records, subject)
	default:
		p.records[subject] = e
	}
	if e.sum != accepted {
		p.last = max(p.last, e.seq)
	}
	l.pages[stream] = p
}

func entryOf(r broker.Stored) entry {
	if r.Gone() {
		return entry{r.Revision, gone}
	}
	sum := sha256.Sum256(r.Data)
	return entry{r.Revision, hex.EncodeToString(sum[:8])}
}

// follow adds what has changed in the streams. What it has added is on the disk when it
// returns without an error.
func (l *ledger) follow(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var added []byte
	for _, stream := range broker.RecordStreams() {
		lines, err := l.followStream(ctx, js, stream)
		if err != nil {
			return fmt.Errorf("follow %s: %w", stream, err)
		}
		added = append(added, lines...)
	}
	for _, follow := range []func(context.Context, jetstream.JetStream) ([]byte, error){l.followMailboxes, l.followAudit} {
		lines, err := follow(ctx, js)
		if err != nil {
			return fmt.Errorf("follow the mailboxes and the audit log: %w", err)
		}
		added = append(added, lines...)
	}
	if l.file == nil || l.lines > 2*l.len()+spareLines {
		return l.write()
	}
	if len(added) == 0 {
		return nil
	}
	return l.add(added)
}

// add adds lines to the file.
func (l *ledger) add(lines []byte) error {
	l.lines += bytes.Count(lines, []byte("\n"))
	_, err := l.file.Write(lines)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.close()
	}
	return err
}

func (l *ledger) followStream(ctx context.Context, js jetstream.JetStream, stream string) ([]byte, error) {
	s, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, p := s.CachedInfo().State, l.pages[stream]
	if uint64(len(p.records)) > state.Msgs { // some were purged that are no tombstones
		l.close()
		p = page{}
		l.pages[stream] = p
	}
	var lines []byte
	if state.LastSeq <= p.last {
		return nil, nil
	}
	err = broker.Records(ctx, js.Conn(), stream, p.last+1, func(r broker.Stored) {
		if r.Revision > state.LastSeq {
			return // next time: a write that failed must not count
		}
		e := entryOf(r)
		l.set(stream, r.Subject, e)
		lines = append(lines, lineOf(stream, r.Subject, e)...)
	})
	if err != nil {
		l.close() // the pages may be ahead of the file
		return nil, err
	}
	if l.pages[stream].last < state.LastSeq { // what had it was purged
		e := entry{state.LastSeq, gone}
		l.set(stream, "-", e)
		lines = append(lines, lineOf(stream, "-", e)...)
	}
	return lines, nil
}

func (l *ledger) len() int {
	n := 0
	for _, p := range l.pages {
		n += len(p.records)
	}
	return n
}

// write writes the whole ledger anew and opens it to be added to.
func (l *ledger) write() error {
	l.close()
	text := fmt.Appendf(nil, ledgerTitle, len(l.pages)+l.len())
	for stream, p := range l.pages {
		text = append(text, lineOf(stream, "-", entry{p.last, gone})...) // what had it may be gone
		for subject, e := range p.records {
			text = append(text, lineOf(stream, subject, e)...)
		}
	}
	if err := private.Write(l.path, text); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return private.Errorf(ErrDataDir, "Cannot write %s: %v.", l.path, private.Cause(err))
	}
	l.file, l.lines = f, l.len()
	return nil
}

func (l *ledger) close() {
	if l.file != nil {
		_ = l.file.Close() // what matters has been synced
		l.file = nil
	}
}

// found is what a comparison has found.
type found struct {
	missing    string              // what is less, as a sentence has it; "" if nothing is
	risen      map[string][]uint64 // by stream: sequences of records that were gone
	unreadable []string            // streams that hold something which cannot be read
	messages   []string            // keys of stored messages that are lost
}

// compare compares what the ledger vouches for with what the server has found, and takes
// that instead. What could not be read to its end is an error: what comes behind may be
// there all the same.
func (l *ledger) compare(ctx context.Context, nc *nats.Conn) (f found, err error) {
	var parts, names []string
	f.risen = map[string][]uint64{}
	for _, stream := range broker.RecordStreams() {
		have, unread, err := readEntries(ctx, nc, stream)
		if err != nil {
			return f, fmt.Errorf("%s cannot be read (%w)", stream, err)
		}
		p, before := l.pages[stream], len(names)
		for subject, e := range p.records {
			if h := have[subject]; h.seq < e.seq || h.seq == e.seq && h != e {
				names = append(names, subject[strings.LastIndexByte(subject, '.')+1:])
			}
		}
		if lost := len(names) - before; lost > 0 {
			parts = append(parts, fmt.Sprintf("%s holds %d of %d %s", stream, len(p.records)-lost, len(p.records), recordsOf(stream)))
		} else if unread > 0 {
			parts = append(parts, fmt.Sprintf("%s has %s, of what had already ended; none of its %s is lost", stream, plural(unread, "unreadable entry", "unreadable entries"), recordsOf(stream)))
		}
		if unread > 0 {
			f.unreadable = append(f.unreadable, stream)
		}
		delete(l.pages, stream)
		for subject, e := range have {
			if l.bad == 0 && p.gone(subject, e) {
				f.risen[stream] = append(f.risen[stream], e.seq)
				continue
			}
			l.set(stream, subject, e)
		}
	}
	part, err := l.compareMailboxes(ctx, nc, &f)
	if err != nil {
		return f, err
	}
	if part != "" {
		parts = append(parts, part)
	}
	f.missing = strings.Join(parts, ", ") + examples(names)
	return f, nil
}

// readEntries is readStream for records.
func readEntries(ctx context.Context, nc *nats.Conn, stream string) (have map[string]entry, unread uint64, err error) {
	have = map[string]entry{}
	unread, err = readStream(ctx, nc, stream, func(r broker.Stored) { have[r.Subject] = entryOf(r) })
	return have, unread, err
}

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

// gone reports whether a record was gone, or it would be on the page.
func (p page) gone(subject string, e entry) bool {
	_, known := p.records[subject]
	return !known && e.seq <= p.last && e.sum != gone
}

func examples(names []string) string {
	const most = 5
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		names = append(names[:most:most], "…")
	}
	return " (missing: " + strings.Join(names, ", ") + ")"
}

func recordsOf(stream string) string {
	if stream == broker.AccountsStream {
		return "accounts"
	}
	return "records"
}

// plural is a number of things, in words.
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// exists reports whether there is a file or directory.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
