#!/bin/sh
# An ordered consumer does not notice that its stream was deleted and made anew.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: it starts again with the new stream, or fails.
# Behaviour:   it waits for the sequence after its last one: of the new stream it skips what
#              is below, without an error.
# Seen:        received: [old-1 old-2 old-3 new-4]
# For us:      revisions belong to one installation; a client that meets another starts anew.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store", NoSigs: true})
	check(err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("no server")
	}
	nc, err := nats.Connect(s.ClientURL())
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	ctx := context.Background()
	create := func() jetstream.Stream {
		st, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		check(err)
		return st
	}
	st := create()
	c, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	check(err)
	arrived := make(chan string, 100)
	cc, err := c.Consume(func(m jetstream.Msg) { arrived <- string(m.Data()) })
	check(err)
	defer cc.Stop()
	var seen []string
	read := func(until string) {
		for late := time.After(30 * time.Second); ; {
			select {
			case text := <-arrived:
				if seen = append(seen, text); text == until {
					return
				}
			case <-late:
				return
			}
		}
	}
	publish := func(text string) {
		_, err := js.Publish(ctx, "s", []byte(text))
		check(err)
	}
	for i := range 3 {
		publish(fmt.Sprintf("old-%d", i+1))
	}
	read("old-3")
	check(js.DeleteStream(ctx, "S"))
	create()
	for i := range 4 {
		publish(fmt.Sprintf("new-%d", i+1))
	}
	read("new-4")
	want(slices.Equal(seen, []string{"old-1", "old-2", "old-3", "new-4"}), "received", seen)
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
