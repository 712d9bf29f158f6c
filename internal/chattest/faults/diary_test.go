//go:build faults

package faults_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// shown is how many lines of a diary a test shows; the others are in the files of
// -faults.keep.
const shown = 60

// diary is what a program says of itself.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, time.Now().Format("15:04:05.000 ")+line)
}

// Write is for loggers, who write whole lines.
func (d *diary) Write(line []byte) (int, error) {
	d.note(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// tell shows the end of the diary, and keeps all of it if that is wanted.
func (d *diary) tell(t testing.TB, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.Logf("%s:\n%s", name, strings.Join(d.lines[max(0, len(d.lines)-shown):], "\n"))
	if *keep == "" {
		return
	}
	file := filepath.Join(*keep, strings.ReplaceAll(t.Name(), "/", "-")+"-"+name+".log")
	if err := os.WriteFile(file, []byte(strings.Join(d.lines, "\n")), 0o600); err != nil {
		t.Log(err)
	}
}
