package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"natter/session/transfer/tree"
)

// disk is a file in memory.
type disk struct {
	b    []byte
	fail error // of the next write, which is half done
	sync error
	cut  error // of Truncate
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d.b)) {
		return 0, io.EOF
	}
	n := copy(p, d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	err := d.fail
	if d.fail != nil {
		p, d.fail = p[:len(p)/2], nil
	}
	if need := int(off) + len(p); need > len(d.b) {
		d.b = append(d.b, make([]byte, need-len(d.b))...)
	}
	return copy(d.b[off:], p), err
}

func (d *disk) Truncate(n int64) error {
	if d.cut == nil {
		d.b = d.b[:n]
	}
	return d.cut
}

func (d *disk) Sync() error { return d.sync }

var header = Header{Kind: Received, Key: Key([16]byte{1, 2}, "alice", tree.Hash{3}), Size: 1 << 40}

func hashes(n int, seed byte) []tree.Hash {
	list := make([]tree.Hash, n)
	for i := range list {
		list[i] = tree.Hash{seed, byte(i >> 8), byte(i)}
	}
	return list
}

func clone(r Record) Record {
	r.Hashes = slices.Clone(r.Hashes)
	return r
}

func equal(a, b Record) bool {
	return a.Kind == b.Kind && a.First == b.First && slices.Equal(a.Hashes, b.Hashes)
}

func read(f File, h Header) (*Journal, []Record, error) {
	var list []Record
	j, err := Open(f, h, func(r Record) error { list = append(list, clone(r)); return nil })
	return j, list, err
}

var some = []Record{
	{Pieces, 0, hashes(3, 1)}, {Pieces, 7, hashes(1, 2)}, {Root, 1 << 40, hashes(1, 3)}, {Pieces, 3, hashes(4, 4)}, {Finished, 0, hashes(1, 3)},
}

func written(t testing.TB) (d *disk, ends []int64) {
	t.Helper()
	d = &disk{}
	j, err := Create(d, header)
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, j.Len())
	for _, r := range some {
		if err := errors.Join(j.Append(r), j.Sync()); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.Len())
	}
	return d, ends
}

// prefix checks that records are the first n that were written.
func prefix(t *testing.T, what string, got []Record, n int) {
	t.Helper()
	if len(got) != n || !slices.EqualFunc(got, some[:n], equal) {
		t.Fatalf("%s: %d records %v, want the first %d", what, len(got), got, n)
	}
}

