package delivery

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"natter/chat"
)

// A frame is one payload of messages of a member:
//
//	1 41 1767225600000 0:5 12:8 @bob=17
//	hello
//	two texts
//
// The first line has the version, the number of the first message, its time in milliseconds
// since 1970, and for each message the milliseconds since the one before and the length of
// its text in bytes; then, for some members, the last message of theirs that the sender
// has received. After the line come the texts, each followed by a line feed. Texts may contain line
// feeds: only the lengths say where a text ends.

// Frame is messages of one sender, with receipts for others.
type Frame struct {
	Messages []chat.Message
	Receipts []FrameReceipt
}

// FrameReceipt says that the frame's sender has received everything from From up to N.
type FrameReceipt struct {
	From chat.User
	N    uint64
}

const frameVersion = '1'

var errFrame = errors.New("not a frame")

// ErrTextTooLong says that a frame has a text above the limit.
var ErrTextTooLong = errors.New("a text is too long")

func appendHeader(b []byte, first uint64, at int64) []byte {
	b = append(b, frameVersion, ' ')
	b = strconv.AppendUint(b, first, 10)
	return strconv.AppendInt(append(b, ' '), at, 10)
}

func appendEntry(b []byte, after int64, size int) []byte {
	b = strconv.AppendInt(append(b, ' '), after, 10)
	return strconv.AppendInt(append(b, ':'), int64(size), 10)
}

func appendReceipt(b []byte, r FrameReceipt) []byte {
	b = append(append(append(b, ' ', '@'), r.From...), '=')
	return strconv.AppendUint(b, r.N, 10)
}

// Append appends the wire form of the frame to b. It has at least one message; their numbers
// are consecutive.
func (f Frame) Append(b []byte) []byte {
	at := f.Messages[0].At.UnixMilli()
	b = appendHeader(b, f.Messages[0].N, at)
	for _, m := range f.Messages {
		next := max(at, m.At.UnixMilli())
		b = appendEntry(b, next-at, len(m.Text))
		at = next
	}
	for _, r := range f.Receipts {
		b = appendReceipt(b, r)
	}
	b = append(b, '\n')
	for _, m := range f.Messages {
		b = append(append(b, m.Text...), '\n')
	}
	return b
}

// ParseFrame reads a frame whose texts have at most maxText bytes each. Everything is checked
// before anything is allocated; invalid UTF-8 in texts is replaced.
func ParseFrame(data []byte, maxText int) (Frame, error) {
	line, texts, ok := bytes.Cut(data, []byte{'\n'})
	h := header{rest: line}
	if !ok || !h.version() {
		return Frame{}, errFrame
	}
	first, at := h.number(' '), h.number(' ')
	body := h
	count, size, tooLong := 0, 0, false
	for ; h.more() && !h.receipt(); count++ {
		after, n := h.number(' '), h.number(':')
		if after > maxAfter || n > uint64(len(texts)) {
			return Frame{}, errFrame
		}
		tooLong = tooLong || n > uint64(maxText)
		size += int(n) + 1
	}
	receipts := 0
	for ; h.more(); receipts++ {
		if h.user(); h.number('=') > chat.MaxMessage {
			return Frame{}, errFrame
		}
	}
	switch {
	case h.bad, size != len(texts), count == 0, count > maxFrame, receipts > chat.MaxReceipts,
		first == 0, first+uint64(count) > chat.MaxMessage, at > maxAt:
		return Frame{}, errFrame
	}
	if tooLong {
		return Frame{}, ErrTextTooLong
	}
	return body.read(first, at, count, receipts, texts)
}

const (
	maxAt    = 253402300799999 // the year 9999
	maxAfter = 1 << 40
)

// read reads a frame that was checked, except for the line feeds after the texts.
func (h *header) read(first, at uint64, count, receipts int, texts []byte) (Frame, error) {
	f := Frame{Messages: make([]chat.Message, count)}
	all := string(texts)
	valid := utf8.ValidString(all)
	for i := range f.Messages {
		at += h.number(' ')
		n := h.number(':')
		if all[n] != '\n' {
			return Frame{}, errFrame
		}
		text := all[:n]
		if !valid {
			text = string([]rune(text))
		}
		f.Messages[i] = chat.Message{N: first + uint64(i), At: unixMilli(int64(min(at, maxAt))), Text: text}
		all = all[n+1:]
	}
	if receipts > 0 {
		f.Receipts = make([]FrameReceipt, receipts)
	}
	for i := range f.Receipts {
		f.Receipts[i] = FrameReceipt{From: h.user(), N: h.number('=')}
	}
	return f, nil
}

// header reads the first line.
type header struct {
	rest []byte
	bad  bool
}

func (h *header) more() bool { return len(h.rest) > 0 && !h.bad }

func (h *header) version() bool {
	ok := len(h.rest) > 1 && h.rest[0] == frameVersion && len(h.rest) <= maxHeader
	if ok {
		h.rest = h.rest[1:]
	}
	return ok
}

const maxHeader = 64 + 32*maxFrame + 48*chat.MaxReceipts

// number reads a character and a decimal number after it, without a sign or leading zeros.
func (h *header) number(before byte) uint64 {
	if len(h.rest) < 2 || h.rest[0] != before {
		h.bad = true
		return 0
	}
	n, i := uint64(0), 1
	for ; i < len(h.rest) && i <= 16; i++ {
		d := h.rest[i] - '0'
		if d > 9 {
			break
		}
		n = 10*n + uint64(d)
	}
	if i == 1 || i > 2 && h.rest[1] == '0' || i > 17 {
		h.bad = true
	}
	h.rest = h.rest[i:]
	return n
}

// receipt reports whether a receipt comes next.
func (h *header) receipt() bool { return len(h.rest) >= 2 && h.rest[0] == ' ' && h.rest[1] == '@' }

// user reads the user of a receipt.
func (h *header) user() chat.User {
	if !h.receipt() {
		h.bad = true
		return ""
	}
	name, _, ok := bytes.Cut(h.rest[2:min(len(h.rest), 3+chat.MaxName)], []byte{'='})
	if !ok || len(name) == 0 {
		h.bad = true
		return ""
	}
	h.rest = h.rest[2+len(name):]
	return chat.User(name)
}
