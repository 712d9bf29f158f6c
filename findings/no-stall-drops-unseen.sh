#!/bin/sh
# With no_fast_producer_stall, what a slow subscriber does not get is counted nowhere.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: a subscriber that reads too slowly is a slow consumer: its connection is closed and
#              counted, or what it does not get is in some figure.
# Behaviour:   from three quarters of max_pending on, the server leaves out messages for it, and
#              goes on with those for which there is room again. The connection stays, neither the
#              server nor the client reports a slow consumer, and slow_consumers is 0.
# Seen:        40,000 messages of 1 KB, max_pending 1 MB, a subscriber that pauses:
#              fewer than 40000 arrive, slow consumers: 0, connected: true
# For us:      whoever has to know of gaps needs numbers in the messages.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const all = 40_000

func main() {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		MaxPending: 1 << 20, NoFastProducerStall: true, WriteDeadline: time.Minute,
	})
	check(err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("no server")
	}

	// The subscriber is a plain connection, so that it can pause.
	slow, err := net.Dial("tcp", s.Addr().String())
	check(err)
	defer slow.Close()
	check(slow.(*net.TCPConn).SetReadBuffer(64 << 10))
	_, err = fmt.Fprint(slow, "CONNECT {\"verbose\":false}\r\nSUB s 1\r\nPING\r\n")
	check(err)
	lines := bufio.NewScanner(slow)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() && lines.Text() != "PONG" {
	}

	nc, err := nats.Connect(s.ClientURL())
	check(err)
	defer nc.Close()
	for range all {
		check(nc.Publish("s", make([]byte, 1024)))
	}
	check(nc.FlushTimeout(30 * time.Second))

	got := 0
	_, err = fmt.Fprint(slow, "PING\r\n")
	check(err)
	check(slow.SetReadDeadline(time.Now().Add(30 * time.Second)))
	for lines.Scan() && lines.Text() != "PONG" {
		if strings.HasPrefix(lines.Text(), "MSG ") {
			got++
		}
	}
	check(lines.Err())
	v, err := s.Varz(nil)
	check(err)
	fmt.Printf("%d of %d messages arrive\n", got, all)
	want(got > 0 && got < all, "fewer than "+fmt.Sprint(all)+" arrive", got < all)
	want(v.SlowConsumers == 0 && s.NumSlowConsumers() == 0, "slow consumers", v.SlowConsumers)
	want(s.NumClients() == 2, "connected", s.NumClients() == 2)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// want prints what was seen, and fails if that is not what is described above.
func want(ok bool, what string, seen any) {
	fmt.Printf("%s: %v\n", what, seen)
	if !ok {
		log.Fatal("this has changed")
	}
}
GO
{
	go mod init finding
	go get github.com/nats-io/nats-server/v2@v2.15.3 github.com/nats-io/nats.go@v1.55.0
	go mod tidy
} >log 2>&1 || { cat log >&2; exit 1; }
go run .
