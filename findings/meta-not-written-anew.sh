#!/bin/sh
# A stream that is created again where its checksum was damaged is left out at each later start.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: a stream whose configuration does not match its checksum is left out at a start; once
#              it has been created again, its configuration is stored, and the next start has it.
# Behaviour:   creating it succeeds and brings its messages back, but the file and its checksum stay
#              as they are, because they exist. The next start leaves the stream out again, with all
#              that was stored since.
# Seen:        start after the damage: stream not found
#              created again: 3 messages
#              start after one more was stored: stream not found
# For us:      both files are removed before a stream is created again.
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
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var ctx = context.Background()

// with runs a server on the directory.
func with(do func(js jetstream.JetStream)) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: "store"})
	check(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("no server")
	}
	nc, err := nats.Connect(s.ClientURL())
	check(err)
	js, err := jetstream.New(nc)
	check(err)
	do(js)
	nc.Close()
	s.Shutdown()
	s.WaitForShutdown()
}

func main() {
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}
	put := func(js jetstream.JetStream) {
		_, err := js.Publish(ctx, "s", []byte("text"))
		check(err)
	}
	missing := func(js jetstream.JetStream, when string) {
		_, err := js.Stream(ctx, "S")
		want(errors.Is(err, jetstream.ErrStreamNotFound), when, "stream not found")
	}
	with(func(js jetstream.JetStream) {
		_, err := js.CreateStream(ctx, cfg)
		check(err)
		for range 3 {
			put(js)
		}
	})

	files, err := filepath.Glob("store/jetstream/*/streams/S/meta.sum")
	check(err)
	if len(files) != 1 {
		log.Fatal(files)
	}
	text, err := os.ReadFile(files[0])
	check(err)
	text[0] ^= 1 // a disk that is going bad
	check(os.WriteFile(files[0], text, 0o600))

	with(func(js jetstream.JetStream) {
		missing(js, "start after the damage")
		s, err := js.CreateStream(ctx, cfg)
		check(err)
		n := s.CachedInfo().State.Msgs
		if n == 0 {
			info, err := s.Info(ctx)
			check(err)
			n = info.State.Msgs
		}
		want(n == 3, "created again", fmt.Sprint(n, " messages"))
		put(js)
	})
	with(func(js jetstream.JetStream) { missing(js, "start after one more was stored") })
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// want prints what was seen, and fails if that is not what is described above.
func want(ok bool, what string, seen any) {
	if !ok {
		log.Fatal(what, ": this has changed: ", seen)
	}
	fmt.Printf("%s: %v\n", what, seen)
}
GO
{
	go mod init finding
	go get github.com/nats-io/nats-server/v2@v2.15.3 github.com/nats-io/nats.go@v1.55.0
	go mod tidy
} >log 2>&1 || { cat log >&2; exit 1; }
go run .
