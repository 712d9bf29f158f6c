// Package tree is the hash tree by which the pieces of a transfer are verified one by one, as
// they come and in any order.
//
// The tree is BLAKE3's own. What is sent is cut into pieces of 128 KiB, each of which is a
// whole subtree of 128 chunks; the hash of a piece is the chaining value of that subtree, and
// it depends on where the piece is. So the root is the BLAKE3 hash of the content, as any
// other program computes it. If there is only one piece, its hash is the root.
//
//	piece 0   piece 1   piece 2   piece 3   piece 4
//	  h0 ─┬─ h1           h2 ─┬─ h3           h4
//	      └─────────┬─────────┘               │
//	                └──────────── root ───────┘
//
// A sender hashes each piece while it reads it and tells the hashes ahead of the pieces; only
// when all are known is the root. Builder computes it from the hashes in a few hundred
// bytes, whatever the size.
package tree

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

const (
	// PieceSize is the size of each piece but the last, in bytes.
	PieceSize = 128 << 10
	// HashSize is the size of a hash in bytes.
	HashSize = 32
	// MaxSize is the largest content that has a tree here, in bytes: 4 PiB.
	MaxSize = 1 << 52
	// MaxPieces is the number of its pieces.
	MaxPieces = MaxSize / PieceSize
)

// Hash is the hash of a piece or the root of a tree.
type Hash [HashSize]byte

// String prints a hash in hexadecimal, as b3sum does.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Pieces returns the number of pieces of a content of size bytes. An empty one has none.
func Pieces(size int64) uint64 { return (uint64(size) + PieceSize - 1) / PieceSize }

// Length returns the length of piece i of a content of size bytes, and 0 behind its end.
func Length(i uint64, size int64) int {
	if n := Pieces(size); i >= n {
		return 0
	} else if i < n-1 {
		return PieceSize
	}
	return int(size - int64(i)*PieceSize)
}

// Sum returns the hash of piece i, which is at most PieceSize long. With only it is the one
// piece of its content, and the hash is the root.
func Sum(i uint64, piece []byte, only bool) Hash {
	n := subtree(piece, i*(PieceSize/guts.ChunkSize))
	if only {
		n.Flags |= guts.FlagRoot
	}
	return toHash(guts.ChainingValue(n))
}

// Empty is the root of an empty content.
func Empty() Hash { return Sum(0, nil, true) }

// batch is how many bytes guts hashes at once.
const batch = guts.MaxSIMD * guts.ChunkSize

// subtree is the node above the chunks of p, the first of which has the number chunk.
func subtree(p []byte, chunk uint64) guts.Node {
	switch {
	case len(p) == batch:
		return guts.CompressBuffer((*[batch]byte)(p), batch, &guts.IV, chunk, 0)
	case len(p) < batch:
		var buf [batch]byte
		return guts.CompressBuffer(&buf, copy(buf[:], p), &guts.IV, chunk, 0)
	}
	left := 1 << (bits.Len(uint(len(p)-1)) - 1) // the largest power of two that leaves something
	l := guts.ChainingValue(subtree(p[:left], chunk))
	r := guts.ChainingValue(subtree(p[left:], chunk+uint64(left/guts.ChunkSize)))
	return guts.ParentNode(l, r, &guts.IV, 0)
}

// Builder computes a root from the hashes of all pieces in order. The zero value has none.
type Builder struct {
	n     uint64
	stack []Hash // of complete subtrees, the largest first, and always the last hash
}

// Len returns how many hashes were added.
func (b *Builder) Len() uint64 { return b.n }

// Add adds the hash of the next piece.
func (b *Builder) Add(h Hash) {
	// Subtrees are merged only once there is something to the right of them: the topmost
	// one is merged differently.
	for len(b.stack) > bits.OnesCount64(b.n) {
		b.merge(0)
	}
	b.stack = append(b.stack, h)
	b.n++
}

func (b *Builder) merge(flags uint32) {
	top := len(b.stack) - 2
	b.stack[top] = parent(b.stack[top], b.stack[top+1], flags)
	b.stack = b.stack[:top+1]
}

// Root returns the root above the hashes so far. More may be added later.
func (b *Builder) Root() Hash {
	if b.n == 0 {
		return Empty()
	}
	h := b.stack[len(b.stack)-1]
	for i := len(b.stack) - 2; i >= 0; i-- {
		flags := uint32(0)
		if i == 0 {
			flags = guts.FlagRoot
		}
		h = parent(b.stack[i], h, flags)
	}
	return h
}

func parent(l, r Hash, flags uint32) Hash {
	return toHash(guts.ChainingValue(guts.ParentNode(words(l), words(r), &guts.IV, flags)))
}

func words(h Hash) (w [8]uint32) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(h[4*i:])
	}
	return w
}

func toHash(w [8]uint32) (h Hash) {
	for i, x := range w {
		binary.LittleEndian.PutUint32(h[4*i:], x)
	}
	return h
}
