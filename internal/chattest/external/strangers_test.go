package external_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
	"natter/internal/chattest"
)

// Connections without a user are closed on NATS servers that are not ours as on our own: the
// oldest unused ones beyond 64 of one address, and, when a server may have hardly another
// connection, those of the address that has most. Users come in meanwhile, and stay.
func TestStrangersOnServersThatAreNotOurs(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a second loopback address without being asked")
	}
	in := plan(t, 1)
	in.change("nats.conf", "max_connections: 64000", "max_connections: 80")
	in.run()
	in.coordinator("--rate", "1000")
	alice := chattest.Dial(t, client.Config{URL: in.urls}, "alice")
	var one, others []*nats.Conn
	for range 66 {
		one = append(one, in.stranger(net.IPv4(127, 0, 0, 1)))
	}
	until(t, "room for newcomers", func() bool { return open(one) <= 64 })
	if newest := open(one[60:]); newest != 6 {
		t.Errorf("%d of the 6 newest are open", newest)
	}
	for i := range 10 {
		others = append(others, in.stranger(net.IPv4(127, 0, 1, byte(i))))
	}
	until(t, "room for newcomers", func() bool { return open(one)+open(others) <= 64 })
	bob := chattest.Dial(t, client.Config{URL: in.urls}, "bob")
	chattest.Chat(alice, bob)
	if n := open(others); n != 10 {
		t.Errorf("%d of 10 are open whose addresses have no other", n)
	}
}

// stranger is a connection in the lobby that asks for nothing and is not made again.
func (in *installation) stranger(from net.IP) *nats.Conn {
	in.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	nc, err := nats.Connect(in.urls, nats.NoReconnect(), nats.SetCustomDialer(dialer))
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(nc.Close)
	return nc
}

// open counts the connections that are up.
func open(all []*nats.Conn) (n int) {
	for _, nc := range all {
		if nc.IsConnected() {
			n++
		}
	}
	return n
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(timeout); !so(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}
