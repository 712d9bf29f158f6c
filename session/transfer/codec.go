package transfer

import (
	"encoding/binary"
	"errors"

	"natter/session/transfer/manifest"
	"natter/session/transfer/ranges"
	"natter/session/transfer/tree"
)

// ID is the name of a transfer: 16 random bytes that its sender draws.
type ID [16]byte

// Kind tells messages apart.
type Kind uint8

// The kinds of messages. The first group goes from the sender to a receiver, the second from
// a receiver to the sender, the last both ways.
const (
	Offer    Kind = 1 // Summary, and the first page of the list in Data
	Page     Kind = 2 // page Index of the list, in Data
	Hashes   Kind = 3 // the hashes of the pieces from Index on, and the Size if it is known by now
	Piece    Kind = 4 // piece Index, in Data
	Complete Kind = 5 // the content has Size bytes and the root Root
	State    Kind = 6 // of what was wanted up to Seq, all before piece Index has been sent; Shared: listen to the shared channel

	Noted    Kind = 16 // the offer has arrived, and somebody is being asked
	WantPage Kind = 17 // page Index of the list is wanted
	Want     Kind = 18 // the pieces in Ranges are wanted, now or as well; the offer is accepted
	Done     Kind = 19 // everything is there, and has the root Root

	Stop Kind = 32 // nothing more is sent or taken, for Reason
	Bye  Kind = 33 // Done or Stop has arrived
)

// Message is what the two sides of a transfer say to each other. Fields that the kind does
// not name are zero.
type Message struct {
	Kind        Kind
	ID          ID
	Incarnation uint64 // a random number that each run of a program draws

	Summary manifest.Summary
	Index   uint64
	Data    []byte // of a parsed message: part of what was parsed
	Hashes  []tree.Hash
	Size    int64 // -1: not known
	Root    tree.Hash
	Seq     uint64         // of Want: its number, from 1 in each incarnation
	Shared  bool           // of Want: the receiver listens to the shared channel
	Durable uint64         // of Want: all pieces before this one are durable
	Have    int64          // of Want: how many bytes are verified
	Ranges  []ranges.Range // of Want
	Reason  Reason         // of Stop; of Want: why nothing is wanted at the moment
}

const (
	messageVersion = 1
	messageHead    = 1 + 1 + 16 + 8
	// maxHashes and maxRanges bound a message.
	maxHashes = 1024
	maxRanges = 256
	rangeSize = 8 + 4
	// MaxMessage is the size of the longest message in bytes.
	MaxMessage = messageHead + 8 + tree.PieceSize
)

var errMessage = errors.New("not a message of a transfer")

var be = binary.BigEndian

// Append appends the wire form of a message to b.
func (m *Message) Append(b []byte) []byte {
	b = append(b, messageVersion, byte(m.Kind))
	b = be.AppendUint64(append(b, m.ID[:]...), m.Incarnation)
	switch m.Kind {
	case Offer:
		b = be.AppendUint32(b, m.Summary.Entries)
		b = be.AppendUint32(b, m.Summary.Pages)
		b = be.AppendUint64(b, uint64(m.Summary.Size))
		b = append(append(b, m.Summary.Hash[:]...), m.Data...)
	case Page, Piece:
		b = append(be.AppendUint64(b, m.Index), m.Data...)
	case WantPage:
		b = be.AppendUint64(b, m.Index)
	case Hashes:
		b = be.AppendUint64(b, m.Index)
		b = be.AppendUint64(b, uint64(m.Size))
		b = be.AppendUint16(b, uint16(len(m.Hashes)))
		for _, h := range m.Hashes {
			b = append(b, h[:]...)
		}
	case Complete:
		b = append(be.AppendUint64(b, uint64(m.Size)), m.Root[:]...)
	case State:
		b = append(be.AppendUint64(be.AppendUint64(b, m.Seq), m.Index), oneIf(m.Shared))
	case Want:
		b = append(be.AppendUint64(b, m.Seq), oneIf(m.Shared), byte(m.Reason))
		b = be.AppendUint64(b, m.Durable)
		b = be.AppendUint64(b, uint64(m.Have))
		b = be.AppendUint16(b, uint16(len(m.Ranges)))
		for _, r := range m.Ranges {
			b = be.AppendUint32(be.AppendUint64(b, r.First), uint32(r.Len()))
		}
	case Done:
		b = append(b, m.Root[:]...)
	case Stop:
		b = append(b, byte(m.Reason))
	}
	return b
}

