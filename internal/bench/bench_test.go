package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if o := os.Getenv(serverOptions); o != "" {
		end(serve(o))
		return
	}
	os.Exit(m.Run())
}

// Everything still runs, and no message is lost or comes twice. How fast it is, is
// nothing for a test.
func TestShort(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("processor time is read from /proc")
	}
	b := &bench{size: short, runs: 1, only: regexp.MustCompile("lone|pairs|console|open|group|join|memory|login|invite|kill|attack|steady|storm|stall")}
	if err := b.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.attacks) != 8 {
		t.Errorf("%d figures of attacks:\n%s", len(b.attacks), b.attacks)
	}
	if len(b.holding) != 7 {
		t.Errorf("%d figures of what holds:\n%s", len(b.holding), b.holding)
	}
	if len(b.table) != 26 {
		t.Errorf("%d figures:\n%s", len(b.table), b.table)
	}
	for _, r := range b.table {
		if r.unit == " messages" && r.result != 0 {
			t.Errorf("%s: %g", r.figure, r.result)
		}
	}
}

func TestRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	var tab table
	tab.compare("speed", []float64{1, 2, 9}, []float64{2, 2, 3}, perSecond, atLeast(0.7))
	tab.absolute("time", []float64{12}, "ms", atMost(10))
	if err := os.WriteFile(file, []byte("before\n"+begin+"old\n"+finish+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tab.record(file); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"before\n" + begin, "\n" + finish + "after\n",
		"| speed | 2.00/s | 2.00/s | **1.00×** | 0.50 – 3.00 | 3 | at least 0.7× | met |\n",
		"| time |  |  | **12.0 ms** | 12.0 – 12.0 | 1 | at most 10 ms | short |\n",
	} {
		if !strings.Contains(string(page), line) {
			t.Errorf("%q is missing in\n%s", line, page)
		}
	}
	if strings.Contains(string(page), "old") {
		t.Error("the former table is still there")
	}
}
