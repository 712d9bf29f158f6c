package download

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"natter/session/transfer/manifest"
)

// maxOpen is how many files of a transfer are open at once.
const maxOpen = 16

// manyDirty is from how many files and directories on they are synced together, where the
// system can do that.
const manyDirty = 64

// filesDir is the directory, in the working directory, of what is received.
const filesDir = "files"

// files is what is received, in the working directory.
type files struct {
	work  *os.Root
	list  *manifest.List
	names []string // of each entry in its directory
	open  []part   // the one that was used last is the last one
	made  map[int]bool
	dirty map[int]bool    // files that are not synced
	dirs  map[string]bool // directories in which there are names that are not synced
	lost  error           // of a file that was closed: nobody knows what is written
	parts []manifest.Part
}

// part is an open file.
type part struct {
	entry int
	f     *os.File
}

func newFiles(work *os.Root, list *manifest.List) *files {
	f := &files{work: work, list: list, made: map[int]bool{}, dirty: map[int]bool{}, dirs: map[string]bool{}}
	var namer manifest.Namer
	for i := range list.Len() {
		e := list.At(i)
		f.names = append(f.names, namer.Name(e.Parent, e.Name))
	}
	return f
}

// path is where entry i is in the working directory.
func (f *files) path(i int) string {
	if i == manifest.Top {
		return filesDir
	}
	return path.Join(f.path(f.list.At(i).Parent), f.names[i])
}

// mkdir makes the directory of the offer that is entry i, and those that it is in.
func (f *files) mkdir(i int) error {
	if i == manifest.Top || f.made[i] {
		return nil
	}
	above := f.list.At(i).Parent
	if err := f.mkdir(above); err != nil {
		return err
	}
	name := f.path(i)
	switch err := f.work.Mkdir(name, 0o700); {
	case err == nil:
		f.dirs[f.path(above)] = true
	case !errors.Is(err, fs.ErrExist):
		return err
	default:
		if info, err := f.work.Lstat(name); err != nil || !info.IsDir() {
			return cmp.Or(err, planted(f.work, name))
		}
	}
	f.made[i] = true
	return nil
}

// file returns the file of entry i, open.
func (f *files) file(i int) (*os.File, error) {
	if k := slices.IndexFunc(f.open, func(p part) bool { return p.entry == i }); k >= 0 {
		p := f.open[k]
		f.open = append(slices.Delete(f.open, k, k+1), p)
		return p.f, nil
	}
	above := f.list.At(i).Parent
	if err := f.mkdir(above); err != nil {
		return nil, err
	}
	if len(f.open) == maxOpen {
		f.lost = errors.Join(f.lost, f.open[0].f.Close())
		f.open = slices.Delete(f.open, 0, 1)
	}
	file, made, err := openFile(f.work, f.path(i))
	if err != nil {
		return nil, err
	}
	if made {
		f.dirs[f.path(above)] = true
	}
	f.open = append(f.open, part{i, file})
	return file, nil
}

// write writes what is at an offset of the content, to as many files as that is in.
func (f *files) write(offset int64, data []byte) error {
	f.parts = f.list.Parts(offset, len(data), f.parts[:0])
	for _, p := range f.parts {
		file, err := f.file(p.Entry)
		if err != nil {
			return err
		}
		f.dirty[p.Entry] = true
		if _, err := file.WriteAt(data[:p.Len], p.Offset); err != nil {
			return err
		}
		data = data[p.Len:]
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes are behind the end of the content", len(data))
	}
	return nil
}

// sync makes what was written durable.
func (f *files) sync() error {
	if err := f.lost; err != nil {
		f.lost = nil
		return err
	}
	done, err := false, error(nil)
	if len(f.dirty)+len(f.dirs) > manyDirty {
		done, err = syncAll(f.work)
	}
	if !done {
		err = f.syncEach()
	}
	if err == nil {
		clear(f.dirty)
		clear(f.dirs)
	}
	return err
}

func (f *files) syncEach() error {
	for _, i := range slices.Sorted(maps.Keys(f.dirty)) {
		file, err := f.file(i)
		if err == nil {
			err = file.Sync()
		}
		if err != nil {
			return err
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(f.dirs)) {
		if err := syncDir(f.work, dir); err != nil {
			return err
		}
	}
	return nil
}

// complete makes the directories and files that have no content, and checks that the others
// have theirs.
func (f *files) complete() error {
	for i := range f.list.Len() {
		if err := f.completeOne(i, f.list.At(i)); err != nil {
			return err
		}
	}
	return f.sync()
}

func (f *files) completeOne(i int, e manifest.Entry) error {
	if e.Kind == manifest.Directory {
		return f.mkdir(i)
	}
	if e.Size <= 0 {
		_, err := f.file(i)
		return err
	}
	info, err := f.work.Lstat(f.path(i))
	if err == nil && (!info.Mode().IsRegular() || info.Size() != e.Size) {
		err = planted(f.work, f.path(i))
	}
	return err
}

func (f *files) close() error {
	err := f.lost
	for _, p := range f.open {
		err = errors.Join(err, p.f.Close())
	}
	f.open, f.lost = nil, nil
	return err
}
