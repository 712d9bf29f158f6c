package private_test

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"natter/internal/private"
)

// TestPlain: whatever an editor has made of a text, its lines are what they were.
func TestPlain(t *testing.T) {
	const text = "natter key 1\nname älice\n"
	wide := func(order binary.AppendByteOrder, mark ...byte) string {
		for _, u := range utf16.Encode([]rune(text)) {
			mark = order.AppendUint16(mark, u)
		}
		return string(mark)
	}
	for name, edited := range map[string]string{
		"as it was":         text,
		"CRLF":              "natter key 1\r\nname älice\r\n",
		"byte order mark":   "\ufeff" + text,
		"no last line end":  "natter key 1\nname älice",
		"blank lines":       "\n\nnatter key 1\n \t\nname älice\n\n\n",
		"blanks at the end": "natter key 1 \t\nname älice \n",
		"all at once":       "\ufeff\r\nnatter key 1\r\n\r\nname älice ",
		"UTF-16, Windows":   wide(binary.LittleEndian, 0xff, 0xfe),
		"UTF-16, others":    wide(binary.BigEndian, 0xfe, 0xff),
	} {
		if got := string(private.Plain([]byte(edited))); got != text {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := private.Plain(nil); got == nil || len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestFirstLine(t *testing.T) {
	for text, want := range map[string]string{
		"correct horse\n": "correct horse", "correct horse": "correct horse", "\ufeffcorrect horse\r\n": "correct horse",
		"\n\r\ncorrect horse \nbattery\n": "correct horse ", "": "", "\n\n": "", "\ufeff": "",
	} {
		if got := private.FirstLine([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
