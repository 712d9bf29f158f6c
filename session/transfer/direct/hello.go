package direct

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
)

// The wire form of a Hello is
//
//	version   1 byte: 1
//	pin       32 bytes
//	mark      16 bytes, zero if there is none
//	count     1 byte, at most MaxAddrs
//	addresses count times:
//	    length   1 byte: 4 or 16
//	    address  4 or 16 bytes
//	    port     2 bytes
//
// and nothing behind. An IPv4 address has 4 bytes.

const (
	// MaxAddrs is how many addresses a Hello has at most.
	MaxAddrs = 8
	// MaxHello is the size of the longest Hello in bytes.
	MaxHello = helloHead + MaxAddrs*(1+16+2)

	helloVersion = 1
	helloHead    = 1 + sha256.Size + len(Mark{}) + 1
)

// Pin is the SHA-256 hash of the public key of an Identity, as a SubjectPublicKeyInfo.
type Pin [sha256.Size]byte

// Mark tells a program on the same host that this is one, and says nothing to others. The
// zero Mark is that of a program that does not know its host.
type Mark [16]byte

// Hello is what one side tells the other in the session.
type Hello struct {
	Pin   Pin
	Mark  Mark
	Addrs []netip.AddrPort // where it listens; none if it does not, or has not been accepted
}

var errHello = errors.New("not a hello of a direct connection")

// Append appends the wire form of a Hello to b. Addresses beyond MaxAddrs are left out.
func (h *Hello) Append(b []byte) []byte {
	list := h.Addrs[:min(len(h.Addrs), MaxAddrs)]
	b = append(append(append(b, helloVersion), h.Pin[:]...), h.Mark[:]...)
	b = append(b, byte(len(list)))
	for _, a := range list {
		ip := a.Addr().Unmap().AsSlice()
		b = append(append(b, byte(len(ip))), ip...)
		b = binary.BigEndian.AppendUint16(b, a.Port())
	}
	return b
}

// ParseHello reads a Hello. Its addresses are what the other side says: Connect dials only
// some of them.
func ParseHello(data []byte) (Hello, error) {
	if len(data) < helloHead || len(data) > MaxHello || data[0] != helloVersion {
		return Hello{}, errHello
	}
	h := Hello{Pin: Pin(data[1:33]), Mark: Mark(data[33:49])}
	n, rest := int(data[49]), data[helloHead:]
	if n > MaxAddrs {
		return Hello{}, errHello
	}
	for range n {
		var a netip.AddrPort
		if a, rest = readAddr(rest); !a.IsValid() {
			return Hello{}, errHello
		}
		h.Addrs = append(h.Addrs, a)
	}
	if len(rest) > 0 {
		return Hello{}, errHello
	}
	return h, nil
}

// readAddr returns the first address and the rest; an address that is not valid if there is none.
func readAddr(b []byte) (netip.AddrPort, []byte) {
	if len(b) < 1 || b[0] != 4 && b[0] != 16 || len(b) < 1+int(b[0])+2 {
		return netip.AddrPort{}, nil
	}
	n := 1 + int(b[0])
	ip, _ := netip.AddrFromSlice(b[1:n])
	if ip.Is4In6() {
		return netip.AddrPort{}, nil
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[n:])), b[n+2:]
}

// mark is that of the side with a pin, on the host with a secret that only programs there
// know. The pin is in it, so that nobody can show the mark of somebody else as theirs; and as
// each transfer has another pin, two marks of one host have nothing in common.
func mark(host []byte, pin Pin) (m Mark) {
	if len(host) == 0 {
		return m
	}
	h := hmac.New(sha256.New, host)
	h.Write([]byte("natter direct host\x00"))
	h.Write(pin[:])
	copy(m[:], h.Sum(nil))
	return m
}

// near reports whether the other side is on the host with this secret.
func (h *Hello) near(host []byte) bool {
	want := mark(host, h.Pin)
	return want != Mark{} && hmac.Equal(want[:], h.Mark[:])
}
