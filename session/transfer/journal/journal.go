// Package journal is what survives a crash of a transfer: an append-only file beside the
// data with the hashes of the pieces that are durable, from which either side goes on without
// reading the data again.
//
// A receiver appends the hashes of pieces once their data is synced, never before: what the
// journal says is there is there. A sender keeps the hashes of what it offers in a file of the
// same form, a cache whose key says which files they are of, and in which state (see Sources).
//
// The file is a header and records:
//
//	header    magic "natterj1", kind 1 byte, key 32 bytes, size 8 bytes, checksum 4 bytes
//	record    kind 1 byte, first 8 bytes, count 2 bytes, count hashes of 32 bytes, checksum 4 bytes
//
// Numbers are big endian. The checksum is CRC-32C over the offset of the header or record in
// the file (8 bytes) and what is before the checksum. What is behind the last whole record,
// as after a crash or on a bad disk, is dropped when the file is opened.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"natter/session/transfer/tree"
)

// Kind is whose file it is.
type Kind uint8

// The kinds of files.
const (
	Received Kind = 1 // what a receiver has
	Source   Kind = 2 // hashes of what is sent
)

// Header is what a file is about. Another one never goes on with it.
type Header struct {
	Kind Kind
	Key  tree.Hash // of Received see Key, of Source see Sources
	Size int64     // of the content in bytes, -1 if it is not known
}

// Key is the key of the journal of a receiver: what is received, from whom, in which transfer.
func Key(transfer [16]byte, from string, manifest tree.Hash) tree.Hash {
	b := append(transfer[:], manifest[:]...)
	return tree.Sum(0, append(b, from...), true)
}

// RecordKind is what a record says.
type RecordKind uint8

// The kinds of records.
const (
	// Pieces: the pieces from First on have these hashes. A receiver has them.
	Pieces RecordKind = 1
	// Root: the whole content, of First bytes, has this hash.
	Root RecordKind = 2
	// Finished: the receiver has verified everything and given it its name. The hash is the root.
	Finished RecordKind = 3
)

// Record is a record.
type Record struct {
	Kind   RecordKind
	First  uint64
	Hashes []tree.Hash // when read: until the next record is
}

// MaxHashes is how many hashes a record has at most.
const MaxHashes = 1024

const (
	magic      = "natterj1"
	headerSize = len(magic) + 1 + tree.HashSize + 8 + 4
	recordHead = 1 + 8 + 2
	checksum   = 4
	maxRecord  = recordHead + MaxHashes*tree.HashSize + checksum
)

// ErrOther says that a file is not the journal that the header is of.
var ErrOther = errors.New("not the journal of this transfer")

// File is where a journal is; *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
}

// Journal is an open file. It is used by one goroutine at a time.
type Journal struct {
	f      File
	end    int64 // of the last whole record
	broken error // there may be something behind end that could not be taken back
	buf    []byte
}

var table = crc32.MakeTable(crc32.Castagnoli)

func sum(offset int64, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.BigEndian.AppendUint64(nil, uint64(offset)), table), table, b)
}

func seal(offset int64, b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, sum(offset, b))
}

// whole reports whether b is sealed.
func whole(offset int64, b []byte) bool {
	n := len(b) - checksum
	return sum(offset, b[:n]) == binary.BigEndian.Uint32(b[n:])
}

func (h Header) append(b []byte) []byte {
	b = append(append(b, magic...), byte(h.Kind))
	return seal(0, binary.BigEndian.AppendUint64(append(b, h.Key[:]...), uint64(h.Size)))
}

// Create makes a file the journal of h, without records and synced. What was in it is gone.
func Create(f File, h Header) (*Journal, error) {
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	b := h.append(nil)
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, err
	}
	return &Journal{f: f, end: int64(len(b))}, f.Sync()
}

