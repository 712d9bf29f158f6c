#!/bin/sh
# Over NATS, CONNZ takes the state as a number; the word that HTTP takes is an error.
#
# Versions:    nats-server 2.15.3, nats.go 1.55.0.
# Expectation: {"state":"closed"} means what /connz?state=closed means over HTTP.
# Behaviour:   the answer is a normal one in form, with an error inside and no connections: a
#              program that reads only "data" sees that nobody was ever connected.
# Seen:        state 1: 1 connection; state "closed": 0 connections and an error
# For us:      states are sent as numbers, and "error" is read before "data".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	accounts := []*server.Account{server.NewAccount("SYS"), server.NewAccount("A")}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store", NoSigs: true,
		Accounts: accounts, SystemAccount: "SYS",
		Users: []*server.User{{Username: "sys", Password: "sys", Account: accounts[0]}, {Username: "u", Password: "u", Account: accounts[1]}}})
	check(err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("no server")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("sys", "sys"))
	check(err)
	defer nc.Close()
	other, err := nats.Connect(s.ClientURL(), nats.UserInfo("u", "u"))
	check(err)
	other.Close() // one that is closed
	ask := func(query string) (connections int, fault string) {
		m, err := nc.Request("$SYS.REQ.SERVER."+s.ID()+".CONNZ", []byte(query), 10*time.Second)
		check(err)
		var reply struct {
			Error *struct {
				Code        int    `json:"code"`
				Description string `json:"description"`
			} `json:"error"`
			Data struct {
				Connections []struct{} `json:"connections"`
			} `json:"data"`
		}
		check(json.Unmarshal(m.Data, &reply))
		if reply.Error != nil {
			fault = fmt.Sprint(reply.Error.Code, " ", reply.Error.Description)
		}
		return len(reply.Data.Connections), fault
	}
	n, fault := 0, ""
	for late := time.Now().Add(10 * time.Second); n == 0 && time.Now().Before(late); time.Sleep(50 * time.Millisecond) {
		n, fault = ask(`{"state":1}`)
	}
	want(n == 1 && fault == "", "state 1", fmt.Sprint(n, " connection ", fault))
	n, fault = ask(`{"state":"closed"}`)
	want(n == 0 && fault != "", "state \"closed\"", fmt.Sprint(n, " connections, error ", fault))
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
