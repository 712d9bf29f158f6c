package chat_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"natter/chat"
)

// FuzzMessage holds the short way of reading a message against encoding/json's.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"n":1,"at":"2026-01-02T12:00:15.703Z","text":"hello"}`, `{"n":0,"at":"2026-01-02T12:00:15Z","text":""}`,
		`{"n":01,"at":"2026-01-02T12:00:15Z","text":"x"}`, `{"n":1,"at":"x","text":"x"}`, `{"n":1,"at":"2026-01-02T12:00:15Z","text":"a\"}`,
		`{"n":1,"at":"2026-01-02T12:00:15Z","text":"a","n":2,"text":"b"}`, `{"text":"grüße","n":18446744073709551616}`,
		"{\"n\":1,\"at\":\"2026-01-02T12:00:15Z\",\"text\":\"\xff\"}", `{"n":+1,"at":"2026-01-02T12:00:15Z","text":"x"}`, `null`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	type plain chat.Message // without the methods
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := chat.ParseMessage(data)
		var want plain
		wantErr := json.Unmarshal(data, &want)
		if (err == nil) != (wantErr == nil) || err == nil && got != chat.Message(want) {
			t.Fatalf("%q: %+v, %v; encoding/json says %+v, %v", data, got, err, want, wantErr)
		}
		ours := chat.Message{N: 7, At: time.Unix(1, 5).UTC(), Text: string(data)}
		a, err := json.Marshal(ours)
		b, wantErr := json.Marshal(plain(ours))
		if err != nil || wantErr != nil || string(a) != string(b) {
			t.Fatalf("%q is written %s, %v; encoding/json writes %s, %v", data, a, err, b, wantErr)
		}
	})
}

// Each byte counts wherever it is among the eight that are looked at together.
func TestMessageWithEachByte(t *testing.T) {
	type plain chat.Message
	for c := range 256 {
		for at := range 41 {
			text := []byte("forty-one letters make one whole word too")
			text[at] = byte(c)
			m := chat.Message{N: 1, At: time.Unix(1, 0).UTC(), Text: string(text)}
			got, err := json.Marshal(m)
			want, wantErr := json.Marshal(plain(m))
			if err != nil || wantErr != nil || string(got) != string(want) {
				t.Fatalf("%q is written %s, %v; encoding/json writes %s, %v", text, got, err, want, wantErr)
			}
			if raw := m.AppendJSON([]byte("before ")); string(raw[7:]) != string(got) {
				t.Fatalf("%q is appended as %s", text, raw)
			}
		}
	}
}

func BenchmarkMessage(b *testing.B) {
	m := chat.Message{N: 7, At: time.Now().UTC(), Text: strings.Repeat("x", 256)}
	var buf []byte
	for b.Loop() {
		buf = m.AppendJSON(buf[:0])
		if _, err := chat.ParseMessage(buf); err != nil {
			b.Fatal(err)
		}
	}
}
