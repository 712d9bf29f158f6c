package download

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

// item is something that is offered.
type item struct {
	path    string // with slashes; one at the end of a directory
	content string
}

// sample is an offer and its content.
type sample struct {
	offer   Offer
	pages   [][]byte
	content []byte
}

func newSample(t testing.TB, items ...item) *sample {
	t.Helper()
	s := &sample{offer: Offer{ID: transfer.ID{1, 2, 3}, From: "alice"}}
	var list manifest.List
	at := map[string]int{".": manifest.Top}
	for _, it := range items {
		clean := strings.TrimSuffix(it.path, "/")
		dir, name := filepath.ToSlash(filepath.Dir(clean)), clean[strings.LastIndexByte(clean, '/')+1:]
		e := manifest.Entry{Parent: at[dir], Kind: manifest.File, Size: int64(len(it.content)), Name: name}
		if clean != it.path {
			e.Kind, at[clean] = manifest.Directory, list.Len()
		}
		s.content = append(s.content, it.content...)
		if err := list.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	s.seal(t, &list)
	return s
}

func (s *sample) seal(t testing.TB, list *manifest.List) {
	t.Helper()
	var err error
	s.offer.Summary, err = list.Pages(func(page []byte) error { s.pages = append(s.pages, page); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func (s *sample) piece(i uint64) []byte {
	from := int(i) * tree.PieceSize
	return s.content[from:min(len(s.content), from+tree.PieceSize)]
}

func (s *sample) hash(i uint64) tree.Hash {
	return tree.Sum(i, s.piece(i), tree.Pieces(int64(len(s.content))) == 1)
}

func openDir(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// accepted begins and accepts an offer.
func (s *sample) accepted(t testing.TB, root *os.Root) *Transfer {
	t.Helper()
	d := s.begun(t, root)
	if err := d.Accept(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *sample) begun(t testing.TB, root *os.Root) *Transfer {
	t.Helper()
	d, err := Begin(root, s.offer)
	if err != nil {
		t.Fatal(err)
	}
	for i, page := range s.pages {
		if err := d.KeepPage(uint64(i), page); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func do(t testing.TB, d *Transfer, e transfer.Effect, want transfer.InputKind) {
	t.Helper()
	in, ok, err := d.Do(e)
	if !ok || in.Kind != want || in.Index != e.Index || err != nil {
		t.Fatalf("effect %d is answered by %d of piece %d (%v): %v, want %d", e.Kind, in.Kind, in.Index, in.Reason, err, want)
	}
}

// receive brings some pieces to the disk.
func (s *sample) receive(t testing.TB, d *Transfer, pieces ...uint64) {
	t.Helper()
	for _, i := range pieces {
		do(t, d, transfer.Effect{Kind: transfer.WritePiece, Index: i, Data: s.piece(i)}, transfer.Written)
	}
	do(t, d, transfer.Effect{Kind: transfer.SyncData}, transfer.Synced)
	var records []journal.Record
	for _, i := range pieces {
		records = append(records, journal.Record{Kind: journal.Pieces, First: i, Hashes: []tree.Hash{s.hash(i)}})
	}
	do(t, d, transfer.Effect{Kind: transfer.AppendRecords, Records: records}, transfer.Recorded)
}

func (s *sample) all() (list []uint64) {
	for i := range tree.Pieces(int64(len(s.content))) {
		list = append(list, i)
	}
	return list
}

// reopen closes a transfer and opens it anew, as after a restart, and returns what is recorded.
func reopen(t testing.TB, root *os.Root, d *Transfer) (*Transfer, []uint64) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(root, d.offer.ID)
	if err != nil {
		t.Fatal(err)
	}
	var have []uint64
	if d.Accepted() {
		err = d.Replay(func(r journal.Record) error {
			for k := range r.Hashes {
				have = append(have, r.First+uint64(k))
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(have)
	return d, have
}

// tree reads what is in a directory: contents by path, of directories "/".
func readTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		name = filepath.ToSlash(name)
		switch {
		case e.IsDir():
			found[name] = "/"
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			found[name] = string(b)
			return err
		default:
			found[name] = info.Mode().Type().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, content := range want {
		if is, ok := got[name]; !ok || is != content {
			t.Errorf("%s has %.40q, want %.40q", name, is, content)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there", name)
		}
	}
}

func random(n int, seed uint64) string {
	b := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rnd.Read(b)
	return string(b)
}

// TestWhole: files and directories arrive as they were, whatever the order of the pieces and
// with a restart after each, and nothing else is left.
func TestWhole(t *testing.T) {
	s := newSample(t,
		item{"notes.txt", "a few words"},
		item{"empty", ""},
		item{"photos/", ""},
		item{"photos/a.jpg", random(3*tree.PieceSize+17, 1)},
		item{"photos/none/", ""},
		item{"photos/sub/", ""},
		item{"photos/sub/b.jpg", random(200_000, 2)},
		item{"last.bin", random(tree.PieceSize, 3)},
	)
	dir := t.TempDir()
	root := openDir(t, dir)
	d := s.accepted(t, root)
	var have []uint64
	order := s.all()
	rand.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	for n, i := range order {
		s.receive(t, d, i)
		if d, have = reopen(t, root, d); len(have) != n+1 {
			t.Fatalf("%v are recorded, want %v", have, order[:n+1])
		}
	}
	do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
	if want := []string{"notes.txt", "empty", "photos", "last.bin"}; !slices.Equal(d.Placed(), want) {
		t.Errorf("placed as %q", d.Placed())
	}
	finished := journal.Record{Kind: journal.Finished, First: uint64(len(s.content)), Hashes: []tree.Hash{{}}}
	do(t, d, transfer.Effect{Kind: transfer.AppendRecords, Records: []journal.Record{finished}}, transfer.Recorded)
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, dir), map[string]string{
		"notes.txt": "a few words", "empty": "", "photos": "/", "photos/a.jpg": random(3*tree.PieceSize+17, 1), "photos/none": "/", "photos/sub": "/",
		"photos/sub/b.jpg": random(200_000, 2), "last.bin": random(tree.PieceSize, 3),
	})
	for _, name := range []string{"notes.txt", "photos/a.jpg"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&^0o600 != 0 && !onWindows {
			t.Errorf("%s has mode %v: %v", name, info.Mode(), err)
		}
	}
}

// TestNeverOverwritten: what is there keeps its name, whatever it is, and offered names do no
// harm.
func TestNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	root := openDir(t, dir)
	for _, name := range []string{"report.pdf", "report (1).pdf", "photos", "music"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "photos (1)"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := newSample(t,
		item{"report.pdf", "new"}, item{"photos/", ""}, item{"photos/a", "A"}, item{"music", "song"},
		item{".bashrc", "evil"}, item{"..", "up"}, item{`c:\windows`, "win"}, item{"-rf", "option"}, item{"REPORT.pdf", "other case"},
	)
	d := s.accepted(t, root)
	s.receive(t, d, 0)
	do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
	// Again: nothing more happens, and the names are known.
	d, _ = reopen(t, root, d)
	do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
	placed := d.Placed()
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"report.pdf": "mine", "report (1).pdf": "mine", "photos": "mine", "music": "mine", "photos (1)": "/", "report (2).pdf": "new",
		"photos (2)": "/", "photos (2)/a": "A", "music (1)": "song", "_.bashrc": "evil",
		placed[4]: "up", "c__windows": "win", "_-rf": "option", placed[7]: "other case",
	}
	same(t, readTree(t, dir), want)
	for _, name := range placed {
		if strings.HasPrefix(name, ".") {
			t.Errorf("%s is hidden", name)
		}
	}
}

// TestPlaceInTheMiddle: a crash at any point of Place costs nothing and gives nothing twice.
func TestPlaceInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		name  string
		crash func(p *placer) error
	}{
		{"nothing", func(*placer) error { return nil }},
		{"noted", func(p *placer) error { p.names[0], p.names[1] = "a", "d"; return p.note([]int{0, 1}) }},
		{"noted in part", func(p *placer) error {
			p.names[0] = "a"
			_, err := p.f.WriteString("\n{\"Entry\":0,\"Na")
			return err
		}},
		{"linked", func(p *placer) error {
			p.names[0] = "a (1)"
			return errors.Join(p.note([]int{0}), p.move(0))
		}},
		{"linked and removed", func(p *placer) error {
			p.names[0] = "a (1)"
			return errors.Join(p.note([]int{0}), p.move(0), p.unlink([]int{0}))
		}},
		{"directory renamed", func(p *placer) error {
			p.names[1] = "d"
			return errors.Join(p.note([]int{1}), p.move(1))
		}},
		{"the name was taken meanwhile", func(p *placer) error {
			p.names[0] = "a (1)"
			return errors.Join(p.note([]int{0}), p.root.WriteFile("a (1)", []byte("theirs"), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			root := openDir(t, dir)
			if err := root.WriteFile("a", []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := newSample(t, item{"a", "AAA"}, item{"d/", ""}, item{"d/b", "BB"}, item{"e", ""})
			d := s.accepted(t, root)
			s.receive(t, d, 0)
			if err := d.files.complete(); err != nil {
				t.Fatal(err)
			}
			f, _, err := openFile(d.work, namesFile)
			if err != nil {
				t.Fatal(err)
			}
			p := &placer{root: root, work: workName(d.offer.ID), files: d.files, f: f, names: map[int]string{}}
			if err := errors.Join(p.note([]int{ready}), d.files.close(), c.crash(p), f.Close()); err != nil {
				t.Fatal(err)
			}
			d, _ = reopen(t, root, d)
			do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
			placed := d.Placed()
			if err := d.End(); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"a": "mine", "a (1)": "AAA", "d": "/", "d/b": "BB", "e": ""}
			names := []string{"a (1)", "d", "e"}
			if strings.Contains(c.name, "meanwhile") {
				want["a (1)"], want["a (2)"], names[0] = "theirs", "AAA", "a (2)"
			}
			same(t, readTree(t, dir), want)
			if !slices.Equal(placed, names) {
				t.Errorf("placed as %q, want %q", placed, names)
			}
		})
	}
}

// TestTakenAtOnce: names that are taken between the choice and the move.
func TestTakenAtOnce(t *testing.T) {
	dir := t.TempDir()
	root := openDir(t, dir)
	s := newSample(t, item{"a", "AAA"}, item{"d/", ""}, item{"d/b", "BB"})
	d := s.accepted(t, root)
	s.receive(t, d, 0)
	f, _, err := openFile(d.work, namesFile)
	if err != nil {
		t.Fatal(err)
	}
	p := &placer{root: root, work: workName(d.offer.ID), files: d.files, f: f, names: map[int]string{0: "a", 1: "d"}}
	err = errors.Join(root.WriteFile("a", []byte("theirs"), 0o600), root.Mkdir("d", 0o700), d.files.close(), p.move(0), p.move(1), p.unlink([]int{0, 1}), f.Close(), d.End())
	if err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, dir), map[string]string{"a": "theirs", "d": "/", "a (1)": "AAA", "d (1)": "/", "d (1)/b": "BB"})
}

// TestPieces: whatever the sizes of the files, pieces in any order make them up.
func TestPieces(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 3*tree.PieceSize), rapid.Just(tree.PieceSize)), 1, 40).Draw(rt, "sizes")
		var items []item
		want := map[string]string{}
		for i, size := range sizes {
			it := item{fmt.Sprint("f", i), random(size, uint64(i))}
			items = append(items, it)
			want[it.path] = it.content
		}
		s := newSample(t, items...)
		n++
		at := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(at, 0o700); err != nil {
			rt.Fatal(err)
		}
		root, err := os.OpenRoot(at)
		if err != nil {
			rt.Fatal(err)
		}
		defer root.Close()
		d := s.accepted(t, root)
		d.free = func(*os.Root) (int64, error) { return 1 << 40, nil }
		if order := s.all(); len(order) > 0 {
			s.receive(t, d, rapid.Permutation(order).Draw(rt, "order")...)
		}
		do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
		if err := d.End(); err != nil {
			rt.Fatal(err)
		}
		same(t, readTree(t, at), want)
		os.RemoveAll(at)
	})
}

// TestStream: of a content whose size is not known, as much as comes.
func TestStream(t *testing.T) {
	var list manifest.List
	if err := list.Add(manifest.Entry{Parent: manifest.Top, Kind: manifest.Stream, Size: manifest.Unknown, Name: "stdin"}); err != nil {
		t.Fatal(err)
	}
	s := &sample{offer: Offer{ID: transfer.ID{9}, From: "alice"}, content: []byte(random(tree.PieceSize+5, 4))}
	s.seal(t, &list)
	dir := t.TempDir()
	d := s.accepted(t, openDir(t, dir))
	s.receive(t, d, 1, 0)
	do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, dir), map[string]string{"stdin": string(s.content)})
}
