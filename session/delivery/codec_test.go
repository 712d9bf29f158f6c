package delivery

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"natter/chat"
)

// TestFrameVectors reads testdata/frames.txt, which is there for authors of other clients: a
// quoted payload and, after an arrow, what it says, or that it is none.
func TestFrameVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		quoted, want, _ := strings.Cut(line, " -> ")
		payload, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		f, err := ParseFrame([]byte(payload), chat.MaxText)
		if got := says(f, err); got != want {
			t.Errorf("%s: %s, want %s", quoted, got, want)
		}
		if err == nil && utf8.ValidString(payload) && string(f.Append(nil)) != payload {
			t.Errorf("%s is written as %q", quoted, f.Append(nil))
		}
	}
}

func says(f Frame, err error) string {
	if err != nil {
		return "none"
	}
	var parts []string
	for _, m := range f.Messages {
		parts = append(parts, fmt.Sprintf("%d at %d %q", m.N, m.At.UnixMilli(), m.Text))
	}
	for _, r := range f.Receipts {
		parts = append(parts, fmt.Sprintf("receipt %s %d", r.From, r.N))
	}
	return strings.Join(parts, ", ")
}

// TestFrameLimits: what is at a limit is read, what is beyond it is not.
func TestFrameLimits(t *testing.T) {
	frame := func(messages, receipts, text int, n uint64) Frame {
		var f Frame
		for i := range messages {
			f.Messages = append(f.Messages, chat.Message{N: n + uint64(i), At: time.UnixMilli(5).UTC(), Text: strings.Repeat("x", text)})
		}
		for i := range receipts {
			f.Receipts = append(f.Receipts, FrameReceipt{From: chat.User(fmt.Sprint("u", i)), N: chat.MaxMessage})
		}
		return f
	}
	for _, f := range []Frame{frame(chat.MaxFrame, chat.MaxReceipts, 1, 1), frame(1, 0, chat.MaxText, 1), frame(1, 0, 0, 1), frame(2, 0, 1, chat.MaxMessage-2)} {
		got, err := ParseFrame(f.Append(nil), chat.MaxText)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%d messages, %d receipts: %v", len(f.Messages), len(f.Receipts), err)
		}
	}
	for _, f := range []Frame{frame(chat.MaxFrame+1, 0, 1, 1), frame(1, chat.MaxReceipts+1, 1, 1), frame(1, 0, chat.MaxText+1, 1), frame(2, 0, 1, chat.MaxMessage-1)} {
		if _, err := ParseFrame(f.Append(nil), chat.MaxText); err == nil {
			t.Errorf("%d messages of %d bytes from %d, %d receipts are read", len(f.Messages), len(f.Messages[0].Text), f.Messages[0].N, len(f.Receipts))
		}
	}
}

// FuzzFrame: whatever is read is within the limits, and is written as it was read.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("1 1 0 0:5\nhello\n"))
	f.Add([]byte("1 41 1767225600000 0:5 12:12 @bob=17\nhello\ntwo\nmessages\n"))
	f.Add([]byte("1 1 0 0:0 0:1\n\n\n\n"))
	f.Add([]byte("1 1 0 0:2\n\xff\xfe\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseFrame(data, 1000)
		if err != nil {
			return
		}
		if len(got.Messages) == 0 || len(got.Messages) > chat.MaxFrame || len(got.Receipts) > chat.MaxReceipts {
			t.Fatalf("%d messages, %d receipts", len(got.Messages), len(got.Receipts))
		}
		for i, m := range got.Messages {
			if m.N != got.Messages[0].N+uint64(i) || m.N == 0 || m.N > chat.MaxMessage || !utf8.ValidString(m.Text) {
				t.Fatalf("%+v", m)
			}
		}
		again, err := ParseFrame(got.Append(nil), 4000)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q is read as %+v, and that as %+v, %v", data, got, again, err)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	var f Frame
	for i := range 16 {
		f.Messages = append(f.Messages, chat.Message{N: uint64(i + 1), At: time.UnixMilli(1767225600000), Text: strings.Repeat("x", 256)})
	}
	data := f.Append(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, len(data))
		for range b.N {
			buf = f.Append(buf[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := ParseFrame(data, chat.MaxText); err != nil {
				b.Fatal(err)
			}
		}
	})
}
