package ui

import (
	"bufio"
	"context"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxLine is the greatest length of a line of input, in bytes.
const MaxLine = 65536

// input is a line of input. The last one has end set and no text.
type input struct {
	text    string
	tooLong bool // over MaxLine: the text is dropped
	cut     bool // the terminal may have dropped its end; the rest is dropped
	notUTF8 bool // bytes that are not UTF-8 are replaced by U+FFFD
	end     bool
}

// read sends the lines of r until r or ctx ends; r may be a terminal that cuts long lines.
func read(ctx context.Context, r io.Reader, cutsAt int, lines chan<- input) {
	b := bufio.NewReaderSize(r, MaxLine+2)
	for first := true; ; first = false {
		l := readLine(b, cutsAt)
		if first {
			l.text = strings.TrimPrefix(l.text, "\ufeff") // some editors begin a file with it
		}
		select {
		case lines <- l:
		case <-ctx.Done():
			return
		}
		if l.end {
			return
		}
	}
}

// readLine reads one line. A last line without LF is a line; any error is the end of the input. A
// line of a terminal that has the greatest possible length may have been longer.
func readLine(b *bufio.Reader, cutsAt int) input {
	line, err := b.ReadSlice('\n')
	text := string(line)
	tooLong := false
	for err == bufio.ErrBufferFull {
		tooLong = true
		_, err = b.ReadSlice('\n')
	}
	if err != nil && text == "" && !tooLong {
		return input{end: true}
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if tooLong || len(text) > MaxLine {
		return input{tooLong: true}
	}
	if cutsAt > 0 && len(text) >= cutsAt {
		return input{cut: true}
	}
	l := input{text: text}
	if !utf8.ValidString(text) {
		l.notUTF8, l.text = true, strings.ToValidUTF8(text, "\ufffd")
	}
	return l
}
