package store_test

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
)

// cluster runs three NATS servers, and returns their URLs.
func cluster(t *testing.T) []string {
	t.Helper()
	var routes []*url.URL
	var ports, urls []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().String())
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		_ = l.Close() // the server takes it in a moment
	}
	for i := range ports {
		opts := &server.Options{
			ServerName: fmt.Sprintf("node-%d", i+1), Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes,
		}
		opts.Cluster.Name, opts.Cluster.Host = "test", "127.0.0.1"
		if _, err := fmt.Sscan(routes[i].Port(), &opts.Cluster.Port); err != nil {
			t.Fatal(err)
		}
		srv, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		t.Cleanup(func() {
			srv.Shutdown()
			srv.WaitForShutdown()
		})
		if !srv.ReadyForConnections(timeout) {
			t.Fatal("a server does not serve")
		}
		urls = append(urls, srv.ClientURL())
	}
	return urls
}

func dialAt(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := broker.Connect(t.Context(), url, "test", nats.CustomInboxPrefix(chat.StoreInbox))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Replicas that race in a replicated stream must not break it: a server that refuses a
// record only when it is applied never serves the stream again.
func TestReplicasRaceInAReplicatedStream(t *testing.T) {
	urls := cluster(t)
	js, err := jetstream.New(dialAt(t, urls[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.EnsureStreams(t.Context(), js, jetstream.FileStorage, 3); err != nil {
		t.Fatal(err)
	}
	var all []*replica
	for i := range 2 {
		all = append(all, follow(t, dialAt(t, urls[i]), time.Hour))
	}
	race(t, all, 20, 15)
}
