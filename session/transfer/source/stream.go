package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"natter/internal/private"
	"natter/session/transfer"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

// Stream is a source that can be read only once, such as standard input. The Sender keeps what
// was read, up to 16 MiB, until it is durable at all receivers, and has no more read until
// then. It is used by one goroutine at a time.
type Stream struct {
	list manifest.List
	r    *bufio.Reader
	next uint64 // piece
}

// NewStream makes a source of what comes from r, offered under a name.
func NewStream(r io.Reader, name string) (*Stream, error) {
	s := &Stream{r: bufio.NewReader(r)}
	if err := s.list.Add(manifest.Entry{Parent: manifest.Top, Kind: manifest.Stream, Size: manifest.Unknown, Name: name}); err != nil {
		return nil, private.Errorf(errors.Join(ErrUnread, err), "%s cannot be the name of an offer: %v.", shown(name), err)
	}
	return s, nil
}

// List returns what is offered: one entry without a size.
func (s *Stream) List() *manifest.List { return &s.list }

// Do carries out an effect of a Sender and returns what the Sender is told of it, as that of
// a Source does. It waits for a whole piece and the next byte, or the end.
func (s *Stream) Do(e transfer.Effect) (in transfer.Input, ok bool, err error) {
	if e.Kind != transfer.ReadPieces {
		return in, false, nil
	}
	data, end, err := s.read(e.Index)
	return answer(e, data, end, err)
}

// read reads the next piece. Whether it is the last one is known only once there is another
// byte or none.
func (s *Stream) read(i uint64) (data []byte, end bool, err error) {
	if i != s.next {
		return nil, false, fmt.Errorf("piece %d of a stream is read behind piece %d", i, s.next)
	}
	data = make([]byte, tree.PieceSize)
	n, err := io.ReadFull(s.r, data)
	if err == nil {
		_, err = s.r.Peek(1)
	}
	end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !end {
		return nil, false, private.Errorf(errors.Join(ErrUnread, err), "Cannot read on in %s: %v.", shown(s.list.At(0).Name), private.Cause(err))
	}
	s.next++
	return data[:n], end, nil
}
