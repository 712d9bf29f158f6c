package direct

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"natter/session/transfer/tree"
)

// benchSize is the size of the file of the benchmarks.
const benchSize = 1 << 30

// memory is what is sent, again and again.
func memory() source {
	const period = 64 * tree.PieceSize
	data := make([]byte, 2*period)
	rand.NewChaCha8([32]byte{2}).Read(data[:period])
	copy(data[period:], data)
	return source{data, period, benchSize}
}

// BenchmarkDirect is a transfer of 1 GiB on loopback, from memory to nowhere: reading and
// writing apart, all that is done to a file. BenchmarkPlain is what it is compared with.
func BenchmarkDirect(b *testing.B) {
	from := memory()
	b.SetBytes(benchSize)
	for b.Loop() {
		s, r := pair(b, identity(b), identity(b))
		runTransfer(b, s, r, from, func(uint64, []byte) {})
		s.Close()
		r.Close()
	}
}

// BenchmarkPlain is a plain copy of as much with TLS 1.3, of which both sides hash each piece.
func BenchmarkPlain(b *testing.B) {
	from := memory()
	b.SetBytes(benchSize)
	for b.Loop() {
		plain(b, from)
	}
}

func plain(b *testing.B, from source) {
	id := identity(b)
	cfg := id.config(id.pin.equal)
	tcp, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: cfg.Certificates})
	if err != nil {
		b.Fatal(err)
	}
	defer tcp.Close()
	sent := make(chan error)
	go func() { sent <- plainSender(tcp, from) }()
	c, err := tls.Dial("tcp", tcp.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	piece := make([]byte, tree.PieceSize)
	for i := range uint64(benchSize / tree.PieceSize) {
		if _, err := io.ReadFull(c, piece); err != nil {
			b.Fatal(err)
		}
		tree.Sum(i, piece, false)
	}
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
}

func plainSender(tcp net.Listener, from source) error {
	c, err := tcp.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range uint64(benchSize / tree.PieceSize) {
		piece := from.read(i, 1)
		tree.Sum(i, piece, false)
		if _, err := c.Write(piece); err != nil {
			return err
		}
	}
	return nil
}
