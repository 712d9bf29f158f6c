package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"natter/chat"
)

// version is that of the lines that are written.
const version = 1

// Kind is what a line tells.
type Kind string

// The kinds. The first two begin a file.
const (
	Chat   Kind = "chat"   // a chat with Members begins
	Direct Kind = "direct" // direct messages to and from Members

	Resumed Kind = "resumed" // the client was started again, and goes on
	Said    Kind = "said"    // From said Text; one's own when it was accepted
	Failed  Kind = "failed"  // one's own Text did not reach everybody
	Unknown Kind = "unknown" // it is not known whether one's own Text reached everybody
	Bye     Kind = "bye"     // From would like to end the chat
	NoBye   Kind = "no bye"  // From goes on chatting
	Left    Kind = "left"    // From left, for Reason
	Lost    Kind = "lost"    // From lost the connection
	Back    Kind = "back"    // From is back
	Ended   Kind = "ended"   // the chat has ended, for Reason, by By
	Missing Kind = "missing" // Count lines could not be written
)

// Line is one line of a transcript.
type Line struct {
	V    int       `json:"v"`
	Kind Kind      `json:"kind"`
	At   time.Time `json:"at"` // by the clock of this computer

	// Of the first line.
	Session string      `json:"session,omitempty"`
	Class   chat.Class  `json:"class,omitempty"`
	Server  string      `json:"server,omitempty"`
	Me      chat.Name   `json:"me,omitempty"`
	Members []chat.Name `json:"members,omitempty"` // the others

	From   chat.Name   `json:"from,omitempty"`
	N      uint64      `json:"n,omitempty"`   // the number of somebody else's message
	Sent   time.Time   `json:"sent,omitzero"` // by the clock of From
	Text   string      `json:"text,omitempty"`
	Reason chat.Reason `json:"reason,omitempty"`
	By     []chat.Name `json:"by,omitempty"`
	Count  int         `json:"count,omitempty"`
}

// head reports whether the line can be the first of a file.
func (l Line) head() bool { return l.Kind == Chat || l.Kind == Direct }

// Encode returns the line as it is written, with its line feed.
func (l Line) Encode() []byte {
	l.V = version
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil { // a time that JSON cannot say
		l.At, l.Sent = time.Time{}, time.Time{}
		b.Reset()
		_ = enc.Encode(l)
	}
	return quiet(b.Bytes())
}

// parse reads one line.
func parse(data []byte) (Line, bool) {
	var l Line
	err := json.Unmarshal(data, &l)
	return l, err == nil && l.V > 0 && l.Kind != ""
}

// quiet escapes in JSON what is not ASCII and might act on a terminal, or hide. The
// controls of ASCII are escaped by encoding/json, but for DEL.
func quiet(b []byte) []byte {
	if !bytes.ContainsFunc(b, loud) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case !loud(r):
			out = append(out, b[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}

func loud(r rune) bool {
	return r >= 0x7f && (r < 0xa0 || unicode.Is(unicode.Cf, r))
}
