#!/bin/sh
# The TTL of a message is raised to the SubjectDeleteMarkerTTL of its stream.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: a message with a TTL of 1 s is gone after 3 s.
# Behaviour:   where the stream has a SubjectDeleteMarkerTTL of 5 s, it stays for 5 s; the
#              publish is acknowledged as if it had its own TTL.
# Seen:        there after 3 s, without markers: false; with markers: true; after 9 s: false
# For us:      no record whose end matters relies on the TTL of the store.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
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
	plain, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain"}, AllowMsgTTL: true})
	check(err)
	marked, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "MARKED", Subjects: []string{"marked"}, AllowMsgTTL: true, AllowRollup: true, SubjectDeleteMarkerTTL: 5 * time.Second})
	check(err)
	for _, subject := range []string{"plain", "marked"} {
		_, err := js.Publish(ctx, subject, nil, jetstream.WithMsgTTL(time.Second))
		check(err)
	}
	there := func(st jetstream.Stream) bool {
		_, err := st.GetMsg(ctx, 1)
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			check(err)
		}
		return err == nil
	}
	time.Sleep(3 * time.Second)
	want(!there(plain), "there after 3 s, without markers", there(plain))
	want(there(marked), "there after 3 s, with markers", there(marked))
	time.Sleep(6 * time.Second)
	want(!there(marked), "there after 9 s, with markers", there(marked))
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
