package transcript_test

import (
	"bytes"
	"strings"
	"testing"

	"natter/session/transcript"
)

// read reads everything.
func read(data []byte) (lines []transcript.Line, r *transcript.Reader) {
	r = transcript.NewReader(bytes.NewReader(data))
	for r.Next() {
		lines = append(lines, r.Line)
	}
	return lines, r
}

func TestDamagedLines(t *testing.T) {
	good := `{"v":1,"kind":"said","from":"bob","text":"hi"}`
	newer := `{"v":7,"kind":"reaction","from":"bob","mood":{"of":["x"]}}`
	data := strings.Join([]string{good, "", "{", "null", "[]", `{"v":0,"kind":"said"}`, `{"v":1}`, good + good, "\x00\x00", good, newer}, "\n")
	lines, r := read([]byte(data))
	if len(lines) != 3 || r.Bad != 7 || r.Damaged[0] != 3 || r.No != 11 {
		t.Errorf("%d lines, %d damaged: %v", len(lines), r.Bad, r.Damaged)
	}
}

func TestLinesWithoutEnd(t *testing.T) {
	good := `{"v":1,"kind":"said","from":"bob","text":"hi"}`
	data := good + "\n" + strings.Replace(good, "hi", strings.Repeat("x", 20<<20), 1) + "\n" + good
	lines, r := read([]byte(data))
	if len(lines) != 2 || r.Bad != 1 || r.Damaged[0] != 2 {
		t.Errorf("%d lines, damaged: %v", len(lines), r.Damaged)
	}
}

// FuzzReader: whatever a file holds, each of its lines is read, passed over if it is
// blank, or counted as damaged; and what was read can be written and read again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"v":1,"kind":"said","at":"2026-11-22T19:04:12Z","from":"bob","n":3,"text":"hi"}` + "\n"))
	f.Add([]byte("{\n\n\x00{\"v\":1,\"kind\":\"x\"}\r\n{\"v\":1,\"kind\":\"said\",\"text\":\"\\u009b\\ud800\"}"))
	f.Add([]byte(`{"v":1,"kind":"said","at":"9999-12-31T23:59:59-23:59"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, r := read(data)
		if r.Err != nil || len(lines)+r.Bad > bytes.Count(data, []byte("\n"))+1 {
			t.Fatalf("%d lines, %d damaged, %v", len(lines), r.Bad, r.Err)
		}
		for _, l := range lines {
			again, r := read(l.Encode())
			if len(again) != 1 || r.Bad > 0 {
				t.Fatalf("%q cannot be read again", l.Encode())
			}
			if again[0].Text != l.Text || again[0].From != l.From || again[0].Kind != l.Kind {
				t.Fatalf("%+v becomes %+v", l, again[0])
			}
		}
	})
}
