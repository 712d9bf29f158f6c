package keyfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/nats-io/nkeys"

	"natter/chat"
	"natter/internal/keyfile"
)

// TestMain is also the other process of TestTwoProcesses.
func TestMain(m *testing.M) {
	if path := os.Getenv("KEYFILE_OF_BOTH"); path != "" {
		fmt.Print(makeOrRead(path))
		return
	}
	os.Exit(m.Run())
}

func kept(t *testing.T, passphrase string) *keyfile.File {
	t.Helper()
	k, _ := made(t)
	f := &keyfile.File{Key: k, Path: filepath.Join(t.TempDir(), "alice.key"), Passphrase: passphrase}
	if err := f.Create(); err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPassphrases(t *testing.T) {
	keyfile.Cheaply(t.Cleanup)
	f := kept(t, "correct horse")
	if text := content(t, f.Path); bytes.Contains(text, []byte("alice")) || bytes.Contains(text, []byte("SU")) && bytes.Contains(text, []byte(seedOf(t, f.Login))) {
		t.Fatalf("it can be read: %s", text)
	}
	if again, err := keyfile.Read(f.Path, "correct horse"); err != nil || !same(f.Key, again.Key) {
		t.Fatalf("%+v, %v", again, err)
	}
	for _, wrong := range []string{"", "correct horse ", "x"} {
		if _, err := keyfile.Read(f.Path, wrong); !errors.Is(err, &chat.Error{Code: chat.Auth}) || !strings.Contains(err.Error(), f.Path) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	change := func(old, new string) error {
		_, err := keyfile.Change(t.Context(), f.Path, old, func(f *keyfile.File) error { f.Passphrase = new; return nil })
		return err
	}
	if err := change("x", "y"); !errors.Is(err, &chat.Error{Code: chat.Auth}) {
		t.Fatal(err)
	}
	if err := errors.Join(change("correct horse", "battery"), change("battery", "")); err != nil {
		t.Fatal(err)
	}
	if again, err := keyfile.Read(f.Path, ""); err != nil || !same(f.Key, again.Key) {
		t.Fatalf("without one: %+v, %v", again, err)
	}
}

// What is encrypted is age's own format, in both directions.
func TestAgeReadsAndWritesIt(t *testing.T) {
	f := kept(t, "correct horse")
	id, err := age.NewScryptIdentity("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(armor.NewReader(bytes.NewReader(content(t, f.Path))), id); err != nil {
		t.Fatal(err)
	}
	for work, ok := range map[int]bool{10: true, 13: true, 19: false, 30: false} {
		write(t, f.Path, withWork(t, f.Key, work))
		_, err := keyfile.Read(f.Path, "correct horse")
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "asks for more work than 2^18") {
			t.Errorf("2^%d: %v", work, err)
		}
	}
}

// withWork is what age makes of a key, with a stanza that says how much work it takes;
// what takes too long to make is not made, but says so.
func withWork(t *testing.T, k keyfile.Key, work int) []byte {
	t.Helper()
	r, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	r.SetWorkFactor(min(work, 13))
	w, err := age.Encrypt(a, &claiming{r, work})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(format(t, k))
	if err := errors.Join(err, w.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type claiming struct {
	*age.ScryptRecipient
	work int
}

func (c *claiming) Wrap(key []byte) ([]*age.Stanza, error) {
	s, err := c.ScryptRecipient.Wrap(key)
	if err == nil {
		s[0].Args[1] = fmt.Sprint(c.work)
	}
	return s, err
}

func (c *claiming) WrapWithLabels(key []byte) ([]*age.Stanza, []string, error) {
	s, err := c.Wrap(key)
	return s, nil, err
}

// Whatever happens to a protected file, it is refused or gives the same key.
func TestProtectedTruncatedAndFlipped(t *testing.T) {
	keyfile.Cheaply(t.Cleanup)
	f := kept(t, "correct horse")
	text := content(t, f.Path)
	check := func(what string, bad []byte) {
		t.Helper()
		write(t, f.Path, bad)
		again, err := keyfile.Read(f.Path, "correct horse")
		if err == nil && !same(again.Key, f.Key) {
			t.Fatalf("%s: another key", what)
		}
		if err != nil && !strings.Contains(err.Error(), f.Path) {
			t.Fatalf("%s: %v", what, err)
		}
		if !bytes.Equal(content(t, f.Path), bad) {
			t.Fatalf("%s: it was written", what)
		}
	}
	for n := range len(text) - 1 {
		check(fmt.Sprint("cut at ", n), text[:n])
		if _, err := keyfile.Read(f.Path, "correct horse"); err == nil {
			t.Fatalf("%d bytes are enough", n)
		}
	}
	for i := range 1000 {
		at := i * len(text) * 8 / 1000
		bad := bytes.Clone(text)
		bad[at/8] ^= 1 << (at % 8)
		check(fmt.Sprint("bit ", at), bad)
	}
}

// What cannot be used is named, said what to do, and left as it is.
func TestFilesThatAreNoKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alice.key")
	_, good := made(t)
	for name, prepare := range map[string]func(){
		"0644":               func() { write(t, path, good); _ = os.Chmod(path, 0o644) },
		"empty":              func() { write(t, path, nil) },
		"a directory":        func() { _ = os.Mkdir(path, 0o700) },
		"a link to nowhere":  func() { _ = os.Symlink(filepath.Join(dir, "nowhere"), path) },
		"a link to itself":   func() { _ = os.Symlink(path, path) },
		"newer":              func() { write(t, path, []byte("natter key 7\n")) },
		"huge":               func() { write(t, path, make([]byte, 2<<20)) },
		"age, and torn":      func() { write(t, path, []byte(armor.Header+"\nYWdl\n"+armor.Footer+"\n")) },
		"age for a receiver": func() { write(t, path, forReceiver(t, good)) },
	} {
		t.Run(name, func(t *testing.T) {
			prepare()
			defer func() { _ = os.Remove(path) }()
			before, _ := os.Lstat(path)
			_, err := keyfile.Read(path, "x")
			var told *chat.Error
			if !errors.As(err, &told) || told.Code != chat.Denied || !strings.Contains(told.Text, path) {
				t.Fatalf("%v", err)
			}
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatal("taken for a file that is not there")
			}
			if _, err := keyfile.Change(t.Context(), path, "x", func(*keyfile.File) error { return nil }); err == nil {
				t.Fatal("it was changed")
			}
			k, _ := made(t)
			if err := (&keyfile.File{Key: k, Path: path}).Create(); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("another one in its place: %v", err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.Size() != before.Size() {
				t.Fatalf("%v became %v", before, after)
			}
		})
	}
	if _, err := keyfile.Read(path, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing: %v", err)
	}
}

func forReceiver(t *testing.T, text []byte) []byte {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A link to a key stays one when the key is changed.
func TestALinkStaysALink(t *testing.T) {
	f := kept(t, "")
	link := filepath.Join(t.TempDir(), "link.key")
	if err := os.Symlink(f.Path, link); err != nil {
		t.Skip(err)
	}
	if _, err := keyfile.Change(t.Context(), link, "", addNext); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Fatalf("%v, %v", info, err)
	}
	if changed, err := keyfile.Read(f.Path, ""); err != nil || changed.Next == nil {
		t.Fatalf("%+v, %v", changed, err)
	}
}

func addNext(f *keyfile.File) (err error) {
	f.Next, err = nkeys.CreateUser()
	return err
}

// makeOrRead does what every chatcli does with a name: take its key, or make one.
func makeOrRead(path string) string {
	unlock, err := keyfile.Lock(context.Background(), path)
	if err != nil {
		return err.Error()
	}
	defer unlock()
	f, err := keyfile.Read(path, "")
	if errors.Is(err, fs.ErrNotExist) {
		k, err := keyfile.New("alice")
		if err != nil {
			return err.Error()
		}
		f = &keyfile.File{Key: k, Path: path}
		if err := f.Create(); err != nil {
			return err.Error()
		}
	} else if err != nil {
		return err.Error()
	}
	return f.PublicLogin()
}

// TestTwoProcesses: several make the same key at once, and all have the same one.
func TestTwoProcesses(t *testing.T) {
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "alice.key")
		const others = 4
		said := make(chan string, others)
		var wg sync.WaitGroup
		for range others {
			wg.Go(func() {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "KEYFILE_OF_BOTH="+path)
				out, err := cmd.CombinedOutput()
				if err != nil {
					out = fmt.Append(out, err)
				}
				said <- string(out)
			})
		}
		wg.Wait()
		f, err := keyfile.Read(path, "")
		if err != nil {
			t.Fatal(err)
		}
		for range others {
			if s := <-said; s != f.PublicLogin() {
				t.Fatalf("round %d: %s, and the file has %s", round, s, f.PublicLogin())
			}
		}
		if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
			t.Fatalf("left behind: %v, %v", files, err)
		}
	}
}

