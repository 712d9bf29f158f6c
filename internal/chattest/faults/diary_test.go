//go:build faults

package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shown is how many lines of a diary a test that has failed shows.
const shown = 60

// diary is what a program or a user's client says of itself. All of it is in a file where
// -faults.keep says so; its end is shown if the test fails.
type diary struct {
	mu   sync.Mutex
	last []string
	file *os.File
}

func newDiary(t testing.TB, name string) *diary {
	d := &diary{}
	if *keep != "" {
		var err error
		if d.file, err = os.Create(filepath.Join(*keep, strings.ReplaceAll(t.Name(), "/", "-")+"-"+name+".log")); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if t.Failed() {
			t.Logf("%s:\n%s", name, strings.Join(d.last, "\n"))
		}
		if d.file != nil {
			_ = d.file.Close()
			d.file = nil
		}
	})
	return d
}

func (d *diary) note(line string) {
	line = time.Now().Format("15:04:05.000 ") + line
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last = append(d.last, line); len(d.last) > shown {
		d.last = d.last[1:]
	}
	if d.file != nil {
		fmt.Fprintln(d.file, line)
	}
}

// has waits until one of the last lines has a text.
func (d *diary) has(t testing.TB, text string) {
	t.Helper()
	for late := time.After(timeout); ; {
		d.mu.Lock()
		found := slices.ContainsFunc(d.last, func(line string) bool { return strings.Contains(line, text) })
		d.mu.Unlock()
		if found {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-late:
			t.Errorf("nobody says %q", text)
			return
		}
	}
}

// Write is for loggers, who write whole lines.
func (d *diary) Write(line []byte) (int, error) {
	d.note(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
