package journal

import (
	"encoding/binary"
	"time"

	"lukechampine.com/blake3"

	"natter/session/transfer/tree"
)

// SourceFile says which file is sent, and in which state: what changes whenever its content
// does, if only nobody sets the clock back or the time by hand.
type SourceFile struct {
	Device, Inode uint64 // on Windows the volume and the file's index
	Size          int64
	Modified      time.Time
}

// settled is how long before its hashes are taken a file must have been modified last: later
// than that, it may change again and keep its time, on file systems whose clock is coarse.
const settled = 2 * time.Second

// Sources computes the key of the hashes of the files of an offer. The zero value has none.
type Sources struct {
	hash   *blake3.Hasher
	newest time.Time
}

// Add adds the next file of the offer.
func (s *Sources) Add(f SourceFile) {
	if s.hash == nil {
		s.hash = blake3.New(tree.HashSize, nil)
	}
	b := binary.BigEndian.AppendUint64(nil, f.Device)
	b = binary.BigEndian.AppendUint64(b, f.Inode)
	b = binary.BigEndian.AppendUint64(b, uint64(f.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(f.Modified.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(f.Modified.Nanosecond()))
	s.hash.Write(b)
	if f.Modified.After(s.newest) {
		s.newest = f.Modified
	}
}

// Key returns the key of the files so far.
func (s *Sources) Key() (key tree.Hash) {
	if s.hash != nil {
		s.hash.Sum(key[:0])
	}
	return key
}

// Settled reports whether hashes that are taken from now on may be kept: whether a later
// change of a file will show in the key.
func (s *Sources) Settled(now time.Time) bool { return now.Sub(s.newest) > settled }
