package manifest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"natter/session/transfer/tree"
)

func list(t testing.TB, entries ...Entry) *List {
	t.Helper()
	var l List
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
	}
	return &l
}

var some = []Entry{
	{Top, File, 5, "a.txt"}, {Top, Directory, 0, "d"}, {1, File, 0, "empty"}, {1, Directory, 0, "e"}, {3, File, 300_000, "b"}, {Top, File, 1, "../c"},
}

func pages(t testing.TB, l *List) (Summary, [][]byte) {
	t.Helper()
	var list [][]byte
	s, err := l.Pages(func(p []byte) error { list = append(list, p); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s, list
}

func read(s Summary, pages [][]byte) (*List, error) {
	r, err := NewReader(s)
	if err != nil {
		return nil, err
	}
	for _, p := range pages {
		if err := r.Page(p); err != nil {
			return nil, err
		}
	}
	if !r.Done() {
		return nil, errors.New("pages are missing")
	}
	return r.List(), nil
}

func entries(l *List) (list []Entry) {
	for i := range l.Len() {
		list = append(list, l.At(i))
	}
	return list
}

func TestPages(t *testing.T) {
	l := list(t, some...)
	s, p := pages(t, l)
	// The wire form is a promise to other clients.
	if got := hex.EncodeToString(bytes.Join(p, nil)); got != "0106"+"01000505612e747874"+"02000164"+"01020005656d707479"+"02020165"+"0104e0a7120162"+"010001042e2e2f63" {
		t.Errorf("page %s", got)
	}
	again, err := read(s, p)
	if err != nil || !slices.Equal(entries(again), some) {
		t.Errorf("%v: %v", err, again)
	}
	if got := strings.Join(l.Path(4), "/"); got != "d/e/b" {
		t.Error(got)
	}
	// Whoever changes a byte of a page or leaves one out is found out.
	for i := range p[0] {
		bad := bytes.Clone(p[0])
		bad[i] ^= 1
		if _, err := read(s, [][]byte{bad}); err == nil {
			t.Errorf("byte %d changed, and nothing is wrong", i)
		}
		if _, err := read(s, [][]byte{p[0][:i]}); err == nil {
			t.Errorf("%d bytes, and nothing is wrong", i)
		}
	}
	other := s
	other.Entries++
	if _, err := read(other, p); err == nil {
		t.Error("an entry is missing, and nothing is wrong")
	}
	other = s
	other.Size--
	if _, err := read(other, p); err == nil {
		t.Error("a byte too many, and nothing is wrong")
	}
	if _, err := read(s, append(p, p[0])); err == nil {
		t.Error("a page too many, and nothing is wrong")
	}
}

// TestLarge: as many entries as may be, in pages that are full, and not one more.
func TestLarge(t *testing.T) {
	var l List
	for i := range MaxEntries {
		if err := l.Add(Entry{Top, File, 1000, fmt.Sprintf("file %06d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Add(Entry{Top, File, 1, "x"}); err != errMany {
		t.Errorf("one more: %v", err)
	}
	s, p := pages(t, &l)
	if len(p) > l.Len()*18/MaxPage+2 {
		t.Errorf("%d pages", len(p))
	}
	for _, one := range p {
		if len(one) > MaxPage {
			t.Errorf("a page of %d bytes", len(one))
		}
	}
	again, err := read(s, p)
	if err != nil || again.Len() != l.Len() || again.Size() != MaxEntries*1000 || again.At(MaxEntries-1) != l.At(MaxEntries-1) {
		t.Errorf("%v: %v", err, again)
	}
	if got := again.Parts(123_456_500, 1600, nil); !slices.Equal(got, []Part{{123_456, 500, 500}, {123_457, 0, 1000}, {123_458, 0, 100}}) {
		t.Error(got)
	}
}

func TestLimits(t *testing.T) {
	deep := []Entry{{Top, Directory, 0, "d"}}
	for i := range MaxDepth - 1 {
		deep = append(deep, Entry{i, Directory, 0, "d"})
	}
	long := []Entry{{Top, Directory, 0, strings.Repeat("x", 255)}, {0, Directory, 0, strings.Repeat("x", 255)}, {1, Directory, 0, strings.Repeat("x", 255)}}
	stream := []Entry{{Top, Stream, Unknown, "-"}}
	for _, c := range []struct {
		before []Entry
		e      Entry
		want   error
	}{
		{nil, Entry{Top, File, 0, ""}, errName},
		{nil, Entry{Top, File, 0, strings.Repeat("x", 256)}, errName},
		{nil, Entry{0, File, 0, "x"}, errParent},
		{nil, Entry{-2, File, 0, "x"}, errParent},
		{some, Entry{0, File, 0, "x"}, errParent},
		{some, Entry{6, File, 0, "x"}, errParent},
		{some, Entry{1 << 32, File, 0, "x"}, errParent},
		{nil, Entry{Top, 0, 0, "x"}, errKind},
		{nil, Entry{Top, 4, 0, "x"}, errKind},
		{nil, Entry{Top, File, -1, "x"}, errSize},
		{nil, Entry{Top, File, tree.MaxSize + 1, "x"}, errSize},
		{[]Entry{{Top, File, tree.MaxSize, "x"}}, Entry{Top, File, 1, "y"}, errSize},
		{nil, Entry{Top, Directory, 1, "x"}, errSize},
		{nil, Entry{Top, Stream, 0, "x"}, errSize},
		{stream, Entry{Top, File, 1, "x"}, errKind},
		{some, stream[0], errKind},
		{deep, Entry{MaxDepth - 1, Directory, 0, "x"}, errDeep},
		{deep[:MaxDepth-1], Entry{MaxDepth - 2, Directory, 0, "x"}, nil},
		{long, Entry{2, File, 0, strings.Repeat("x", 255)}, errDeep},
	} {
		l := list(t, c.before...)
		if err := l.Add(c.e); err != c.want {
			t.Errorf("%+v: %v, want %v", c.e, err, c.want)
		} else if err != nil && l.Len() != len(c.before) {
			t.Errorf("%+v was added", c.e)
		}
	}
}

func TestSummaries(t *testing.T) {
	for _, s := range []Summary{{}, {Entries: 1}, {Entries: MaxEntries + 1, Pages: 1}, {Entries: 1, Pages: 2}, {Entries: MaxEntries, Pages: MaxPages + 1}, {Entries: 2, Pages: 1, Size: Unknown}, {Entries: 1, Pages: 1, Size: -2}, {Entries: 1, Pages: 1, Size: tree.MaxSize + 1}} {
		if _, err := NewReader(s); err == nil {
			t.Errorf("%+v is possible", s)
		}
	}
	l := list(t, Entry{Top, Stream, Unknown, "-"})
	s, p := pages(t, l)
	if again, err := read(s, p); err != nil || again.At(0) != l.At(0) || again.Size() != Unknown {
		t.Errorf("%v: %v", again, err)
	}
	if got := l.Parts(1<<40, 10, nil); !slices.Equal(got, []Part{{0, 1 << 40, 10}}) {
		t.Error(got)
	}
}

// TestParts: each byte of the content is where it belongs.
func TestParts(t *testing.T) {
	l := list(t, some...)
	var content []Part
	for i, e := range some {
		for off := range e.Size {
			content = append(content, Part{i, off, 1})
		}
	}
	for _, c := range []struct{ at, n int }{{0, 1}, {0, 5}, {0, 6}, {4, 10}, {5, 300_001}, {300_005, 1}, {300_004, 100}, {300_006, 5}, {400_000, 1}} {
		var got []Part
		for _, p := range l.Parts(int64(c.at), c.n, nil) {
			for k := range p.Len {
				got = append(got, Part{p.Entry, p.Offset + int64(k), 1})
			}
		}
		if want := content[min(c.at, len(content)):min(c.at+c.n, len(content))]; !slices.Equal(got, want) {
			t.Errorf("%d bytes at %d are %d elsewhere", c.n, c.at, len(got))
		}
	}
}

func FuzzPage(f *testing.F) {
	_, p := pages(f, list(f, some...))
	f.Add(p[0], uint32(6), int64(300_006))
	f.Add([]byte{1, 1, 3, 0, 1, 'x'}, uint32(1), int64(-1))
	f.Fuzz(func(t *testing.T, page []byte, n uint32, size int64) {
		r, err := NewReader(Summary{Entries: n, Pages: 1, Size: size})
		if err != nil || r.read(page) != nil {
			return
		}
		again := list(t, entries(r.List())...)
		s, p := pages(t, again)
		l, err := read(s, p)
		if err != nil || !slices.Equal(entries(l), entries(again)) {
			t.Fatalf("%v: %v", err, l)
		}
	})
}
