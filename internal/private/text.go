package private

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// ReadText is Read for a file of lines, without what editors leave in it: see Plain.
func ReadText(kind, path string, most int64) ([]byte, error) {
	text, err := Read(kind, path, most)
	return Plain(text), err
}

// Plain returns a text without what editors and shells leave in it: a byte order mark, UTF-16,
// CR before LF, blanks at the ends of lines, blank lines. Its last line ends with LF.
func Plain(text []byte) []byte {
	plain := []byte{}
	for line := range bytes.Lines(Unmark(text)) {
		if line = bytes.TrimRight(line, " \t\r\n"); len(line) > 0 {
			plain = append(append(plain, line...), '\n')
		}
	}
	return plain
}

// FirstLine returns the first line of a text that is not empty, as it is: blanks may belong
// to a passphrase. It is "" if there is none.
func FirstLine(text []byte) string {
	for line := range strings.Lines(string(Unmark(text))) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			return line
		}
	}
	return ""
}

// Unmark returns a text as UTF-8 without a byte order mark, which says what it was.
func Unmark(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i+1 < len(text); i += 2 {
		units = append(units, order.Uint16(text[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}
