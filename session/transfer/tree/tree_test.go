package tree

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/bao"
)

var update = flag.Bool("update", false, "record the vectors anew")

// pattern is the input of BLAKE3's official test vectors.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i % 251)
	}
	return p
}

// hashes cuts p into pieces.
func hashes(p []byte) (list []Hash) {
	n := Pieces(int64(len(p)))
	for i := range n {
		end := int(i)*PieceSize + Length(i, int64(len(p)))
		list = append(list, Sum(i, p[i*PieceSize:end], n == 1))
	}
	return list
}

func root(list []Hash) Hash {
	var b Builder
	for _, h := range list {
		b.Add(h)
	}
	return b.Root()
}

var sizes = []int{
	0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 4097, 16383, 16384, 16385, 31744, 65537, 102400,
	PieceSize - 1, PieceSize, PieceSize + 1, 2*PieceSize - 1, 2 * PieceSize, 2*PieceSize + 1, 3 * PieceSize, 4*PieceSize + 1, 5*PieceSize - 1024, 7*PieceSize + 4711, 8 * PieceSize, 9*PieceSize + 1,
}

// TestVectors: hashes of pieces and roots are those that are recorded in testdata.
func TestVectors(t *testing.T) {
	var got bytes.Buffer
	fmt.Fprintln(&got, "# Content: byte i is i mod 251. Size, root, and the hash of each piece.")
	for _, n := range sizes {
		list := hashes(pattern(n))
		fmt.Fprintln(&got, n, root(list))
		for _, h := range list {
			fmt.Fprintln(&got, " ", h)
		}
	}
	const file = "testdata/vectors.txt"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		g, w := bufio.NewScanner(&got), bufio.NewScanner(bytes.NewReader(want))
		for g.Scan() && w.Scan() {
			if g.Text() != w.Text() {
				t.Fatalf("%s\nwant %s", g.Text(), w.Text())
			}
		}
		t.Fatal("not as many lines as recorded")
	}
}

// TestOfficial: the roots of BLAKE3's official vectors, for inputs longer than a batch too.
func TestOfficial(t *testing.T) {
	for n, want := range map[int]string{
		0:      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
		1024:   "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
		102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
	} {
		if got := root(hashes(pattern(n))).String(); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}

// compare checks a tree against the module's own hash and its outboard encoding, which lists
// the same tree from the root down.
func compare(t *testing.T, p []byte) {
	t.Helper()
	before := bytes.Clone(p)
	list := hashes(p)
	got := root(list)
	if want := Hash(blake3.Sum256(p)); got != want {
		t.Fatalf("%d bytes: root %s, want %s", len(p), got, want)
	}
	if !bytes.Equal(p, before) {
		t.Fatalf("%d bytes: hashing has changed the content", len(p))
	}
	encoding, baoRoot := bao.EncodeBuf(p, 7, true)
	if Hash(baoRoot) != got {
		t.Fatalf("%d bytes: bao has another root", len(p))
	}
	if len(list) > 1 {
		for i, h := range list {
			if !bytes.Contains(encoding[8:], h[:]) {
				t.Fatalf("%d bytes: the hash of piece %d is not in the encoding", len(p), i)
			}
		}
	}
}

func TestAgainstBlake3(t *testing.T) {
	for _, n := range sizes {
		compare(t, pattern(n))
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("a"), uint16(3), uint32(1))
	f.Add([]byte(strings.Repeat("x", 2000)), uint16(200), uint32(77))
	f.Fuzz(func(t *testing.T, seed []byte, times uint16, at uint32) {
		p := bytes.Repeat(seed, int(times)%1024+1)
		if len(p) == 0 || len(p) > 1<<20 {
			return
		}
		compare(t, p)
		before := hashes(p)
		i := int(at) % len(p)
		p[i] ^= 1
		after := hashes(p)
		for k := range before {
			if changed := before[k] != after[k]; changed != (i/PieceSize == k) {
				t.Fatalf("byte %d of %d changed; hash of piece %d changed: %v", i, len(p), k, changed)
			}
		}
	})
}

// TestPieces: a hash tells where its piece is, how long it is, and whether it is the only one.
func TestPieces(t *testing.T) {
	p := pattern(PieceSize)
	seen := map[Hash]string{}
	for name, h := range map[string]Hash{
		"piece 0": Sum(0, p, false), "piece 1": Sum(1, p, false), "the only one": Sum(0, p, true),
		"shorter": Sum(0, p[:PieceSize-1], false), "with a zero": Sum(0, append(p[:PieceSize-1:PieceSize-1], 0), false),
		"far": Sum(MaxPieces-1, p, false),
	} {
		if other, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[h] = name
	}
}

func TestLengths(t *testing.T) {
	for _, c := range []struct {
		size   int64
		pieces uint64
		last   int
	}{{0, 0, 0}, {1, 1, 1}, {PieceSize, 1, PieceSize}, {PieceSize + 1, 2, 1}, {1<<32 + 1, 1<<15 + 1, 1}, {MaxSize, MaxPieces, PieceSize}} {
		if n := Pieces(c.size); n != c.pieces {
			t.Errorf("%d bytes have %d pieces, want %d", c.size, n, c.pieces)
		}
		if n := Length(c.pieces-1, c.size); n != c.last {
			t.Errorf("the last piece of %d bytes has %d, want %d", c.size, n, c.last)
		}
		if n := Length(c.pieces, c.size); n != 0 {
			t.Errorf("behind %d bytes is a piece of %d", c.size, n)
		}
	}
}

// TestLater: the root may be asked for while more is to come.
func TestLater(t *testing.T) {
	p := pattern(9 * PieceSize)
	var b Builder
	for i, h := range hashes(p) {
		b.Add(h)
		if i == 0 {
			continue // of one piece the root is another hash
		}
		if want := Hash(blake3.Sum256(p[:(i+1)*PieceSize])); b.Root() != want {
			t.Fatalf("%d pieces: %s, want %s", i+1, b.Root(), want)
		}
	}
	if b.Len() != 9 {
		t.Errorf("%d hashes", b.Len())
	}
}

func BenchmarkSum(b *testing.B) {
	p := pattern(PieceSize)
	b.SetBytes(PieceSize)
	for b.Loop() {
		Sum(7, p, false)
	}
}
