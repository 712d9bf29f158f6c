package contexts_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"natter/chat"
	"natter/internal/contexts"
	"natter/internal/private"
)

func TestContextsAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	store := contexts.In(dir)
	if set, err := store.Load(); err != nil || len(set.Contexts) != 0 {
		t.Fatalf("%+v, %v", set, err)
	}
	team := contexts.Context{Name: "team", Server: "tls://h:1", CA: strings.Repeat("A", 43), Pass: "p", Seed: "s"}
	err := store.Update(func(s *contexts.Set) error {
		s.Put(contexts.Context{Name: "x", Server: "nats://h:2"})
		s.Put(contexts.Context{Name: "team", Server: "nats://old:1"})
		s.Put(team)
		s.Current = "team"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := contexts.In(dir).Load()
	if err != nil || set.Current != "team" || len(set.Contexts) != 2 || set.Contexts[0] != team {
		t.Fatalf("%+v, %v", set, err)
	}
	info, err := os.Stat(filepath.Join(dir, "contexts.json"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	no := errors.New("no")
	if err := store.Update(func(s *contexts.Set) error { s.Remove("team"); return no }); err != no {
		t.Error(err)
	}
	if set, err := store.Load(); err != nil || len(set.Contexts) != 2 {
		t.Errorf("a refused change changes: %+v, %v", set, err)
	}
	for _, name := range []string{"nobody", "", "a b", "../x", "\x1b[2J"} {
		if _, err := set.Get(name); !errors.Is(err, &chat.Error{Code: chat.Arguments}) || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What cannot be understood is refused with its name, and left as it is.
func TestDamagedFilesAreLeft(t *testing.T) {
	good := `{"version":1,"current":"a","contexts":[{"name":"a","server":"nats://h:1"}]}`
	rows := map[string]string{
		"empty": "", "text": "hello", "newer": `{"version":2,"new":1}`, "older": `{"version":0,"contexts":[]}`, "twice": good + good,
		"unknown": `{"version":1,"contexts":[],"x":1}`, "no such current": strings.Replace(good, `"current":"a"`, `"current":"b"`, 1),
		"bad name": strings.ReplaceAll(good, `"a"`, `"a b"`), "no server": strings.Replace(good, "nats://h:1", "", 1),
		"bad ca": strings.Replace(good, `"nats://h:1"`, `"nats://h:1","ca":"x"`, 1), "type": strings.Replace(good, "1", `"1"`, 1),
		"two of a name": strings.Replace(good, "[{", `[{"name":"a","server":"x"},{`, 1),
	}
	for n := range len(good) - 1 {
		rows[fmt.Sprintf("cut at %d", n)] = good[:n]
	}
	for name, text := range rows {
		dir := t.TempDir()
		path := filepath.Join(dir, "contexts.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		store := contexts.In(dir)
		err := store.Update(func(s *contexts.Set) error { t.Errorf("%s: read", name); return nil })
		if _, loaded := store.Load(); !errors.Is(err, private.ErrFile) || loaded == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", name, err, loaded)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("%s: now %q, %v", name, now, err)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "contexts.json"), []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := contexts.In(dir).Load(); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}

// Programs that change the file at once do not lose each other's changes.
func TestChangesAtOnce(t *testing.T) {
	dir := t.TempDir()
	const many = 20
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			err := contexts.In(dir).Update(func(s *contexts.Set) error {
				s.Put(contexts.Context{Name: fmt.Sprint("c", i), Server: "nats://h:1"})
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if set, err := contexts.In(dir).Load(); err != nil || len(set.Contexts) != many {
		t.Errorf("%d of %d, %v", len(set.Contexts), many, err)
	}
}

// TestAt: a server is found by its address, however that is written.
func TestAt(t *testing.T) {
	set := contexts.Set{Current: "d", Contexts: []contexts.Context{
		{Name: "a", Server: "tls://Chat.Example:4222"},
		{Name: "b", Server: "tls://chat.example:4222", Pass: "p"},
		{Name: "c", Server: "nats://127.0.0.1:4222", Pass: "p"},
		{Name: "d", Server: "tls://127.0.0.1:4222"},
	}}
	for server, want := range map[string]string{
		"nats://chat.example:4222": "b", "tls://CHAT.example.:4222": "b", "nats://localhost:4222": "d", "nats://127.0.0.1:4222": "d",
		"nats://chat.example:4223": "", "nats://127.0.0.1:4222,nats://h:1": "", "": "", "nats://:4222": "",
	} {
		if c, ok := set.At(server); c.Name != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", server, c.Name, want)
		}
	}
}
