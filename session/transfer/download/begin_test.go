package download

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"natter/chat"
	"natter/session/transfer"
)

func TestBegin(t *testing.T) {
	root := openDir(t, t.TempDir())
	s := newSample(t, item{"a", "A"})
	if _, err := Open(root, s.offer.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what is not there: %v", err)
	}
	d, err := Begin(root, s.offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Accept(); err == nil {
		t.Error("accepted without a list")
	}
	if _, err := Begin(root, s.offer); !errors.Is(err, ErrBusy) {
		t.Errorf("begun by two: %v", err)
	}
	if err := d.KeepPage(0, bytes.Repeat([]byte{1}, 50)); err == nil {
		t.Error("a page that is none")
	}
	d, _ = reopen(t, root, d)
	for range 2 {
		if err := d.KeepPage(0, s.pages[0]); err != nil {
			t.Fatal(err)
		}
	}
	if d, _ = reopen(t, root, d); d.Accepted() || d.Offer() != s.offer {
		t.Errorf("%+v, accepted %v", d.Offer(), d.Accepted())
	}
	if _, err := Begin(root, s.offer); err == nil {
		t.Error("begun twice")
	}
	if err := d.Accept(); err != nil {
		t.Fatal(err)
	}
	if d, _ = reopen(t, root, d); !d.Accepted() {
		t.Error("not accepted any more")
	}
	d.Close()
	if _, err := Begin(root, s.offer); !errors.Is(err, fs.ErrExist) {
		t.Errorf("begun again: %v", err)
	}
	// What a crash in Begin has left is replaced.
	if err := os.Truncate(filepath.Join(root.Name(), workName(s.offer.ID), offerFile), 9); err != nil {
		t.Fatal(err)
	}
	if d, err = Begin(root, s.offer); err != nil {
		t.Fatal(err)
	}
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, root.Name()), map[string]string{})
}

// sentence checks that an error can be shown to a person.
func sentence(t testing.TB, err, kind error) {
	t.Helper()
	var c *chat.Error
	if !errors.Is(err, kind) || !errors.As(err, &c) {
		t.Errorf("%v is not %v, or no sentence", err, kind)
	}
}

// TestOneNameOnly: where a file has one name only, it takes the place of nothing but an empty
// file made for it.
func TestOneNameOnly(t *testing.T) {
	dir := t.TempDir()
	root := openDir(t, dir)
	p := &placer{root: root}
	err := errors.Join(root.WriteFile("from", []byte("new"), 0o600), root.WriteFile("taken", []byte("mine"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.replace("from", "taken"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	if err := p.replace("from", "free"); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, dir), map[string]string{"taken": "mine", "free": "new"})
}

// TestManyFiles: many small files in one piece, more than are synced one by one.
func TestManyFiles(t *testing.T) {
	items := []item{{"d/", ""}}
	want := map[string]string{"d": "/"}
	for i := range 5 * manyDirty {
		it := item{fmt.Sprint("d/", i), random(i, uint64(i))}
		items, want[it.path] = append(items, it), it.content
	}
	s := newSample(t, items...)
	dir := t.TempDir()
	d := s.accepted(t, openDir(t, dir))
	s.receive(t, d, s.all()...)
	if len(d.files.dirty)+len(d.files.dirs) > 0 || len(d.files.open) > maxOpen {
		t.Errorf("%d files are not synced, %d are open", len(d.files.dirty), len(d.files.open))
	}
	do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, dir), want)
}
