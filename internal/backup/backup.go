// Package backup writes what lasts of an installation into one file, while it runs, and
// brings it back.
//
//	natter backup 1\n
//	length, JSON     the header: when, by which release, the last revision
//	length, JSON     a file of the embedded server's data directory: its keys; none of an existing NATS
//	length, JSON     a record
//	...
//	0, SHA-256       of everything before
//
// A length has four bytes, the highest first. The whole may be encrypted with age.
//
// # What lasts
//
// Accounts, bans, passes and tickets that are void. Who is here, invitations and
// chats under way are not in it: they would be those of a moment that is over, and the
// clients' own memory of them is newer. After a restore, users come back with the keys
// and tickets that they have, and are told that their chats have ended. Revisions go on
// far behind those of the backup, so that no client takes the past for news.
//
// # Consistency
//
// A stream is read to its end, and the last record of each subject counts: that is what
// the stream held when its end was reached. Every step changes exactly one record of one
// stream, so there is no step of which half could be in the file; and what stands in
// different streams was true within the seconds that the reading took.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
	"natter/internal/private"
)

const (
	title    = "natter backup "
	version  = "1"
	longest  = 1 << 20 // of a part
	sumBytes = sha256.Size
)

// Header is what a backup says of itself.
type Header struct {
	At       time.Time `json:"at"`
	Release  string    `json:"release"`
	Revision uint64    `json:"revision"` // of LIVE
}

// part is what follows the title, again and again. One field is set.
type part struct {
	Header *Header `json:"header,omitempty"`
	File   *file   `json:"file,omitempty"`
	Record *record `json:"record,omitempty"`
}

// file is one of the data directory, under it.
type file struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

type record struct {
	Stream  string `json:"stream"`
	Subject string `json:"subject"`
	Data    []byte `json:"data"`
}

// Contents is a backup that was read.
type Contents struct {
	Header
	Files   map[string][]byte // of a data directory; none for an existing NATS
	records []record
}

// Accounts counts.
func (c *Contents) Accounts() int {
	n := 0
	for _, r := range c.records {
		if r.Stream == broker.AccountsStream {
			n++
		}
	}
	return n
}

// lasts reports whether a record is saved: who is here and what they are in does not last.
func lasts(subject string) bool {
	return !strings.HasPrefix(subject, chat.StateRoot+".mark.") && !strings.HasPrefix(subject, chat.StateRoot+".user.") && !strings.HasPrefix(subject, chat.StateRoot+".session.")
}

// Save reads the streams through nc, which needs chat.StoringGrant, and writes a backup.
func Save(ctx context.Context, w io.Writer, nc *nats.Conn, files map[string][]byte) (*Contents, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	var live jetstream.Stream
	err = retry(ctx, func(ctx context.Context) (err error) {
		live, err = js.Stream(ctx, broker.LiveStream)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, chat.Errorf(chat.NotConnected, "No coordinator has stored anything there yet.")
	}
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", broker.LiveStream, err)
	}
	c := &Contents{Files: files, Header: Header{At: time.Now().UTC(), Release: chat.Release, Revision: live.CachedInfo().State.LastSeq}}
	for _, stream := range broker.RecordStreams() {
		last := map[string][]byte{}
		err := broker.Records(ctx, nc, stream, 1, func(r broker.Stored) {
			if lasts(r.Subject) {
				last[r.Subject] = r.Data
			}
		})
		if err != nil {
			return nil, err
		}
		for _, subject := range slices.Sorted(maps.Keys(last)) {
			c.records = append(c.records, record{stream, subject, last[subject]})
		}
	}
	return c, c.write(w)
}

func (c *Contents) write(to io.Writer) error {
	w := &summing{to: to, sum: sha256.New()}
	w.bytes([]byte(title + version + "\n"))
	w.part(part{Header: &c.Header})
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		w.part(part{File: &file{name, c.Files[name]}})
	}
	for i := range c.records {
		w.part(part{Record: &c.records[i]})
	}
	w.bytes(binary.BigEndian.AppendUint32(nil, 0))
	w.bytes(w.sum.Sum(nil))
	return w.err
}

// summing writes and sums up. The first error ends it.
type summing struct {
	to  io.Writer
	sum hash.Hash
	err error
}

func (w *summing) bytes(b []byte) {
	if w.err == nil {
		w.sum.Write(b)
		_, w.err = w.to.Write(b)
	}
}

func (w *summing) part(p part) {
	data, err := json.Marshal(p)
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	w.bytes(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
}

var (
	errNone    = private.Errorf(private.ErrFile, "This is no backup of chatcoord.")
	errDamaged = private.Errorf(private.ErrFile, "This backup is damaged or not complete: nothing of it can be trusted. Use another one.")
)

// Read reads a backup whole. Its error is an *chat.Error, and private.ErrFile, if it is
// none, is damaged, or of a later release.
func Read(r io.Reader) (*Contents, error) {
	sum := sha256.New()
	all := io.TeeReader(r, sum)
	if err := readTitle(all); err != nil {
		return nil, err
	}
	c := &Contents{Files: map[string][]byte{}}
	for {
		p, err := readPart(all)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return c, c.checkEnd(r, sum.Sum(nil))
		}
		c.add(p)
	}
}

func (c *Contents) add(p *part) {
	switch {
	case p.Header != nil:
		c.Header = *p.Header
	case p.File != nil:
		c.Files[p.File.Name] = p.File.Data
	case p.Record != nil:
		c.records = append(c.records, *p.Record)
	}
}

// checkEnd compares the sum, behind which nothing comes.
func (c *Contents) checkEnd(r io.Reader, sum []byte) error {
	rest, err := io.ReadAll(io.LimitReader(r, sumBytes+1))
	if err != nil || string(rest) != string(sum) || c.Release == "" {
		return errDamaged
	}
	return nil
}

func readTitle(r io.Reader) error {
	line := make([]byte, len(title)+len(version)+1)
	if _, err := io.ReadFull(r, line); err != nil || !strings.HasPrefix(string(line), title) {
		return errNone
	}
	if string(line) != title+version+"\n" {
		return private.Errorf(private.ErrFile, "This backup was written by a later chatcoord than this one, %s. Use that one.", chat.Release)
	}
	return nil
}

// readPart returns nothing at the end.
func readPart(r io.Reader) (*part, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, errDamaged
	}
	n := binary.BigEndian.Uint32(head)
	if n == 0 {
		return nil, nil
	}
	if n > longest {
		return nil, errDamaged
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, errDamaged
	}
	p := &part{}
	if json.Unmarshal(data, p) != nil {
		return nil, errDamaged
	}
	return p, nil
}