// TestCut: a file that ends at any byte has all records before it, and goes on.
func TestCut(t *testing.T) {
	whole, ends := written(t)
	for n := range len(whole.b) + 1 {
		d := &disk{b: slices.Clone(whole.b[:n])}
		j, got, err := read(d, header)
		if int64(n) < ends[0] {
			if err != ErrOther || len(d.b) != n {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		want := 0
		for want < len(some) && ends[want+1] <= int64(n) {
			want++
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		prefix(t, fmt.Sprint(n, " bytes"), got, want)
		more := Record{Pieces, 99, hashes(2, 9)}
		if err := j.Append(more); err != nil {
			t.Fatal(err)
		}
		if _, got, err = read(d, header); err != nil || len(got) != want+1 || !equal(got[want], more) {
			t.Fatalf("%d bytes and a record: %v, %v", n, got, err)
		}
	}
}

// TestFlipped: a flipped bit costs what is behind it, and is never believed.
func TestFlipped(t *testing.T) {
	whole, ends := written(t)
	for i := range whole.b {
		for bit := range 8 {
			d := &disk{b: slices.Clone(whole.b)}
			d.b[i] ^= 1 << bit
			_, got, err := read(d, header)
			if int64(i) < ends[0] {
				if err != ErrOther {
					t.Fatalf("byte %d: %v", i, err)
				}
				continue
			}
			want := 0
			for ends[want+1] <= int64(i) {
				want++
			}
			if err != nil {
				t.Fatal(err)
			}
			prefix(t, fmt.Sprint("byte ", i), got, want)
		}
	}
}

// TestMoved: a record is nothing at another place.
func TestMoved(t *testing.T) {
	d, ends := written(t)
	first := d.b[ends[0]:ends[1]]
	d.b = append(d.b, first...)
	_, got, err := read(d, header)
	if err != nil {
		t.Fatal(err)
	}
	prefix(t, "the first record once more", got, len(some))
}

func TestOther(t *testing.T) {
	d, _ := written(t)
	for _, h := range []Header{
		{Source, header.Key, header.Size}, {Received, header.Key, 7}, {Received, tree.Hash{}, header.Size}, {Received, Key([16]byte{1, 2}, "bob", tree.Hash{3}), header.Size},
	} {
		before := slices.Clone(d.b)
		if _, _, err := read(d, h); err != ErrOther || !slices.Equal(d.b, before) {
			t.Errorf("%v: %v", h, err)
		}
	}
	j, err := Create(d, Header{Kind: Source})
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := read(d, Header{Kind: Source}); err != nil || len(got) > 0 || j.Len() != int64(len(d.b)) {
		t.Errorf("%v: %v", err, got)
	}
}

var errFull = errors.New("no space left")

// TestFull: a record that could not be written whole is as if it had not been tried.
func TestFull(t *testing.T) {
	d, _ := written(t)
	j, _, err := read(d, header)
	if err != nil {
		t.Fatal(err)
	}
	before := j.Len()
	d.fail = errFull
	more := Record{Pieces, 99, hashes(2, 9)}
	if err := j.Append(more); err != errFull || j.Len() != before || int64(len(d.b)) != before {
		t.Fatalf("%v: %d bytes, %d in the file", err, j.Len(), len(d.b))
	}
	if err := j.Append(more); err != nil {
		t.Fatal(err)
	}
	if _, got, _ := read(d, header); len(got) != len(some)+1 {
		t.Errorf("%d records", len(got))
	}
	// If it cannot be taken back either, nothing is written behind it.
	d.fail, d.cut = errFull, errFull
	if err := j.Append(more); err != errFull {
		t.Fatal(err)
	}
	d.cut = nil
	if err := j.Append(more); err != errFull {
		t.Errorf("behind something broken: %v", err)
	}
}

func TestSyncFails(t *testing.T) {
	d, _ := written(t)
	j, _, _ := read(d, header)
	d.sync = errFull
	if err := j.Sync(); err != errFull {
		t.Fatal(err)
	}
	d.sync = nil
	if err := j.Append(some[0]); err != errFull {
		t.Errorf("after a failed sync: %v", err)
	}
}

// TestLong: a journal of many full records on a real file.
func TestLong(t *testing.T) {
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "journal"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	j, err := Create(f, header)
	if err != nil {
		t.Fatal(err)
	}
	want := uint64(0)
	for i := range 200 {
		n := 1 + i*37%MaxHashes
		if err := j.Append(Record{Root, want, hashes(1, 7)}, Record{Pieces, want, hashes(n, byte(i))}); err != nil {
			t.Fatal(err)
		}
		want += uint64(n)
	}
	if err := j.Append(Record{Pieces, 0, nil}); err == nil {
		t.Error("a record without hashes")
	}
	if err := j.Append(Record{Pieces, 0, hashes(MaxHashes+1, 0)}); err == nil {
		t.Error("a record of too many hashes")
	}
	next, i := uint64(0), 0
	_, err = Open(f, header, func(r Record) error {
		if r.First != next || r.Kind == Pieces && !slices.Equal(r.Hashes, hashes(len(r.Hashes), byte(i/2))) {
			return fmt.Errorf("record %d: %v", i, r.First)
		}
		if i++; r.Kind == Pieces {
			next += uint64(len(r.Hashes))
		}
		return nil
	})
	if err != nil || next != want || i != 400 {
		t.Errorf("%d hashes in %d records: %v", next, i, err)
	}
}

func FuzzOpen(f *testing.F) {
	d, _ := written(f)
	f.Add(d.b[headerSize:])
	f.Fuzz(func(t *testing.T, records []byte) {
		d := &disk{b: append(header.append(nil), records...)}
		j, got, err := read(d, header)
		if err != nil {
			t.Fatal(err)
		}
		e := &disk{}
		k, err := Create(e, header)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 {
			err = k.Append(got...)
		}
		if err != nil || k.Len() != j.Len() || !slices.Equal(d.b, e.b) {
			t.Fatalf("%v: %d bytes, then %d", err, j.Len(), k.Len())
		}
	})
}

func TestSources(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	a, b := SourceFile{1, 2, 3, now}, SourceFile{1, 3, 3, now}
	key := func(files ...SourceFile) tree.Hash {
		var s Sources
		for _, f := range files {
			s.Add(f)
		}
		return s.Key()
	}
	seen := map[tree.Hash]int{}
	for i, files := range [][]SourceFile{
		{}, {a}, {b}, {a, b}, {b, a}, {a, a}, {{1, 2, 4, now}}, {{2, 2, 3, now}}, {{1, 2, 3, now.Add(1)}}, {{1, 2, 3, now.Add(time.Hour)}},
	} {
		k := key(files...)
		if other, ok := seen[k]; ok {
			t.Errorf("%d and %d have one key", i, other)
		}
		if k != key(files...) {
			t.Errorf("%d has two keys", i)
		}
		seen[k] = i
	}
	var s Sources
	s.Add(b)
	s.Add(SourceFile{Modified: now.Add(-time.Hour)})
	if s.Settled(now.Add(time.Second)) || !s.Settled(now.Add(3*time.Second)) {
		t.Error("settled at another time")
	}
}
