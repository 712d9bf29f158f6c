package download

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"natter/chat"
	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
	"natter/session/transfer/ranges"
	"natter/session/transfer/tree"
)

const (
	// shownNames is how many names of an unfinished transfer are listed.
	shownNames = 10
	// maxListed is how many unfinished transfers are listed.
	maxListed = 1000
)

// Unfinished is a transfer that is not complete. If its files are damaged only ID and
// Modified are known.
type Unfinished struct {
	ID       transfer.ID
	From     chat.User
	Accepted bool
	Names    []string // the first ones at the top, fit to be printed; they are offered, not given
	Entries  int      // files and directories
	Have     int64    // bytes that are durable
	Size     int64    // of all, or -1: not known
	Modified time.Time
}

// List returns the unfinished transfers in a download directory. They are not changed, and
// may be under way.
func List(root *os.Root) ([]Unfinished, error) {
	list, err := unfinished(root)
	return list, what(err, "list unfinished transfers", root)
}

func unfinished(root *os.Root) (list []Unfinished, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for len(list) < maxListed {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if id, ok := idOf(e.Name()); ok && len(list) < maxListed {
				list = append(list, inspect(root, id))
			}
		}
		if err != nil {
			return list, partial(err)
		}
	}
	return list, nil
}

// inspect looks at a transfer and reads as much as can be read.
func inspect(root *os.Root, id transfer.ID) Unfinished {
	u := Unfinished{ID: id, Size: manifest.Unknown}
	if info, err := root.Lstat(workName(id)); err == nil {
		u.Modified = info.ModTime()
	}
	work, err := openWork(root, id)
	if err != nil {
		return u
	}
	defer work.Close()
	var o Offer
	if u.read(work, offerFile, func(f *os.File) (err error) { o, err = readOffer(id, f); return err }) != nil {
		return u
	}
	u.From, u.Entries, u.Size = o.From, int(o.Summary.Entries), o.Summary.Size
	_ = u.read(work, pagesFile, func(f *os.File) error { return u.readNames(f, o) })
	u.Accepted = u.read(work, journalFile, func(f *os.File) error { return u.readJournal(f, o) }) == nil
	return u
}

// read has a file read, and notes when it was written.
func (u *Unfinished) read(work *os.Root, name string, read func(*os.File) error) error {
	f, err := openThere(work, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.ModTime().After(u.Modified) {
		u.Modified = info.ModTime()
	}
	return read(f)
}

func (u *Unfinished) readNames(f *os.File, o Offer) error {
	r, err := manifest.NewReader(o.Summary)
	if err != nil {
		return err
	}
	_, err = readPages(f, r)
	for i := 0; i < r.List().Len() && len(u.Names) < shownNames; i++ {
		if e := r.List().At(i); e.Parent == manifest.Top {
			u.Names = append(u.Names, manifest.Shown(e.Name))
		}
	}
	return err
}

func (u *Unfinished) readJournal(f *os.File, o Offer) error {
	t := Transfer{offer: o}
	var have ranges.Set
	_, err := journal.Open(unchanged{f}, t.header(), func(r journal.Record) error {
		if r.Kind == journal.Pieces {
			have.Add(ranges.Range{First: r.First, End: r.First + uint64(len(r.Hashes))})
		}
		return nil
	})
	u.Have = int64(have.Len()) * tree.PieceSize
	if u.Size >= 0 {
		u.Have = min(u.Have, u.Size)
	}
	return err
}

// unchanged is a file that is only read: a program may be writing it.
type unchanged struct{ *os.File }

// Truncate leaves the end of the journal to whom it belongs.
func (unchanged) Truncate(int64) error { return nil }

// Remove removes an unfinished transfer with what it has received. ErrBusy says that another
// program works on it.
func Remove(root *os.Root, id transfer.ID) error {
	t, err := Open(root, id)
	switch {
	case err == nil:
		return t.End()
	case errors.Is(err, ErrBusy), errors.Is(err, ErrPlanted), errors.Is(err, fs.ErrNotExist):
		return err
	}
	return what(root.RemoveAll(workName(id)), "remove a transfer", root)
}