// Changes at once are made one after the other: none undoes another.
func TestChangesAtOnce(t *testing.T) {
	f := kept(t, "")
	const changes = 20
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range changes {
		wg.Go(func() {
			_, err := keyfile.Change(t.Context(), f.Path, "", func(f *keyfile.File) (err error) {
				seen[f.PublicLogin()] = true // the lock guards it
				f.Login, err = nkeys.CreateUser()
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(seen) != changes {
		t.Errorf("%d changes began with only %d keys", changes, len(seen))
	}
}

// Who waits too long is told who holds the lock.
func TestWhoHoldsTheLock(t *testing.T) {
	f := kept(t, "")
	unlock, err := keyfile.Lock(t.Context(), f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = keyfile.Lock(canceled, f.Path)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Fatal(err)
	}
}

func TestBackups(t *testing.T) {
	f := kept(t, "")
	for i := 1; i <= 2; i++ {
		path, err := f.Backup()
		if err != nil || path != fmt.Sprintf("%s.old%d", f.Path, i) {
			t.Fatalf("%s, %v", path, err)
		}
		if b, err := keyfile.Read(path, ""); err != nil || !same(b.Key, f.Key) {
			t.Fatalf("%+v, %v", b, err)
		}
	}
}

// TestEdited: a key that went through an editor is the same, protected or not, and is written
// without what the editor has left.
func TestEdited(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse"} {
		f := kept(t, passphrase)
		was := content(t, f.Path)
		for _, edit := range []func(string) string{
			func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
			func(s string) string { return "\ufeff" + s },
			func(s string) string { return "\n" + strings.ReplaceAll(s, "\n", "\n\n") },
			func(s string) string { return strings.TrimSuffix(s, "\n") },
			func(s string) string { return "\ufeff\r\n" + strings.ReplaceAll(s, "\n", " \r\n\r\n") },
		} {
			edited := edit(string(was))
			write(t, f.Path, []byte(edited))
			again, err := keyfile.Read(f.Path, passphrase)
			if err != nil || !same(again.Key, f.Key) {
				t.Errorf("%q: %v", edited, err)
				continue
			}
			if text, sealed, err := keyfile.Load(f.Path); err != nil || sealed != (passphrase != "") || !bytes.Equal(text, was) {
				t.Errorf("%q is loaded as %q, %v", edited, text, err)
			}
		}
	}
}
