#!/bin/sh
# A compare-and-set that is repeated with its Nats-Msg-Id is refused, not recognized.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: the second one is answered as a duplicate of the first, as without the
#              expected sequence.
# Behaviour:   the sequence of the subject is looked at first: error 10071, as if somebody
#              else had been faster.
# Seen:        a repeated publish is a duplicate: true
#              a repeated compare-and-set: ... err_code=10071 ... wrong last sequence: 2
# For us:      after a lost answer the record is read again and compared with what was stored.
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
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Duplicates: time.Minute})
	check(err)
	_, err = js.Publish(ctx, "s.plain", nil, jetstream.WithMsgID("plain"))
	check(err)
	again, err := js.Publish(ctx, "s.plain", nil, jetstream.WithMsgID("plain"))
	check(err)
	want(again.Duplicate, "a repeated publish is a duplicate", again.Duplicate)

	set := func() error {
		_, err := js.Publish(ctx, "s.set", nil, jetstream.WithMsgID("set"), jetstream.WithExpectLastSequencePerSubject(0))
		return err
	}
	check(set())
	err = set()
	var api *jetstream.APIError
	want(errors.As(err, &api) && api.ErrorCode == 10071, "a repeated compare-and-set", err)
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
