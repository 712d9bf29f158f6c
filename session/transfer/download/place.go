package download

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"natter/session/transfer/manifest"
)

const (
	namesFile = "names"
	// atOnce is how many files get their names between two syncs.
	atOnce = 256
	// maxTries is how many names are tried for one file.
	maxTries = 10_000
)

// intent says which name an entry is about to get in the download directory. That of entry
// ready says that everything is in the working directory.
type intent struct {
	Entry int
	Name  string
}

const ready = -1

// placer gives what is at the top of a list its names in the download directory.
type placer struct {
	root  *os.Root
	work  string // the name of the working directory
	files *files
	f     *os.File       // the intents
	names map[int]string // the last intent of each entry
}

// place gives everything its name, or goes on with that.
func (t *Transfer) place() error {
	f, _, err := openFile(t.work, namesFile)
	if err != nil {
		return err
	}
	defer f.Close()
	p := &placer{root: t.root, work: workName(t.offer.ID), files: t.files, f: f, names: map[int]string{}}
	if err := p.read(); err != nil {
		return err
	}
	if _, ok := p.names[ready]; !ok {
		if err := t.files.complete(); err != nil {
			return err
		}
		if err := errors.Join(syncDir(t.work, "."), p.note([]int{ready})); err != nil {
			return err
		}
	}
	if err := t.files.close(); err != nil { // Windows renames no directory in which a file is open
		return err
	}
	tops := p.tops()
	for batch := range slices.Chunk(tops, atOnce) {
		if err := p.batch(batch); err != nil {
			return err
		}
	}
	t.placed = nil
	for _, i := range tops {
		t.placed = append(t.placed, p.names[i])
	}
	return nil
}

// tops is what is at the top of the list.
func (p *placer) tops() (list []int) {
	for i := range p.files.list.Len() {
		if p.files.list.At(i).Parent == manifest.Top {
			list = append(list, i)
		}
	}
	return list
}

// read reads the intents of an earlier run. One that was cut short was not acted on.
func (p *placer) read() error {
	in := bufio.NewScanner(p.f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var i intent
		if json.Unmarshal(in.Bytes(), &i) == nil {
			p.names[i.Entry] = i.Name
		}
	}
	return in.Err()
}

// note writes down which names entries are about to get.
func (p *placer) note(entries []int) error {
	if len(entries) == 0 {
		return nil
	}
	b := []byte{'\n'} // what is before may have been cut short
	for _, i := range entries {
		line, err := json.Marshal(intent{i, p.names[i]})
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	if _, err := p.f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err := p.f.Write(b); err != nil {
		return err
	}
	return p.f.Sync()
}

// batch gives some entries their names.
func (p *placer) batch(entries []int) error {
	var todo []int
	for _, i := range entries {
		done, err := p.done(i)
		if err == nil && !done {
			p.names[i], err = p.unused(i, 0)
			todo = append(todo, i)
		}
		if err != nil {
			return err
		}
	}
	if err := p.note(todo); err != nil {
		return err
	}
	for _, i := range todo {
		if err := p.move(i); err != nil {
			return err
		}
	}
	if err := syncDir(p.root, "."); err != nil {
		return err
	}
	return p.unlink(entries)
}

// from is where an entry is before it has its name.
func (p *placer) from(i int) string { return path.Join(p.work, p.files.path(i)) }

// done reports whether an entry has its name.
func (p *placer) done(i int) (bool, error) {
	here, err := p.root.Lstat(p.from(i))
	name, named := p.names[i]
	if errors.Is(err, fs.ErrNotExist) && named {
		return true, nil
	}
	if err != nil || !named {
		return false, err
	}
	there, err := p.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(here, there), err
}

// unused returns the first name for an entry, from number k on, that is not taken now.
func (p *placer) unused(i, k int) (string, error) {
	name := p.files.names[i]
	for ; k < maxTries; k++ {
		try := name
		if k > 0 {
			try = manifest.Numbered(name, k)
		}
		_, err := p.root.Lstat(try)
		if errors.Is(err, fs.ErrNotExist) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s and %d more names like it are taken: %w", name, maxTries-1, fs.ErrExist)
}

// move gives an entry its name, or the next one if that was taken meanwhile.
func (p *placer) move(i int) error {
	move := p.moveFile
	if p.files.list.At(i).Kind == manifest.Directory {
		move = p.moveDir
	}
	for {
		err := move(p.from(i), p.names[i])
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if p.names[i], err = p.unused(i, 1); err != nil {
			return err
		}
		if err := p.note([]int{i}); err != nil {
			return err
		}
	}
}

// moveDir renames a directory. No system renames one over something that is not empty.
func (p *placer) moveDir(from, to string) error {
	if info, err := p.root.Lstat(from); err != nil || !info.IsDir() {
		return errors.Join(planted(p.root, from), err)
	}
	if _, err := p.root.Lstat(to); err == nil {
		return fs.ErrExist
	}
	err := p.root.Rename(from, to)
	if _, taken := p.root.Lstat(to); err != nil && taken == nil {
		return fs.ErrExist
	}
	return err
}

// moveFile gives a file a second name. The first one is removed later, when the second is
// durable, except where files have one name only.
func (p *placer) moveFile(from, to string) error {
	if info, err := p.root.Lstat(from); err != nil || !info.Mode().IsRegular() {
		return errors.Join(planted(p.root, from), err)
	}
	err := p.root.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return p.replace(from, to)
}

// replace renames a file over an empty one that it makes, so that it takes no other's place.
func (p *placer) replace(from, to string) error {
	f, err := p.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	return p.root.Rename(from, to)
}

// unlink removes the first names of files that have a second one.
func (p *placer) unlink(entries []int) error {
	for _, i := range entries {
		if p.files.list.At(i).Kind == manifest.Directory {
			continue
		}
		if err := p.root.Remove(p.from(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