func oneIf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Parse reads a message. Lengths and limits are checked before anything is allocated; Data is
// not copied.
func Parse(data []byte) (Message, error) {
	if len(data) < messageHead || len(data) > MaxMessage || data[0] != messageVersion {
		return Message{}, errMessage
	}
	m := Message{Kind: Kind(data[1]), ID: ID(data[2:18]), Incarnation: be.Uint64(data[18:])}
	r := reader{rest: data[messageHead:]}
	m.read(&r)
	if r.bad || len(r.rest) > 0 {
		return Message{}, errMessage
	}
	return m, nil
}

func (m *Message) read(r *reader) {
	switch m.Kind {
	case Offer:
		m.Summary = manifest.Summary{Entries: r.uint32(), Pages: r.uint32(), Size: r.size(), Hash: r.hash()}
		m.Data = r.all(manifest.MaxPage)
		r.check(m.Summary.Check() == nil)
	case Page:
		m.Index = r.uint64(manifest.MaxPages - 1)
		m.Data = r.all(manifest.MaxPage)
	case Piece:
		m.Index = r.uint64(tree.MaxPieces - 1)
		m.Data = r.all(tree.PieceSize)
	case WantPage:
		m.Index = r.uint64(manifest.MaxPages - 1)
	case Hashes:
		m.Index, m.Size = r.uint64(tree.MaxPieces), r.size()
		n := r.count(maxHashes, tree.HashSize)
		r.check(m.Index+uint64(n) <= tree.MaxPieces)
		for range n {
			m.Hashes = append(m.Hashes, r.hash())
		}
	case Complete:
		m.Size, m.Root = r.size(), r.hash()
		r.check(m.Size >= 0)
	case State:
		m.Seq, m.Index, m.Shared = r.uint64(1<<63), r.uint64(tree.MaxPieces), r.flag()
	case Want:
		m.readWant(r)
	case Done:
		m.Root = r.hash()
	case Stop:
		m.Reason = r.reason()
		r.check(m.Reason != 0)
	case Noted, Bye:
	default:
		r.bad = true
	}
}

func (m *Message) readWant(r *reader) {
	m.Seq, m.Shared, m.Reason = r.uint64(1<<63), r.flag(), r.reason()
	m.Durable, m.Have = r.uint64(tree.MaxPieces), int64(r.uint64(tree.MaxSize))
	n := r.count(maxRanges, rangeSize)
	if n > 0 {
		m.Ranges = make([]ranges.Range, 0, n)
	}
	for range n {
		first := r.uint64(tree.MaxPieces)
		one := ranges.Range{First: first, End: first + uint64(r.uint32())}
		r.check(one.Len() > 0 && one.End <= tree.MaxPieces)
		m.Ranges = append(m.Ranges, one)
	}
}

// reader reads the fields of a message.
type reader struct {
	rest []byte
	bad  bool
}

var zeros [tree.HashSize]byte

// take returns the next n bytes, or zeros.
func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return zeros[:n]
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) check(ok bool) { r.bad = r.bad || !ok }

func (r *reader) uint32() uint32 { return be.Uint32(r.take(4)) }

func (r *reader) uint64(limit uint64) uint64 {
	n := be.Uint64(r.take(8))
	r.check(n <= limit)
	return n
}

func (r *reader) size() int64 {
	n := int64(be.Uint64(r.take(8)))
	r.check(n >= manifest.Unknown && n <= tree.MaxSize)
	return n
}

func (r *reader) flag() bool {
	b := r.take(1)[0]
	r.check(b <= 1)
	return b == 1
}

func (r *reader) reason() Reason {
	n := Reason(r.take(1)[0])
	r.check(n <= lastReason)
	return n
}

func (r *reader) hash() tree.Hash { return tree.Hash(r.take(tree.HashSize)) }

// count reads how many fields of a size follow, to the end of the message.
func (r *reader) count(limit, size int) int {
	n := int(be.Uint16(r.take(2)))
	if n > limit || n*size != len(r.rest) {
		r.bad = true
		return 0
	}
	return n
}

// all returns the rest, which is there.
func (r *reader) all(limit int) []byte {
	b := r.rest
	r.check(len(b) > 0 && len(b) <= limit)
	r.rest = nil
	return b
}
