package direct

import (
	"net/netip"
	"slices"
	"testing"
)

// What a peer names is dialled or not.
func TestDialable(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("2001:db8::5")}
	const never, always, whenNear = 0, 1, 2
	for addr, when := range map[string]int{
		"192.0.2.1:4000":               always,
		"10.1.2.3:4000":                always,
		"100.64.0.1:4000":              always,
		"192.168.1.6:65535":            always,
		"[2001:db8::1]:4000":           always,
		"[fd00::1]:4000":               always,
		"127.0.0.1:4000":               whenNear,
		"127.1.2.3:4000":               whenNear,
		"[::1]:4000":                   whenNear,
		"[::ffff:127.0.0.1]:4000":      whenNear,
		"192.168.1.5:4000":             whenNear,
		"[2001:db8::5]:4000":           whenNear,
		"[2001:db8::5%eth0]:4000":      whenNear,
		"[::ffff:192.168.1.5]:4000":    whenNear,
		"192.0.2.1:0":                  never,
		"192.0.2.1:1023":               never,
		"127.0.0.1:22":                 never,
		"0.0.0.0:4000":                 never,
		"0.1.2.3:4000":                 never,
		"[::]:4000":                    never,
		"[::ffff:0.0.0.0]:4000":        never,
		"169.254.169.254:4000":         never,
		"[fe80::1]:4000":               never,
		"[fe80::1%eth0]:4000":          never,
		"[::ffff:169.254.169.254]:400": never,
		"224.0.0.1:4000":               never,
		"239.255.255.250:4000":         never,
		"240.0.0.1:4000":               never,
		"255.255.255.255:4000":         never,
		"[ff02::1]:4000":               never,
		"[ff0e::1]:4000":               never,
	} {
		list := []netip.AddrPort{netip.MustParseAddrPort(addr)}
		far, near := len(dialable(list, own, false)) == 1, len(dialable(list, own, true)) == 1
		if far != (when == always) || near != (when != never) {
			t.Errorf("%s: dialled %v, on the same host %v", addr, far, near)
		}
	}
	if list := dialable([]netip.AddrPort{{}}, nil, true); len(list) > 0 {
		t.Error("no address is dialled")
	}
}

func TestDialableCount(t *testing.T) {
	var list []netip.AddrPort
	for i := range byte(20) {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, i}), 4000))
	}
	if got := dialable(list, nil, false); !slices.Equal(got, list[:MaxAddrs]) {
		t.Errorf("dialled are %v", got)
	}
	if got := dialable([]netip.AddrPort{list[1], list[1]}, nil, false); len(got) != 1 {
		t.Errorf("dialled are %v", got)
	}
}

// What this side tells a peer of its addresses.
func TestOffered(t *testing.T) {
	var own []netip.Addr
	for _, s := range []string{"fe80::1", "127.0.0.1", "192.168.1.5", "169.254.3.4", "10.0.0.5", "::1", "2001:db8::5"} {
		own = append(own, netip.MustParseAddr(s))
	}
	for near, want := range map[bool][]string{
		false: {"[2001:db8::5]:77", "192.168.1.5:77", "10.0.0.5:77"},
		true:  {"127.0.0.1:77", "[::1]:77", "[2001:db8::5]:77", "192.168.1.5:77", "10.0.0.5:77"},
	} {
		var got []string
		for _, a := range offered(own, 77, near) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("near %v: %v, want %v", near, got, want)
		}
	}
	for i := range byte(20) {
		own = append(own, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 10 + i}))
	}
	if got := offered(own, 77, true); len(got) != MaxAddrs || got[5].Addr() != own[4] {
		t.Errorf("of many: %v", got)
	}
}