// Open reads the journal of h and hands its records to each, whose error it returns. What is
// behind the last whole record is removed. The error is ErrOther if the file is empty or
// another transfer's, or of another state of the source; it is unchanged then.
func Open(f File, h Header, each func(Record) error) (*Journal, error) {
	r := reader{f: f}
	want := h.append(nil)
	got, err := r.peek(headerSize)
	if err != nil {
		return nil, err
	}
	if string(got) != string(want) {
		return nil, ErrOther
	}
	r.skip(headerSize)
	for {
		at := r.at
		rec, ok, err := r.record()
		if err == nil && ok {
			err = each(rec)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return &Journal{f: f, end: at}, f.Truncate(at)
		}
	}
}

// reader reads a file from its beginning with a buffer.
type reader struct {
	f      File
	at     int64 // in the file, of rest
	buf    []byte
	rest   []byte
	hashes []tree.Hash
}

// peek returns the next n bytes, or fewer at the end of the file.
func (r *reader) peek(n int) ([]byte, error) {
	if len(r.rest) < n {
		if r.buf == nil {
			r.buf = make([]byte, 2*maxRecord)
		}
		have := copy(r.buf, r.rest)
		read, err := r.f.ReadAt(r.buf[have:], r.at+int64(have))
		if err != nil && err != io.EOF {
			return nil, err
		}
		r.rest = r.buf[:have+read]
	}
	return r.rest[:min(n, len(r.rest))], nil
}

func (r *reader) skip(n int) {
	r.rest, r.at = r.rest[n:], r.at+int64(n)
}

// record reads a record; if there is no whole one, ok is false.
func (r *reader) record() (rec Record, ok bool, err error) {
	b, err := r.peek(recordHead)
	if err != nil || len(b) < recordHead {
		return rec, false, err
	}
	rec = Record{Kind: RecordKind(b[0]), First: binary.BigEndian.Uint64(b[1:])}
	count := int(binary.BigEndian.Uint16(b[9:]))
	if count == 0 || count > MaxHashes || !rec.Kind.known() {
		return rec, false, nil
	}
	size := recordHead + count*tree.HashSize + checksum
	b, err = r.peek(size)
	if err != nil || len(b) < size || !whole(r.at, b) {
		return rec, false, err
	}
	r.hashes = r.hashes[:0]
	for h := b[recordHead:]; len(h) > checksum; h = h[tree.HashSize:] {
		r.hashes = append(r.hashes, tree.Hash(h[:tree.HashSize]))
	}
	rec.Hashes = r.hashes
	r.skip(size)
	return rec, true, nil
}

func (k RecordKind) known() bool { return k >= Pieces && k <= Finished }

// Append appends records, which are not durable before Sync. If they cannot be written the
// journal is as before.
func (j *Journal) Append(records ...Record) error {
	if j.broken != nil {
		return j.broken
	}
	b := j.buf[:0]
	for _, rec := range records {
		if n := len(rec.Hashes); n == 0 || n > MaxHashes {
			return fmt.Errorf("a record of %d hashes", n)
		}
		from := len(b)
		b = binary.BigEndian.AppendUint64(append(b, byte(rec.Kind)), rec.First)
		b = binary.BigEndian.AppendUint16(b, uint16(len(rec.Hashes)))
		for _, h := range rec.Hashes {
			b = append(b, h[:]...)
		}
		b = binary.BigEndian.AppendUint32(b, sum(j.end+int64(from), b[from:]))
	}
	j.buf = b
	if _, err := j.f.WriteAt(b, j.end); err != nil {
		j.broken = j.f.Truncate(j.end)
		return err
	}
	j.end += int64(len(b))
	return nil
}

// Sync makes what was appended durable. After an error nobody knows what is: the journal is
// to be opened anew.
func (j *Journal) Sync() error {
	if j.broken != nil {
		return j.broken
	}
	j.broken = j.f.Sync()
	return j.broken
}

// Len returns the length of the file in bytes.
func (j *Journal) Len() int64 { return j.end }
