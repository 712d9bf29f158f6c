package source

import (
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"natter/internal/private"
	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

var (
	// ErrChanged is what errors are about a file that is not what it was when it was offered.
	ErrChanged = errors.New("the source has changed")
	// ErrUnread is what errors are about something that cannot be read or sent.
	ErrUnread = errors.New("cannot be read")
)

var errNotRegular = errors.New("it is not a regular file")

// maxOpen is how many files of a source are open at once.
const maxOpen = 16

// Source is the files of an offer. It is used by one goroutine at a time.
type Source struct {
	list    manifest.List
	files   []journal.SourceFile // of each entry; of directories empty
	tops    map[int]string       // the paths of what is at the top
	skipped []string
	cache   *Cache
	open    []file // the one that was used last is the last one
	parts   []manifest.Part
}

// file is an open file.
type file struct {
	entry int
	f     *os.File
}

// List returns what is offered.
func (s *Source) List() *manifest.List { return &s.list }

// Skipped returns paths of links in directories, which are not sent; at most 100.
func (s *Source) Skipped() []string { return s.skipped }

// path is where entry i is.
func (s *Source) path(i int) string {
	if top, ok := s.tops[i]; ok {
		return top
	}
	e := s.list.At(i)
	return filepath.Join(s.path(e.Parent), e.Name)
}

// UseCache opens the cache of the hashes of this source in a directory, and returns the
// hashes of its first pieces that an earlier run has computed. Without a cache, for whatever
// reason, there are none.
func (s *Source) UseCache(dir string, now time.Time) (built tree.Builder, err error) {
	var key journal.Sources
	for i, f := range s.files {
		if s.list.At(i).Kind == manifest.File {
			key.Add(f)
		}
	}
	if s.list.Size() < cacheFrom || !key.Settled(now) {
		return built, nil
	}
	s.cache, built, err = openCache(dir, journal.Header{Kind: journal.Source, Key: key.Key(), Size: s.list.Size()})
	return built, err
}

// Do carries out an effect of a Sender and returns what the Sender is told of it. ok is false
// if the effect is not one of the source, or if nothing is told. The error is what stands
// behind a failure, for the user; that of a cache is none, and the cache is not used any more.
func (s *Source) Do(e transfer.Effect) (in transfer.Input, ok bool, err error) {
	switch e.Kind {
	case transfer.ReadPieces:
		data, err := s.Read(e.Index, e.Count)
		return answer(e, data, false, err)
	case transfer.CacheHashes:
		if s.cache != nil && s.cache.add(e.Index, e.Hashes) != nil {
			s.cache.close()
			s.cache = nil
		}
	}
	return in, false, nil
}

// answer is what a Sender is told of what was read.
func answer(e transfer.Effect, data []byte, end bool, err error) (transfer.Input, bool, error) {
	in := transfer.Input{Kind: transfer.ReadDone, From: e.To, Index: e.Index, Data: data, Yes: end}
	if err != nil {
		in = transfer.Input{Kind: transfer.ReadFailed, From: e.To, Index: e.Index, Reason: Reason(err)}
	}
	return in, true, err
}

// Reason is why something could not be read, as the other side is told.
func Reason(err error) transfer.Reason {
	if errors.Is(err, ErrChanged) {
		return transfer.Changed
	}
	return transfer.Unread
}

// Read reads some pieces, one behind the other; fewer at the end of the content.
func (s *Source) Read(first uint64, count int) ([]byte, error) {
	from := int64(first) * tree.PieceSize
	n := int(max(0, min(int64(count)*tree.PieceSize, s.list.Size()-from)))
	data := make([]byte, n)
	s.parts = s.list.Parts(from, n, s.parts[:0])
	rest := data
	for _, p := range s.parts {
		if err := s.readPart(p, rest[:p.Len]); err != nil {
			return nil, err
		}
		rest = rest[p.Len:]
	}
	return data, nil
}

// readPart reads a part of a file, and then checks that it is still the file that was offered.
func (s *Source) readPart(p manifest.Part, b []byte) error {
	f, fresh, err := s.file(p.Entry)
	if err != nil {
		return err
	}
	_, err = f.ReadAt(b, p.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return unread(s.path(p.Entry), err)
	}
	if changed := s.compare(p.Entry, f); changed != nil {
		return changed
	}
	if err != nil {
		return s.changed(p.Entry, "is shorter now")
	}
	if last := p.Offset+int64(p.Len) == s.files[p.Entry].Size; last && !fresh {
		return s.stillThere(p.Entry, f)
	}
	return nil
}

// file returns the file of entry i, open, and whether it was opened just now.
func (s *Source) file(i int) (f *os.File, fresh bool, err error) {
	if k := slices.IndexFunc(s.open, func(o file) bool { return o.entry == i }); k >= 0 {
		o := s.open[k]
		s.open = append(slices.Delete(s.open, k, k+1), o)
		return o.f, false, nil
	}
	f, err = openRegular(s.path(i))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, false, s.changed(i, "is not there any more")
	case errors.Is(err, errNotRegular):
		return nil, false, s.changed(i, "is another file now")
	case err != nil:
		return nil, false, unread(s.path(i), err)
	}
	if err := s.compare(i, f); err != nil {
		f.Close()
		return nil, false, err
	}
	if len(s.open) == maxOpen {
		s.open[0].f.Close()
		s.open = slices.Delete(s.open, 0, 1)
	}
	s.open = append(s.open, file{i, f})
	return f, true, nil
}

// compare checks that an open file is the one that was offered, and in the same state.
func (s *Source) compare(i int, f *os.File) error {
	is, err := identify(f)
	if err != nil {
		return unread(s.path(i), err)
	}
	switch was := s.files[i]; {
	case is.Device != was.Device || is.Inode != was.Inode:
		return s.changed(i, "is another file now")
	case is.Size < was.Size:
		return s.changed(i, "is shorter now")
	case is.Size > was.Size:
		return s.changed(i, "has grown")
	case !is.Modified.Equal(was.Modified):
		return s.changed(i, "was written")
	}
	return nil
}

// stillThere checks that a file is still what its path leads to.
func (s *Source) stillThere(i int, f *os.File) error {
	now, err := os.Stat(s.path(i))
	if errors.Is(err, os.ErrNotExist) {
		return s.changed(i, "is not there any more")
	}
	opened, ferr := f.Stat()
	if err := errors.Join(err, ferr); err != nil {
		return unread(s.path(i), err)
	}
	if !os.SameFile(now, opened) {
		return s.changed(i, "is another file now")
	}
	return nil
}

func (s *Source) changed(i int, how string) error {
	return private.Errorf(ErrChanged, "%s %s. Offer it again when nothing changes it.", shown(s.path(i)), how)
}

func unread(path string, err error) error {
	return private.Errorf(errors.Join(ErrUnread, err), "Cannot read %s: %v.", shown(path), private.Cause(err))
}

// Close closes all files.
func (s *Source) Close() error {
	var err error
	for _, o := range s.open {
		err = errors.Join(err, o.f.Close())
	}
	s.open = nil
	if s.cache != nil {
		err = errors.Join(err, s.cache.close())
		s.cache = nil
	}
	return err
}

// openRegular opens a regular file, and waits for nobody if it has become a pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, cmp.Or(err, errNotRegular)
	}
	return f, nil
}
