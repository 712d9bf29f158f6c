package direct

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"natter/session/transfer"
	"natter/session/transfer/tree"
)

// receiveError expects an error that names no address.
func receiveError(t *testing.T, c *Conn, want error) {
	t.Helper()
	_, err := c.Receive(new(Buffer))
	if !errors.Is(err, want) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v, want %v", err, want)
	}
}

// A frame longer than any message ends the connection before anything is read of it.
func TestTooLongAFrame(t *testing.T) {
	for _, n := range []uint32{transfer.MaxMessage + 1, 1<<32 - 1} {
		s, r := pair(t, identity(t), identity(t))
		if err := s.write(binary.BigEndian.AppendUint32(nil, n)); err != nil {
			t.Fatal(err)
		}
		receiveError(t, r, ErrFrame)
		receiveError(t, s, ErrLost)
		receiveError(t, r, net.ErrClosed)
	}
}

// What is no message is passed over.
func TestOtherFrames(t *testing.T) {
	s, r := pair(t, identity(t), identity(t))
	for _, frame := range []string{"", "x", strings.Repeat("\xff", transfer.MaxMessage)} {
		if err := s.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			t.Fatal(err)
		}
	}
	talk(t, s, r)
}

func TestTooLongAMessage(t *testing.T) {
	s, r := pair(t, identity(t), identity(t))
	if err := s.Send(&transfer.Message{Kind: transfer.Piece, Data: make([]byte, tree.PieceSize+1)}); err == nil {
		t.Error("it was sent")
	}
	talk(t, s, r)
}

// The longest message goes through, again and again with the same buffer.
func TestLongest(t *testing.T) {
	s, r := pair(t, identity(t), identity(t))
	ended := make(chan error, 1)
	go func() {
		var err error
		for i := range uint64(20) {
			m := transfer.Message{Kind: transfer.Piece, Index: i, Data: make([]byte, tree.PieceSize)}
			m.Data[tree.PieceSize-1] = byte(i)
			err = errors.Join(err, s.Send(&m))
		}
		ended <- err
	}()
	var buf Buffer
	for i := range uint64(20) {
		m, err := r.Receive(&buf)
		if err != nil || m.Index != i || m.Data[tree.PieceSize-1] != byte(i) {
			t.Fatalf("piece %d: %d, %v", i, m.Index, err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A frame that is cut is no message.
func TestCut(t *testing.T) {
	s, r := pair(t, identity(t), identity(t))
	if err := s.write([]byte{0, 0, 0, 26, 1, 16}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	receiveError(t, r, ErrLost)
}

func TestClose(t *testing.T) {
	s, r := pair(t, identity(t), identity(t))
	ended := make(chan error)
	go func() {
		_, err := s.Receive(new(Buffer))
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := s.Send(&transfer.Message{Kind: transfer.Noted}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	receiveError(t, r, ErrLost)
}

// Where nothing goes through, the connection is given up: nothing comes, or nothing is taken.
func TestIdle(t *testing.T) {
	s, r := pair(t, identity(t), identity(t))
	s.wire.idle = 100 * time.Millisecond
	receiveError(t, s, ErrIdle)
	receiveError(t, r, ErrLost)

	s, _ = pair(t, identity(t), identity(t))
	s.wire.idle = 100 * time.Millisecond
	m := transfer.Message{Kind: transfer.Piece, Data: make([]byte, tree.PieceSize)}
	var err error
	for err == nil {
		err = s.Send(&m)
	}
	if !errors.Is(err, ErrIdle) {
		t.Error(err)
	}
}
