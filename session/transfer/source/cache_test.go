package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"natter/internal/private"
	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

func hashesOf(content []byte) (list []tree.Hash) {
	for i := range tree.Pieces(int64(len(content))) {
		from := int(i) * tree.PieceSize
		list = append(list, tree.Sum(i, content[from:min(len(content), from+tree.PieceSize)], false))
	}
	return list
}

// TestCache: hashes survive the program, and not a change of the source.
func TestCache(t *testing.T) {
	content := random(cacheFrom+5, 1)
	path := write(t, filepath.Join(t.TempDir(), "a"), content)
	dir := filepath.Join(t.TempDir(), "hashes")
	hashes := hashesOf(content)
	keep := func(s *Source, from, to int) {
		t.Helper()
		if _, ok, err := s.Do(transfer.Effect{Kind: transfer.CacheHashes, Index: uint64(from), Hashes: hashes[from:to]}); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	open := func(want int) *Source {
		t.Helper()
		s := newSource(t, path)
		built, err := s.UseCache(dir, time.Now())
		if err != nil || built.Len() != uint64(want) {
			t.Fatalf("%d hashes, want %d: %v", built.Len(), want, err)
		}
		var b tree.Builder
		for _, h := range hashes[:want] {
			b.Add(h)
		}
		if built.Root() != b.Root() {
			t.Error("other hashes")
		}
		return s
	}
	s := open(0)
	keep(s, 0, 3)
	keep(s, 3, 10)
	if other, err := New(path); err != nil {
		t.Fatal(err)
	} else if _, err = other.UseCache(dir, time.Now()); !errors.Is(err, private.ErrLocked) {
		t.Errorf("used by two: %v", err)
	}
	s.Close()
	s = open(10)
	keep(s, 11, 12) // not the next ones: the cache is given up
	keep(s, 10, 11)
	s.Close()
	s = open(10)
	keep(s, 10, len(hashes))
	s.Close()
	open(len(hashes)).Close()

	now := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	s = open(0)
	s.Close()
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	s = open(0)
	if s.cache != nil {
		t.Error("a file that may still change has a cache")
	}
}

// TestCacheIsBounded: the oldest hashes go first.
func TestCacheIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hashes")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range maxCaches + 10 {
		path := filepath.Join(dir, fmt.Sprintf("%03d%s", i, suffix))
		at := time.Now().Add(-time.Duration(i) * time.Minute)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "005"+suffix), maxCached); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-5 * time.Minute)
	if err := errors.Join(os.Chtimes(filepath.Join(dir, "005"+suffix), at, at), os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, write(t, filepath.Join(t.TempDir(), "a"), random(cacheFrom, 1)))
	if _, err := s.UseCache(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > maxCaches+1 || len(left) < maxCaches-1 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
	for name, want := range map[string]bool{"000" + suffix: true, "004" + suffix: true, "005" + suffix: false, "073" + suffix: false, "mine": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCacheWithGap: hashes that are not those of the first pieces are of no use.
func TestCacheWithGap(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a"), random(cacheFrom, 1))
	dir := filepath.Join(t.TempDir(), "hashes")
	for _, r := range []journal.Record{
		{Kind: journal.Pieces, First: 1, Hashes: make([]tree.Hash, 1)},
		{Kind: journal.Pieces, First: 0, Hashes: make([]tree.Hash, 100)},
		{Kind: journal.Finished, First: 0, Hashes: make([]tree.Hash, 1)},
	} {
		s := newSource(t, path)
		if _, err := s.UseCache(dir, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := s.cache.j.Append(r); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = newSource(t, path)
		if built, err := s.UseCache(dir, time.Now()); err != nil || built.Len() != 0 {
			t.Errorf("%d hashes: %v", built.Len(), err)
		}
		s.Close()
	}
}
