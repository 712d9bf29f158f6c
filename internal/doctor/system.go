package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/internal/setup"
	"natter/presence"
)

const (
	answerTimeout = 2 * time.Second        // for one answer
	quiet         = 300 * time.Millisecond // after an answer: further servers have had their time
)

// The oldest server that has what is used.
const oldestMajor, oldestMinor = 2, 11

// server is what a NATS server says of itself.
type server struct {
	Name, Version string
	Ahead         time.Duration // of our clock
	ControlLine   int           // bytes of a line of the protocol
	AuthTimeout   float64       // seconds that a connection has to present something
	JetStream     *jetStreamConfig
	Stored        stored
}

type jetStreamConfig struct {
	SyncAlways   bool          `json:"sync_always"`
	SyncInterval time.Duration `json:"sync_interval"`
	MaxStore     int64         `json:"max_storage"`
}

// stored is what is in a server's files, for whomever, and what its streams may take.
type stored struct {
	Used     int64 `json:"storage"`
	Reserved int64 `json:"reserved_storage"`
}

// system checks what is learned over the system account.
func (e *exam) system(ctx context.Context) {
	nc := e.conns[setup.System.Name]
	servers := e.ping(nc)
	e.servers = servers
	if len(servers) == 0 {
		e.fail("system account", "sys.creds must be of the account that system_account names in the server's configuration.",
			"no server answers to sys.creds: it is not of the system account")
		e.versions([]server{{Name: nc.ConnectedServerName(), Version: nc.ConnectedServerVersion()}})
		e.warn("sync", fixSync, "cannot be read without the system account")
		return
	}
	e.ok("system account", "%s", count(len(servers), "server answers", "servers answer"))
	e.versions(servers)
	e.lines(servers)
	e.silent(servers)
	e.sync(servers)
	e.clocks(servers)
	e.events(ctx, nc)
}

// ping asks all servers for what VARZ has.
func (e *exam) ping(nc *nats.Conn) []server {
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	asked := e.Now()
	if nc.PublishRequest("$SYS.REQ.SERVER.PING.VARZ", inbox, nil) != nil {
		return nil
	}
	var servers []server
	wait := answerTimeout
	for {
		m, err := sub.NextMsg(wait)
		if err != nil {
			return servers
		}
		if s, ok := e.read(m, asked); ok {
			servers = append(servers, s)
			wait = quiet
		}
	}
}

// read understands an answer to VARZ.
func (e *exam) read(m *nats.Msg, asked time.Time) (server, bool) {
	var v struct {
		Server struct {
			Name string `json:"name"`
		} `json:"server"`
		Data *struct {
			Version   string    `json:"version"`
			Line      int       `json:"max_control_line"`
			Auth      float64   `json:"auth_timeout"`
			Now       time.Time `json:"now"`
			JetStream struct {
				Config *jetStreamConfig `json:"config"`
				Stats  stored           `json:"stats"`
			} `json:"jetstream"`
		} `json:"data"`
	}
	if json.Unmarshal(m.Data, &v) != nil || v.Data == nil {
		return server{}, false
	}
	s := server{Name: v.Server.Name, Version: v.Data.Version, ControlLine: v.Data.Line, AuthTimeout: v.Data.Auth, JetStream: v.Data.JetStream.Config, Stored: v.Data.JetStream.Stats}
	s.Ahead = presence.Ahead(asked, v.Data.Now, e.Now())
	return s, true
}

// lines checks that the servers take long tickets.
func (e *exam) lines(servers []server) {
	for _, s := range servers {
		if s.ControlLine < broker.MaxControlLine {
			e.warn("blocks", "In the configuration of each server: max_control_line: 16KB", "%s takes lines of %d bytes; whom users block costs them bandwidth all the same", s.Name, s.ControlLine)
			return
		}
	}
	e.ok("blocks", "the servers take the tickets of users who block others")
}

// mostAuth is how many seconds a server should leave a connection to present something.
const mostAuth = 10

// silent checks that connections that present nothing end soon.
func (e *exam) silent(servers []server) {
	for _, s := range servers {
		if s.AuthTimeout > mostAuth {
			e.warn("strangers", "In the configuration of each server: authorization: { timeout: 10 }", "%s keeps connections that present nothing for %g s", s.Name, s.AuthTimeout)
			return
		}
	}
	e.ok("strangers", "the servers soon end connections that present nothing")
}

func (e *exam) versions(servers []server) {
	var have []string
	for _, s := range servers {
		if tooOld(s.Version) {
			e.fail("version", fmt.Sprintf("Install nats-server %d.%d or later.", oldestMajor, oldestMinor),
				"%s is nats-server %s; at least %d.%d is needed", s.Name, s.Version, oldestMajor, oldestMinor)
			return
		}
		have = append(have, s.Name+" "+s.Version)
	}
	e.ok("version", "nats-server: %s", strings.Join(have, ", "))
}

func tooOld(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	return major < oldestMajor || major == oldestMajor && minor < oldestMinor
}

const fixSync = "In the configuration of each server: jetstream { sync_interval: always }"

// sync tells what a power cut would cost.
func (e *exam) sync(servers []server) {
	for _, s := range servers {
		if s.JetStream != nil && !s.JetStream.SyncAlways {
			e.warn("sync", fixSync, "%s writes to the disk every %s: a power cut loses what was acknowledged since", s.Name, s.JetStream.SyncInterval)
			return
		}
	}
	e.ok("sync", "what JetStream has acknowledged is on the disk")
}

func (e *exam) clocks(servers []server) {
	for _, s := range servers {
		if s.Ahead.Abs() > presence.Apart {
			e.warn("clocks", "Run a time service (NTP) on both computers: tickets are good until a time of day.",
				"the clock of %s is %s, seen from here", s.Name, offset(s.Ahead))
			return
		}
	}
	e.ok("clocks", "no server's clock is more than %s from ours", presence.Apart)
}

func offset(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Millisecond).String() + " slow"
	}
	return d.Round(time.Millisecond).String() + " fast"
}

// events checks that the coordinator would hear who comes.
func (e *exam) events(ctx context.Context, nc *nats.Conn) {
	const fix = "Without these events nobody is seen to leave. sys.creds and store.creds must be of the same installation."
	sub, err := nc.SubscribeSync("$SYS.ACCOUNT." + e.Keys.ChatID + ".CONNECT")
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
		err = nc.FlushTimeout(answerTimeout)
	}
	if err != nil {
		e.fail("events", fix, "the news of connections cannot be subscribed to: %v", err)
		return
	}
	probe, err := e.Keys.Dial(e.URLs, setup.Store, append(e.Options, nats.MaxReconnects(0))...)
	if err != nil {
		e.fail("events", fix, "no second connection as store.creds: %v", err)
		return
	}
	defer probe.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			e.fail("events", fix, "the system account says nothing of a new connection")
			return
		}
		if strings.Contains(string(m.Data), e.Keys.Creds(setup.Store).User) {
			e.ok("events", "the system account says who connects")
			return
		}
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
