package transcript

import (
	"bufio"
	"bytes"
	"io"
)

// maxLine is how long a line may be: more than any message can become.
const maxLine = 8 << 20

// Reader reads the lines of a transcript. What cannot be read as a line is counted and
// passed over.
type Reader struct {
	Line    Line  // the last that was read
	No      int   // its number, from 1
	Damaged []int // the numbers of those that are none, the first hundred
	Bad     int   // how many they are
	Err     error // of the file, if that is why there is no further line

	in *bufio.Reader
}

// NewReader reads from in.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReader(in)} }

// Next reads the next line, and reports whether there was one.
func (r *Reader) Next() bool {
	for {
		data, ok := r.read()
		if !ok {
			return false
		}
		r.No++
		if len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		if l, ok := parse(data); ok {
			r.Line = l
			return true
		}
		r.Bad++
		if len(r.Damaged) < 100 {
			r.Damaged = append(r.Damaged, r.No)
		}
	}
}

// read returns the next line, whatever it holds. Of one that is too long it keeps what
// is enough to see that.
func (r *Reader) read() ([]byte, bool) {
	var data []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(data) <= maxLine {
			data = append(data, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && err != io.EOF:
			r.Err = err
			return nil, false
		case err == io.EOF && len(data) == 0:
			return nil, false
		case len(data) > maxLine:
			return []byte("too long"), true
		}
		return data, true
	}
}
