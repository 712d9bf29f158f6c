package chattest_test

import (
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// stranger is a connection in the lobby that asks for nothing and is not made again.
func stranger(t *testing.T, in *chattest.Installation, from net.IP) *nats.Conn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	nc := must(nats.Connect(in.Server.URL(), nats.NoReconnect(), nats.CustomInboxPrefix(chat.LobbyInbox), nats.SetCustomDialer(dialer)))(t)
	t.Cleanup(nc.Close)
	return nc
}

// up counts the connections that are open.
func up(all []*nats.Conn) (n int) {
	for _, nc := range all {
		if nc.IsConnected() {
			n++
		}
	}
	return n
}

// Of too many connections in the lobby from one address the oldest unused ones are closed. A user
// who comes from there gets in, and so do others; those who are in stay.
func TestLobbyConnectionsOfOneAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a second loopback address without being asked")
	}
	in := chattest.Run(t, limited, func(c *coord.Config) { c.ConnLimits.Lobby = 3 })
	heard := listenTo(t, in)
	alice := in.User("alice")
	var many []*nats.Conn
	for range 10 {
		many = append(many, stranger(t, in, net.IPv4(127, 0, 0, 1)))
	}
	other := stranger(t, in, net.IPv4(127, 0, 0, 2))
	eventually(t, "three connections of that address", func() bool { return up(many) == 3 })
	if up(many[7:]) != 3 || !other.IsConnected() {
		t.Errorf("the newest %d of 3 are open; the other address's: %v", up(many[7:]), other.IsConnected())
	}
	bob := in.User("bob")
	chattest.Chat(alice, bob)
	says(t, alice, "still here", bob)
	_, closed := in.Coord.Lobby()
	if closed["address"] < 7 || closed["idle"] != 0 || closed["room"] != 0 {
		t.Errorf("closed %v", closed)
	}
	eventually(t, "a line that tells of it", func() bool {
		for _, m := range heard.heard(t) {
			var a chat.Audit
			if json.Unmarshal(m.Data, &a) == nil && a.Event == "limit" {
				return a.Address == "127.0.0.1" && a.Text == "127.0.0.1: more than 3 connections in the lobby; the oldest unused ones are closed"
			}
		}
		return false
	})
}

// A connection in the lobby that is not used is closed. Whoever thinks for longer at the name
// prompt does not notice, and their client asks for nothing meanwhile.
func TestIdleInTheLobby(t *testing.T) {
	in := chattest.Run(t, quiet, func(c *coord.Config) { c.ConnLimits.LobbyIdle = time.Second })
	idle := stranger(t, in, net.IPv4(127, 0, 0, 1))
	guest := in.Guest()
	eventually(t, "an end of what is not used", func() bool {
		now, closed := in.Coord.Lobby()
		return !idle.IsConnected() && now == 0 && closed["idle"] == 2
	})
	if have, _ := in.Server.Connections(); have > 6 { // ours
		t.Errorf("%d connections: the client comes back unasked", have)
	}
	if _, err := guest.Enter(t.Context(), "gina"); err != nil {
		t.Fatal(err)
	}
	if err := guest.SetPresence(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	alice := in.User("alice")
	chattest.Chat(alice, guest)
	says(t, guest, "I thought about my name", alice)
}

// A request whose connection in the lobby is closed is asked again on another one.
func TestLobbyClosedDuringARequest(t *testing.T) {
	in := chattest.Run(t, quiet)
	guest := in.Guest()
	in.StopCoordinator()
	system := must(in.Server.DialSystem("test", chat.Grant{Publish: []string{"$SYS.REQ.SERVER.>"}, Subscribe: []string{chat.StoreInbox + ".>"}}, chat.StoreInbox))(t)
	defer system.Close()
	entered := make(chan error, 1)
	go func() { _, err := guest.Enter(t.Context(), "gina"); entered <- err }()
	first := uint64(0)
	eventually(t, "a request in the lobby", func() bool {
		c := inLobby(t, in, system)
		if len(c) == 1 && c[0].Sent > 0 {
			first = c[0].ID
		}
		return first > 0
	})
	must(system.Request("$SYS.REQ.SERVER."+system.ConnectedServerId()+".KICK", fmt.Appendf(nil, `{"cid":%d}`, first), timeout))(t)
	eventually(t, "another connection", func() bool {
		c := inLobby(t, in, system)
		return len(c) == 1 && c[0].ID != first && c[0].Sent > 0
	})
	in.Start()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
}

type lobbyist struct {
	ID   uint64 `json:"cid"`
	Sent int    `json:"in_msgs"`
}

func inLobby(t *testing.T, in *chattest.Installation, system *nats.Conn) []lobbyist {
	t.Helper()
	m := must(system.Request("$SYS.REQ.SERVER."+system.ConnectedServerId()+".CONNZ", fmt.Appendf(nil, `{"acc":%q}`, in.Server.LobbyAccount()), timeout))(t)
	var reply struct {
		Data struct {
			Connections []lobbyist `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		t.Fatal(err)
	}
	return reply.Data.Connections
}
