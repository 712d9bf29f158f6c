package download

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

const onWindows = runtime.GOOS == "windows"

// TestPlanted: a link in the place of what this program makes is refused, and what it leads
// to is as before, inside the download directory and outside of it.
func TestPlanted(t *testing.T) {
	for _, at := range []string{"", offerFile, pagesFile, journalFile, draftFile, filesDir, filesDir + "/d", filesDir + "/d/a", namesFile} {
		for _, inside := range []bool{false, true} {
			t.Run(filepath.Base("work/"+at)+map[bool]string{true: " inside", false: " outside"}[inside], func(t *testing.T) { plant(t, at, inside) })
		}
	}
}

func plant(t *testing.T, at string, inside bool) {
	dir := t.TempDir()
	victims := filepath.Join(t.TempDir(), "victims")
	if inside {
		victims = filepath.Join(dir, "victims")
	}
	for _, name := range []string{"dir/a", "file"} {
		path := filepath.Join(victims, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("precious"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	before := readTree(t, victims)
	root := openDir(t, dir)
	s := newSample(t, item{"d/", ""}, item{"d/a", random(tree.PieceSize, 1)}, item{"d/b", "B"})
	link := func() {
		t.Helper()
		target := filepath.Join(victims, "file")
		if at == "" || at == filesDir || at == filesDir+"/d" {
			target = filepath.Join(victims, "dir")
		}
		path := filepath.Join(dir, workName(s.offer.ID), filepath.FromSlash(at))
		os.RemoveAll(path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(target, path)); err != nil {
			t.Skip(err)
		}
	}
	// Before it begins, and then at each later point.
	link()
	run := func() error {
		d, err := Begin(root, s.offer)
		if err != nil {
			return err
		}
		defer d.Close()
		if err := errors.Join(d.KeepPage(0, s.pages[0]), d.Accept()); err != nil {
			return err
		}
		return s.through(d)
	}
	// A directory without an offer is what a crash has left: it is made anew.
	if err := run(); (err != nil) != (at == "" || at == offerFile) {
		t.Errorf("begun: %v", err)
	}
	same(t, readTree(t, victims), before)
	os.RemoveAll(filepath.Join(dir, workName(s.offer.ID)))
	d := s.accepted(t, root)
	s.receive(t, d, 0)
	d.Close()
	link()
	d, err := Open(root, s.offer.ID)
	if err == nil {
		err = s.through(d)
		d.Close()
	}
	if err == nil && at != draftFile {
		t.Error("went on")
	}
	same(t, readTree(t, victims), before)
	_ = Remove(root, s.offer.ID)
	same(t, readTree(t, victims), before)
}

// through does all that a transfer does, up to the first error.
func (s *sample) through(d *Transfer) error {
	if err := d.Replay(func(journal.Record) error { return nil }); err != nil {
		return err
	}
	fx := []transfer.Effect{{Kind: transfer.WritePiece, Data: s.piece(0)}, {Kind: transfer.WritePiece, Index: 1, Data: s.piece(1)}, {Kind: transfer.SyncData},
		{Kind: transfer.AppendRecords, Records: []journal.Record{{Kind: journal.Pieces, Hashes: []tree.Hash{s.hash(0), s.hash(1)}}}}, {Kind: transfer.Place}}
	for _, e := range fx {
		if _, _, err := d.Do(e); err != nil {
			return err
		}
	}
	return nil
}

// TestPlantedWithin: a link from one file of a transfer to another is refused as well.
func TestPlantedWithin(t *testing.T) {
	for _, name := range []string{filesDir + "/a", namesFile, pagesFile, offerFile} {
		root := openDir(t, t.TempDir())
		s := newSample(t, item{"a", random(tree.PieceSize, 1)}, item{"b", "B"})
		s.accepted(t, root).Close()
		path := filepath.Join(root.Name(), workName(s.offer.ID), filepath.FromSlash(name))
		os.Remove(path)
		target := journalFile
		if name == filesDir+"/a" {
			target = "../" + target
		}
		if err := os.Symlink(target, path); err != nil {
			t.Skip(err)
		}
		d, err := Open(root, s.offer.ID)
		if err == nil {
			err = s.through(d)
			d.Close()
		}
		sentence(t, err, ErrPlanted)
	}
}

// TestForeign: a directory that somebody else has made is not used.
func TestForeign(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	root := openDir(t, t.TempDir())
	s := newSample(t, item{"a", "A"})
	s.accepted(t, root).Close()
	if err := os.Chown(filepath.Join(root.Name(), workName(s.offer.ID)), 4711, 4711); err != nil {
		t.Fatal(err)
	}
	_, err := Open(root, s.offer.ID)
	sentence(t, err, ErrPlanted)
	_, err = Begin(root, s.offer)
	sentence(t, err, ErrPlanted)
}

// TestFull: the space is looked at before a transfer is accepted, and while it goes on.
func TestFull(t *testing.T) {
	root := openDir(t, t.TempDir())
	s := newSample(t, item{"a", random(9<<20, 1)})
	d := s.begun(t, root)
	room := int64(margin + 9<<20 - 1)
	d.free = func(*os.Root) (int64, error) { return room, nil }
	sentence(t, d.Accept(), ErrFull)
	if d.Accepted() {
		t.Error("accepted")
	}
	room++
	if err := d.Accept(); err != nil {
		t.Fatal(err)
	}
	s.receive(t, d, 0)
	room = margin
	last := uint64(0)
	for i := uint64(1); ; i++ {
		in, _, err := d.Do(transfer.Effect{Kind: transfer.WritePiece, Index: i, Data: s.piece(i)})
		if err != nil {
			sentence(t, err, ErrFull)
			if in.Kind != transfer.WriteFailed || in.Reason != transfer.Full || in.Index != i {
				t.Errorf("%+v", in)
			}
			break
		}
		last = i
	}
	if last*tree.PieceSize > lookEvery {
		t.Errorf("noticed behind piece %d", last)
	}
	room = 1 << 40
	s.receive(t, d, last+1)
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
}

func TestReason(t *testing.T) {
	for err, want := range map[error]transfer.Reason{
		&os.PathError{Err: noSpaceError}: transfer.Full, &os.PathError{Err: syscall.EIO}: transfer.Unkept, os.ErrPermission: transfer.Unkept,
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v is %v", err, got)
		}
	}
	sentence(t, what(&os.PathError{Err: noSpaceError}, "write", openDir(t, t.TempDir())), ErrFull)
}

// TestList: what is unfinished is listed, also while it is under way, and removed.
func TestList(t *testing.T) {
	root := openDir(t, t.TempDir())
	s := newSample(t, item{"a\x1b[2J", random(3*tree.PieceSize, 1)}, item{"d/", ""}, item{"d/b", "B"})
	d := s.accepted(t, root)
	s.receive(t, d, 1)
	other := newSample(t, item{"x", "X"})
	other.offer.ID = transfer.ID{4}
	other.begun(t, root).Close()
	broken := newSample(t, item{"y", "Y"})
	broken.offer.ID = transfer.ID{5}
	broken.begun(t, root).Close()
	if err := os.Truncate(filepath.Join(root.Name(), workName(broken.offer.ID), offerFile), 3); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".natter-", ".natter-0102", ".natter-0A000000000000000000000000000000", "readme"} {
		if err := root.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	list, err := List(root)
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, u := range list {
		switch u.ID {
		case s.offer.ID:
			if u.From != "alice" || !u.Accepted || u.Have != tree.PieceSize || u.Size != int64(len(s.content)) || u.Entries != 3 || len(u.Names) != 2 || u.Names[0] != `a\x1b[2J` || u.Modified.IsZero() {
				t.Errorf("%+v", u)
			}
			sentence(t, Remove(root, u.ID), ErrBusy)
			d.Close()
		case other.offer.ID:
			if u.Accepted || u.Have != 0 || u.Size != 1 || u.Names[0] != "x" {
				t.Errorf("%+v", u)
			}
		case broken.offer.ID:
			if u.From != "" || u.Size != -1 {
				t.Errorf("%+v", u)
			}
		}
		if err := Remove(root, u.ID); err != nil {
			t.Error(err)
		}
	}
	same(t, readTree(t, root.Name()), map[string]string{".natter-": "/", ".natter-0102": "/", ".natter-0A000000000000000000000000000000": "/", "readme": "/"})
}

// TestJournalFails: what could not be synced is taken back, and the journal goes on.
func TestJournalFails(t *testing.T) {
	root := openDir(t, t.TempDir())
	s := newSample(t, item{"a", random(4*tree.PieceSize, 1)})
	d := s.accepted(t, root)
	s.receive(t, d, 0)
	if err := d.journal.j.Append(journal.Record{Kind: journal.Pieces, First: 3, Hashes: []tree.Hash{s.hash(3)}}); err != nil {
		t.Fatal(err)
	}
	d.journal.j = nil // as after a failed sync
	s.receive(t, d, 1)
	if _, have := reopen(t, root, d); len(have) != 2 || have[1] != 1 {
		t.Errorf("%v are recorded", have)
	}
}
