package chat

import (
	"bytes"
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
	b := make([]byte, 0, len(m.Text)+80)
	b = strconv.AppendUint(append(b, messageN...), m.N, 10)
	b = m.At.AppendFormat(append(b, messageAt...), time.RFC3339Nano)
	b = append(b, messageText...)
	if plainJSON([]byte(m.Text)) {
		return append(append(append(b, '"'), m.Text...), messageEnd...), nil
	}
	text, err := json.Marshal(m.Text)
	return append(append(b, text...), '}'), err
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
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			return false
		}
		if c >= utf8.RuneSelf {
			return utf8.Valid(text) && !bytes.ContainsAny(text, "\"\\<>&\u2028\u2029\x7f") && !bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' })
		}
	}
	return true
}
