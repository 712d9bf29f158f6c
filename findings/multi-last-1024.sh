#!/bin/sh
# A direct get of the last messages of many subjects refuses more than 1,024 of them.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: batch limits how many come at once, and the rest is asked for afterwards.
# Behaviour:   if the filter matches more than 1,024 subjects, the answer is 413, whatever
#              batch says.
# Seen:        1,024 subjects: 1024 messages, 204 EOB
#              1,025 subjects, batch 10: 0 messages, 413 Too Many Results
# For us:      what may be more is read with next_by_subj, which has no such limit.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"
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
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, AllowDirect: true, Storage: jetstream.MemoryStorage})
	check(err)
	put := func(i int) {
		_, err := js.Publish(ctx, fmt.Sprintf("s.%d", i), nil)
		check(err)
	}
	// get returns how many messages come, and how the answer ends.
	get := func(batch int) (n int, end string) {
		inbox, err := nc.SubscribeSync(nats.NewInbox())
		check(err)
		defer inbox.Unsubscribe()
		query, err := json.Marshal(map[string]any{"multi_last": []string{"s.*"}, "batch": batch})
		check(err)
		check(nc.PublishRequest("$JS.API.DIRECT.GET.S", inbox.Subject, query))
		for {
			m, err := inbox.NextMsg(10 * time.Second)
			check(err)
			if m.Header.Get("Status") != "" {
				return n, m.Header.Get("Status") + " " + m.Header.Get("Description")
			}
			n++
		}
	}
	for i := range 1024 {
		put(i)
	}
	n, end := get(2000)
	want(n == 1024 && strings.HasPrefix(end, "204"), "1,024 subjects", fmt.Sprint(n, " messages, ", end))
	put(1024)
	n, end = get(10)
	want(n == 0 && strings.HasPrefix(end, "413"), "1,025 subjects, batch 10", fmt.Sprint(n, " messages, ", end))
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
