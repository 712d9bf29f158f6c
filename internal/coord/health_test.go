package coord_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/coord"
	"natter/internal/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const timeout = 20 * time.Second

// cable is the way from a coordinator to its broker, which can be cut.
type cable struct {
	addr string

	mu   sync.Mutex
	down bool
	ends []net.Conn
}

// InProcessConn implements nats.InProcessConnProvider.
func (c *cable) InProcessConn() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errors.New("the cable is cut")
	}
	nc, err := net.Dial("tcp", c.addr)
	if err == nil {
		c.ends = append(c.ends, nc)
	}
	return nc, err
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	for _, end := range c.ends {
		_ = end.Close()
	}
}

func (c *cable) repair() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// links are the connections of a coordinator, all over one cable.
func links(t *testing.T, srv *embedded.Server, way *cable) coord.Links {
	t.Helper()
	dial := func(name string, g chat.Grant, dial func(string, chat.Grant, string, ...nats.Option) (*nats.Conn, error)) *nats.Conn {
		nc, err := dial(name, g, chat.StoreInbox, nats.InProcessServer(way), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	return coord.Links{
		Answer: dial("answer", chat.AnsweringGrant(), srv.Dial),
		Store:  dial("store", chat.StoringGrant(), srv.Dial),
		System: dial("system", chat.SystemGrant(srv.ChatAccount()), srv.DialSystem),
		Direct: dial("direct", chat.TappingGrant(), srv.Dial),
		ChatID: srv.ChatAccount(), Minter: srv.Minter(),
	}
}

// watched is a coordinator that is asked over HTTP how it is.
func watched(t *testing.T, l coord.Links) (c *coord.Coordinator, get func(string) (int, string)) {
	t.Helper()
	web, err := ops.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- web.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-served
	})
	cfg := coord.Defaults()
	cfg.Memory, cfg.Answered, cfg.Committed = true, web.Answered, web.Committed
	if c, err = coord.Start(t.Context(), cfg, l); err != nil {
		t.Fatal(err)
	}
	web.Watch(ops.Source{
		Ready: c.Health, Users: c.Online, Sessions: c.Talking, Steps: c.Steps, Ignored: c.Ignored, Minted: c.Minted, Told: c.Told,
		Dropped: func() uint64 { return 0 }, Connected: (&coord.Connections{Links: l}).Connected, Streams: c.Streams,
	})
	return c, func(path string) (int, string) {
		t.Helper()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := client.Get(web.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, strings.TrimSpace(string(body))
	}
}

// await waits until each connection has come into a state.
func await(t *testing.T, l coord.Links, change func(), want nats.Status) {
	t.Helper()
	late := time.After(timeout)
	var changes []chan nats.Status
	for _, nc := range []*nats.Conn{l.Answer, l.Store, l.System} {
		changes = append(changes, nc.StatusChanged(want))
	}
	change()
	for _, c := range changes {
		select {
		case <-c:
		case <-late:
			t.Fatalf("no connection is %s", want)
		}
	}
}

func TestReadinessFollowsTheBroker(t *testing.T) {
	srv := brokertest.Run(t)
	way := &cable{addr: srv.Addr()}
	l := links(t, srv, way)
	c, get := watched(t, l)
	if code, body := get("/readyz"); code != 200 {
		t.Fatalf("ready: %d %s", code, body)
	}
	await(t, l, way.cut, nats.RECONNECTING)
	if code, body := get("/readyz"); code != 503 || body != `The broker cannot be reached: the connection "answer" is down.` {
		t.Errorf("without the broker: %d %s", code, body)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("without the broker the process works: %d", code)
	}
	_, body := get("/metrics")
	if !strings.Contains(body, `natter_broker_connected{link="store"} 0`) || strings.Contains(body, "natter_stream_bytes") || !strings.Contains(body, "natter_users_online 0") {
		t.Errorf("without the broker:\n%s", body)
	}
	await(t, l, way.repair, nats.CONNECTED)
	if code, body := get("/readyz"); code != 200 {
		t.Errorf("with the broker again: %d %s", code, body)
	}
	if _, body := get("/metrics"); !strings.Contains(body, `natter_broker_connected{link="store"} 1`) || !strings.Contains(body, `natter_stream_bytes{stream="LIVE"}`) {
		t.Errorf("with the broker again:\n%s", body)
	}
	c.Stop()
	if code, body := get("/readyz"); code != 503 || body != "The coordinator is stopping." {
		t.Errorf("stopped: %d %s", code, body)
	}
}
