package direct

import (
	"net/netip"
	"slices"
)

// lowestPort is the first port that may be dialled: a listener has none of the well-known ones.
const lowestPort = 1024

// dialable returns which addresses of a peer may be dialled, in its order. Own is the
// addresses of this host: they reach what is meant for this host alone, just as loopback does.
func dialable(addrs []netip.AddrPort, own []netip.Addr, near bool) (list []netip.AddrPort) {
	for _, a := range addrs[:min(len(addrs), MaxAddrs)] {
		ip := a.Addr().Unmap().WithZone("")
		a = netip.AddrPortFrom(ip, a.Port())
		local := ip.IsLoopback() || slices.Contains(own, ip)
		if usable(ip) && (near || !local) && a.Port() >= lowestPort && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// usable reports whether an address is that of one host, on whatever network: neither of a
// group nor of a link, nor reserved.
func usable(ip netip.Addr) bool {
	if ip.Is4() && (ip.As4()[0] == 0 || ip.As4()[0] >= 240) {
		return false
	}
	return ip.IsLoopback() || ip.IsGlobalUnicast()
}

// offered returns which addresses of this host are told to a peer: loopback first and only if
// it is near, then IPv6 and IPv4 in turn, so that one kind does not push out the other.
func offered(own []netip.Addr, port uint16, near bool) (list []netip.AddrPort) {
	var loop, four, six []netip.Addr
	for _, ip := range own {
		switch ip = ip.Unmap(); {
		case !usable(ip):
		case ip.IsLoopback():
			loop = append(loop, ip)
		case ip.Is4():
			four = append(four, ip)
		default:
			six = append(six, ip)
		}
	}
	if !near {
		loop = nil
	}
	for i := range max(len(four), len(six)) {
		loop = append(loop, six[min(i, len(six)):min(i+1, len(six))]...)
		loop = append(loop, four[min(i, len(four)):min(i+1, len(four))]...)
	}
	for _, ip := range loop[:min(len(loop), MaxAddrs)] {
		list = append(list, netip.AddrPortFrom(ip, port))
	}
	return list
}
