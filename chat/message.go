package chat

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// Messages are most of what travels, so their usual form is written and read by hand;
// every other form of the same JSON takes encoding/json's way, with the same result.
const (
	messageN    = `{"n":`
	messageAt   = `,"at":"`
	messageText = `","text":`
	messageEnd  = `"}`
)

// MarshalJSON writes {"n":12,"at":"…","text":"hello"}.
func (m Message) MarshalJSON() ([]byte, error) {
	return m.AppendJSON(make([]byte, 0, len(m.Text)+80)), nil
}

// AppendJSON appends what MarshalJSON writes to b, so that a buffer can be used again.
func (m Message) AppendJSON(b []byte) []byte {
	b = strconv.AppendUint(append(b, messageN...), m.N, 10)
	b = m.At.AppendFormat(append(b, messageAt...), time.RFC3339Nano)
	b = append(b, messageText...)
	at := len(b) + 1
	b = append(append(append(b, '"'), m.Text...), messageEnd...)
	if plainJSON(b[at : at+len(m.Text)]) {
		return b
	}
	text, _ := json.Marshal(m.Text) // a string can always be written
	return append(append(b[:at-1], text...), '}')
}

// ParseMessage reads a message.
func ParseMessage(data []byte) (Message, error) {
	if m, ok := parseUsual(data); ok {
		return m, nil
	}
	var m Message
	err := json.Unmarshal(data, &m)
	return m, err
}

// parseUsual reads the form that MarshalJSON writes for texts without escapes.
func parseUsual(data []byte) (m Message, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(messageN))
	if !ok {
		return m, false
	}
	digits, rest, ok := bytes.Cut(rest, []byte(messageAt))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if !ok || err != nil || digits[0] == '+' || digits[0] == '0' && len(digits) > 1 {
		return m, false
	}
	at, rest, ok := bytes.Cut(rest, []byte(messageText+`"`))
	if !ok || m.At.UnmarshalText(at) != nil {
		return m, false
	}
	text, ok := bytes.CutSuffix(rest, []byte(messageEnd))
	if !ok || !plainJSON(text) {
		return m, false
	}
	m.N, m.Text = n, string(text)
	return m, true
}

// plainJSON tells whether a text is its own JSON form: no quotes, escapes or control
// characters, nothing that encoding/json would escape, and valid UTF-8.
func plainJSON(text []byte) bool {
	rest := text
	for len(rest) >= 32 && plainASCII(word(rest, 0))&plainASCII(word(rest, 8))&plainASCII(word(rest, 16))&plainASCII(word(rest, 24)) == high {
		rest = rest[32:]
	}
	for _, c := range rest {
		if c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			return false
		}
		if c >= utf8.RuneSelf {
			return utf8.Valid(text) && !bytes.ContainsAny(text, "\"\\<>&\u2028\u2029\x7f") && !bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' })
		}
	}
	return true
}

const (
	each = 0x0101010101010101 // times a byte: that byte eight times
	high = 0x80 * each
)

func word(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// plainASCII tells which of eight bytes are plain in the sense of plainJSON, by their
// high bits: all, if there is no other character among them. It looks at all of them at
// once: unless a byte has its high bit set, which is found as well, the additions set
// that bit in each byte that passes, and never reach the next one. Two characters that
// differ in one bit are looked for together.
func plainASCII(x uint64) uint64 {
	const not0 = 0x7f * each    // sets the high bit of a byte that is not 0
	pass := x + (0x80-' ')*each // not a control character
	pass &= (x&^(('"'^'&')*each) ^ ('"'&'&')*each) + not0
	pass &= (x&^(('<'^'>')*each) ^ ('<'&'>')*each) + not0
	pass &= (x ^ '\\'*each) + not0
	pass &^= x | (x + each) // beyond ASCII, DEL
	return pass & high
}
