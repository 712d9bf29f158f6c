package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"natter/chat"
	"natter/session/transfer"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// write writes a file that was modified a while ago.
func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
	return path
}

func newSource(t testing.TB, paths ...string) *Source {
	t.Helper()
	s, err := New(paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// names lists what is offered, directories with a slash.
func names(l *manifest.List) (list []string) {
	for i := range l.Len() {
		name := strings.Join(l.Path(i), "/")
		if l.At(i).Kind == manifest.Directory {
			name += "/"
		}
		list = append(list, name)
	}
	return list
}

// sentence checks that an error can be shown to a person and says some words.
func sentence(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	var c *chat.Error
	if !errors.Is(err, kind) || !errors.As(err, &c) {
		t.Errorf("%v is not %v, or no sentence", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(c.Text, w) {
			t.Errorf("%q does not say %q", c.Text, w)
		}
	}
}

// TestRead: whatever the sizes of the files, pieces in any order are the content.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 3*tree.PieceSize), rapid.Just(tree.PieceSize)), 1, 40).Draw(rt, "sizes")
		n++
		at := filepath.Join(dir, fmt.Sprint(n))
		var content []byte
		for i, size := range sizes {
			b := random(size, uint64(i))
			write(t, filepath.Join(at, fmt.Sprintf("f%02d", i)), b)
			content = append(content, b...)
		}
		s := newSource(t, at)
		defer s.Close()
		if s.List().Size() != int64(len(content)) || s.List().Len() != len(sizes)+1 {
			rt.Fatalf("%d bytes in %d entries", s.List().Size(), s.List().Len())
		}
		for range 10 {
			first := rapid.Uint64Range(0, tree.Pieces(int64(len(content)))).Draw(rt, "first")
			count := rapid.IntRange(1, 8).Draw(rt, "count")
			in, ok, err := s.Do(transfer.Effect{Kind: transfer.ReadPieces, To: "bob", Index: first, Count: count})
			from := min(len(content), int(first)*tree.PieceSize)
			want := content[from:min(len(content), from+count*tree.PieceSize)]
			if err != nil || !ok || in.Kind != transfer.ReadDone || in.From != "bob" || in.Index != first || !bytes.Equal(in.Data, want) {
				rt.Fatalf("%d pieces from %d: %d bytes, %v", count, first, len(in.Data), err)
			}
			if len(s.open) > maxOpen {
				rt.Fatalf("%d files are open", len(s.open))
			}
		}
		os.RemoveAll(at)
	})
}

// TestChanged: a file that is not what it was is never sent on, and the error says what has
// happened.
func TestChanged(t *testing.T) {
	const size = 2*tree.PieceSize + 100
	for _, c := range []struct {
		name   string
		change func(path string) error
		words  string
	}{
		{"truncated", func(path string) error { return os.Truncate(path, 10) }, "is shorter now"},
		{"grown", func(path string) error { return os.Truncate(path, size+1) }, "has grown"},
		{"written", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("x"), tree.PieceSize)
			return err
		}, "was written"},
		{"replaced", func(path string) error {
			other := path + ".new"
			err := os.WriteFile(other, random(size, 1), 0o600)
			old := time.Now().Add(-time.Hour)
			return errors.Join(err, os.Chtimes(other, old, old), os.Rename(other, path))
		}, "is another file now"},
		{"removed", os.Remove, "is not there any more"},
	} {
		for _, opened := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " opened ", opened), func(t *testing.T) {
				path := write(t, filepath.Join(t.TempDir(), "a"), random(size, 1))
				s := newSource(t, path)
				if opened {
					if _, err := s.Read(0, 1); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.change(path); err != nil {
					t.Skip(err) // Windows keeps what is open
				}
				in, ok, err := s.Do(transfer.Effect{Kind: transfer.ReadPieces, Index: 1, Count: 2})
				if !ok || in.Kind != transfer.ReadFailed || in.Reason != transfer.Changed || in.Index != 1 {
					t.Errorf("%+v", in)
				}
				sentence(t, err, ErrChanged, path, c.words)
			})
		}
	}
}

func TestNew(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "top", "b"), []byte("B"))
	write(t, filepath.Join(dir, "top", "a", "x"), []byte("X"))
	write(t, filepath.Join(dir, "other", "b"), []byte("other"))
	secret := write(t, filepath.Join(dir, "secret"), []byte("secret"))
	link := filepath.Join(dir, "top", "link")
	if err := errors.Join(os.Symlink(secret, link), os.Symlink(dir, filepath.Join(dir, "top", "up")), os.Symlink(filepath.Join(dir, "top"), filepath.Join(dir, "named"))); err != nil {
		t.Skip(err)
	}
	s := newSource(t, filepath.Join(dir, "named"), filepath.Join(dir, "other", "b"))
	if got := strings.Join(names(s.List()), " "); got != "named/ named/a/ named/a/x named/b b" {
		t.Errorf("offered: %s", got)
	}
	if len(s.Skipped()) != 2 || filepath.Base(s.Skipped()[0]) != "link" {
		t.Errorf("skipped: %q", s.Skipped())
	}
	if b, err := s.Read(0, 1); err != nil || string(b) != "XBother" {
		t.Errorf("%q, %v", b, err)
	}
	_, err := New(filepath.Join(dir, "none"))
	sentence(t, err, ErrUnread, "none")
	_, err = New()
	sentence(t, err, ErrUnread)
	_, err = New(string(filepath.Separator))
	sentence(t, err, ErrUnread, "no name")
}

// TestStream: pieces come as they are there, and the end is known with the last one.
func TestStream(t *testing.T) {
	for _, size := range []int{0, 1, tree.PieceSize - 1, tree.PieceSize, tree.PieceSize + 1, 3 * tree.PieceSize} {
		content := random(size, 5)
		s, err := NewStream(iotest.HalfReader(bytes.NewReader(content)), "stdin")
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for i := uint64(0); ; i++ {
			in, ok, err := s.Do(transfer.Effect{Kind: transfer.ReadPieces, To: "-", Index: i, Count: 8})
			if err != nil || !ok || in.Kind != transfer.ReadDone || in.From != "-" || in.Index != i {
				t.Fatalf("%+v, %v", in, err)
			}
			got = append(got, in.Data...)
			if in.Yes != (len(got) == size) {
				t.Errorf("of %d bytes, %d end it: %v", size, len(got), in.Yes)
			}
			if in.Yes || len(in.Data) < tree.PieceSize {
				break
			}
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes", len(got), size)
		}
	}
	s, err := NewStream(io.MultiReader(strings.NewReader("some"), iotest.ErrReader(os.ErrClosed)), "stdin")
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := s.Do(transfer.Effect{Kind: transfer.ReadPieces, Count: 1})
	if sentence(t, err, ErrUnread, "stdin"); in.Kind != transfer.ReadFailed || in.Reason != transfer.Unread {
		t.Errorf("%+v", in)
	}
	if _, err := NewStream(strings.NewReader(""), ""); err == nil {
		t.Error("a stream without a name")
	}
}
