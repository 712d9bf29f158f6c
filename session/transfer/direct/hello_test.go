package direct

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var hellos = []struct {
	h    Hello
	wire string
}{
	{Hello{Pin: Pin{1, 31: 2}}, "01" + "01" + strings.Repeat("00", 30) + "02" + strings.Repeat("00", 16) + "00"},
	{Hello{Pin: Pin{31: 1}, Mark: Mark{15: 3}, Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4660"), netip.MustParseAddrPort("[2001:db8::1]:80")}},
		"01" + strings.Repeat("00", 31) + "01" + strings.Repeat("00", 15) + "03" + "02" + "04c00002011234" + "10" + "20010db8000000000000000000000001" + "0050"},
}

// TestHellos: the wire form is a promise to other clients.
func TestHellos(t *testing.T) {
	for _, c := range hellos {
		b := c.h.Append(nil)
		if got := hex.EncodeToString(b); got != c.wire {
			t.Errorf("%+v:\n%s, want\n%s", c.h, got, c.wire)
		}
		h, err := ParseHello(b)
		if err != nil || !reflect.DeepEqual(h, c.h) {
			t.Errorf("%v:\n%+v, want\n%+v", err, h, c.h)
		}
		for n := range b {
			if _, err := ParseHello(b[:n]); err == nil {
				t.Errorf("%+v: the first %d bytes are a hello", c.h, n)
			}
		}
		if _, err := ParseHello(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%+v with a byte behind it is a hello", c.h)
		}
	}
}

func TestHelloLimits(t *testing.T) {
	many := Hello{Addrs: make([]netip.AddrPort, MaxAddrs+1)}
	for i := range many.Addrs {
		many.Addrs[i] = netip.MustParseAddrPort("[2001:db8::1]:80")
	}
	full := many.Append(nil)
	if len(full) != MaxHello {
		t.Errorf("the longest hello has %d bytes, not %d", len(full), MaxHello)
	}
	if h, err := ParseHello(full); err != nil || len(h.Addrs) != MaxAddrs {
		t.Errorf("%v, %d addresses", err, len(h.Addrs))
	}
	head := many.Append(nil)[:helloHead-1]
	for name, b := range map[string][]byte{
		"too many addresses":    append(append(bytes.Clone(head), 9), bytes.Repeat([]byte{4, 192, 0, 2, 1, 0, 80}, 9)...),
		"an address of 5 bytes": append(bytes.Clone(head), 1, 5, 1, 2, 3, 4, 5, 0, 80),
		"a mapped address":      append(append(bytes.Clone(head), 1, 16), append(netip.MustParseAddr("::ffff:127.0.0.1").AsSlice(), 0, 80)...),
		"another version":       append([]byte{2}, full[1:]...),
	} {
		if _, err := ParseHello(b); err == nil {
			t.Errorf("%s is a hello", name)
		}
	}
}

func FuzzParseHello(f *testing.F) {
	for _, c := range hellos {
		f.Add(c.h.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHello(data)
		if err != nil {
			return
		}
		if again := h.Append(nil); !bytes.Equal(again, data) {
			t.Fatalf("%x becomes %x", data, again)
		}
		if list := dialable(h.Addrs, nil, false); len(list) > MaxAddrs {
			t.Fatalf("%d addresses are dialled", len(list))
		}
	})
}

// A mark is of use only to who is on the same host, and only for its own pin.
func TestMarks(t *testing.T) {
	host, a, b := []byte("host"), Pin{1}, Pin{2}
	for name, c := range map[string]struct {
		h    Hello
		host []byte
		near bool
	}{
		"same host":           {Hello{Pin: a, Mark: mark(host, a)}, host, true},
		"another host":        {Hello{Pin: a, Mark: mark([]byte("other"), a)}, host, false},
		"a mark of others":    {Hello{Pin: b, Mark: mark(host, a)}, host, false},
		"no mark":             {Hello{Pin: a}, host, false},
		"neither knows":       {Hello{Pin: a, Mark: mark(nil, a)}, nil, false},
		"this side knows not": {Hello{Pin: a, Mark: mark(host, a)}, nil, false},
	} {
		if got := c.h.near(c.host); got != c.near {
			t.Errorf("%s: near %v", name, got)
		}
	}
	if mark(host, a) == mark(host, b) {
		t.Error("two transfers of one host have the same mark")
	}
}

// Two identities on this host find that they are, if the system says where they are at all.
func TestHost(t *testing.T) {
	a, b := identity(t), identity(t)
	a.host, b.host = hostSecret(), hostSecret()
	if a.host == nil {
		t.Skip("this system does not say")
	}
	if h := a.Hello(); !h.near(b.host) {
		t.Error("not the same host")
	}
}
