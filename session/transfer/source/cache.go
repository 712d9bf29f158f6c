package source

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"natter/internal/private"
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

const (
	// cacheFrom is the smallest content of which hashes are kept: less is read again soon.
	cacheFrom = 8 << 20
	// maxCaches and maxCached are how many files of hashes there are at most, and how many
	// bytes they have; the oldest ones are removed.
	maxCaches = 64
	maxCached = 256 << 20

	suffix = ".hashes"
)

// Cache is the hashes of the first pieces of a source, in a file of a directory of ours.
// What is in it may be lost at any time.
type Cache struct {
	f    *os.File
	j    *journal.Journal
	next uint64
}

// openCache opens the cache of a source, and makes room for it.
func openCache(dir string, h journal.Header) (*Cache, tree.Builder, error) {
	root, err := openCacheDir(dir)
	if err != nil {
		return nil, tree.Builder{}, err
	}
	defer root.Close()
	name := hex.EncodeToString(h.Key[:]) + suffix
	if err := prune(root, name); err != nil {
		return nil, tree.Builder{}, cacheError(dir, err)
	}
	c, built, err := openCacheFile(root, name, h)
	return c, built, cacheError(dir, err)
}

func openCacheDir(dir string) (*os.Root, error) {
	if err := private.Dir(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	return root, cacheError(dir, err)
}

func cacheError(dir string, err error) error {
	if err == nil {
		return nil
	}
	return private.Errorf(errors.Join(private.ErrFile, err), "Cannot keep hashes in %s: %v.", shown(dir), private.Cause(err))
}

func openCacheFile(root *os.Root, name string, h journal.Header) (*Cache, tree.Builder, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, tree.Builder{}, err
	}
	c := &Cache{f: f}
	built, err := c.read(h)
	if err != nil {
		f.Close()
		return nil, tree.Builder{}, err
	}
	now := time.Now()
	_ = root.Chtimes(name, now, now) // it is used: the oldest one is removed first
	return c, built, nil
}

// read reads the hashes that are there, or begins a new file.
func (c *Cache) read(h journal.Header) (built tree.Builder, err error) {
	if err := private.LockFile(c.f); err != nil {
		return built, err
	}
	whole := tree.Pieces(h.Size)
	c.j, err = journal.Open(c.f, h, func(r journal.Record) error {
		if r.Kind != journal.Pieces || r.First != built.Len() || r.First+uint64(len(r.Hashes)) > whole {
			return journal.ErrOther
		}
		for _, hash := range r.Hashes {
			built.Add(hash)
		}
		return nil
	})
	if errors.Is(err, journal.ErrOther) {
		built = tree.Builder{}
		c.j, err = journal.Create(c.f, h)
	}
	c.next = built.Len()
	return built, err
}

// add keeps the hashes of the next pieces.
func (c *Cache) add(first uint64, hashes []tree.Hash) error {
	if first != c.next {
		return fmt.Errorf("hashes from %d behind %d", first, c.next)
	}
	if c.j.Len() > maxCached/2 {
		return errors.New("the file is large enough: the rest is read again")
	}
	for list := range slices.Chunk(hashes, journal.MaxHashes) {
		if err := c.j.Append(journal.Record{Kind: journal.Pieces, First: c.next, Hashes: list}); err != nil {
			return err
		}
		c.next += uint64(len(list))
	}
	return nil
}

func (c *Cache) close() error { return c.f.Close() }

// prune removes the oldest files of hashes, but not one, so that there is room for another.
func prune(root *os.Root, but string) error {
	files, err := cached(root)
	if err != nil {
		return err
	}
	count, total := 1, int64(0)
	for _, f := range files { // the newest first
		if f.Name() == but {
			total += f.Size()
			continue
		}
		if count++; count <= maxCaches && total+f.Size() <= maxCached/2 {
			total += f.Size()
			continue
		}
		if err := root.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// cached lists the files of hashes, the newest first.
func cached(root *os.Root) (list []fs.FileInfo, err error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.Readdir(-1)
	for _, f := range all {
		if strings.HasSuffix(f.Name(), suffix) && f.Mode().IsRegular() {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	return list, err
}
