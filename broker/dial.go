package broker

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// What connections are called. Servers show it to others: it says neither who the user is
// nor what the connection is for.
const (
	ClientName      = "chatcli"
	CoordinatorName = "chatcoord"
)

// MaxControlLine is how long a line of the protocol a server must take, in bytes: a ticket
// is in one, and one of a user who blocks chat.MaxBlocks others has about 11 KB.
const MaxControlLine = 16 << 10

// Connect makes a connection that is tried again for ever and on which a silent server is
// noticed within seconds, as every one of natter's over a network. Further options win over
// these. It ends with ctx; what it has made does not.
func Connect(ctx context.Context, urls, name string, opts ...nats.Option) (*nats.Conn, error) {
	t := &tidy{urls: urls}
	stop := context.AfterFunc(ctx, t.giveUp)
	nc, err := nats.Connect(urls, slices.Concat(options(name), opts, []nats.Option{t.option})...)
	if stop() {
		return nc, err
	}
	if nc != nil {
		nc.Close()
	}
	return nil, ctx.Err()
}

func options(name string) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.Timeout(2 * time.Second),
		nats.PingInterval(3 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(ReconnectAfter),
		nats.ReconnectBufSize(-1),
		nats.NoCallbacksAfterClientClose(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the library's own writes to the terminal what others may cause
	}
}

// DialFor is how long a server may take to accept a connection.
const DialFor = 2 * time.Second

// tidy makes the sockets of one connection, one after the other. Of a handshake that fails the
// library leaves the socket to the garbage collector: a server that is behind with thousands
// of clients would hold each of them several times.
type tidy struct {
	dialer nats.CustomDialer
	urls   string // of the servers, as they were given

	mu   sync.Mutex
	last net.Conn
	over bool
}

func (t *tidy) option(o *nats.Options) error {
	t.dialer = o.CustomDialer
	if t.dialer == nil {
		t.dialer = &net.Dialer{Timeout: DialFor}
	}
	o.CustomDialer = t
	return nil
}

// Dial implements nats.CustomDialer. The library calls it from one goroutine at a time.
func (t *tidy) Dial(network, address string) (net.Conn, error) {
	t.mu.Lock()
	t.closeLast()
	t.mu.Unlock()
	conn, err := t.dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	if !t.begin(conn) {
		return nil, net.ErrClosed
	}
	timeout := t.timeout(address)
	if timeout == 0 {
		return conn, nil
	}
	heard, err := hear(conn, timeout)
	quiets.note(address, err == errQuiet)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return heard, nil
}

// begin notes the connection that is under way; it is false if nothing may begin.
func (t *tidy) begin(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		_ = conn.Close()
		return false
	}
	t.last = conn
	return true
}

// giveUp ends what is under way, and lets nothing begin.
func (t *tidy) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.closeLast()
}

// closeLast ends a handshake that has failed, or is under way. t.mu is held.
func (t *tidy) closeLast() {
	if t.last != nil {
		_ = t.last.Close() // it is closed already otherwise
	}
}

// ReconnectAfter is how long the next try waits, at first only a moment. Thousands who wait
// for a server that is starting must leave it time to start, and not come all at once.
func ReconnectAfter(tries int) time.Duration {
	least := min(100*time.Millisecond<<min(max(tries-1, 0), 4), time.Second)
	return least + rand.N(max(least, 400*time.Millisecond))
}

// Redact is a list of URLs as it may be shown: without passwords.
func Redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil && u.Opaque == "" && (u.User != nil || !strings.Contains(part, "@")) {
			parts[i] = u.Redacted()
		} else if at := strings.LastIndex(part, "@"); at >= 0 { // what cannot be understood may be a password
			scheme, _, ok := strings.Cut(part[:at], "://")
			if parts[i] = "xxxxx" + part[at:]; ok {
				parts[i] = scheme + "://" + parts[i]
			}
		}
	}
	return strings.Join(parts, ",")
}

// TurnedAway reports whether a server that was reached has ended a connection before it was
// made, as one does that takes no more for now.
func TurnedAway(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), nats.MAX_CONNECTIONS_ERR) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}

// Plainly is why there is no connection, without the library's names.
func Plainly(err error) string {
	var wrong *url.Error // it repeats the URL, which may hold a password
	var unknown *net.DNSError
	var op *net.OpError // it has the addresses of both ends
	switch {
	case strings.Contains(strings.ToLower(err.Error()), nats.MAX_CONNECTIONS_ERR):
		return "it takes no more connections for now"
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET): // it may have said why, but was not heard
		return "it ended the connection; perhaps it takes no more for now"
	case errors.Is(err, nats.ErrNoServers):
		return "connection refused"
	case errors.Is(err, nats.ErrNoInfoReceived):
		return "it is no NATS server"
	case strings.HasPrefix(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "invalid websocket connection"): // the library gives these no type
		return "it does not speak WebSocket there; nats:// or tls:// may be right"
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return "no such host"
	case errors.As(err, &op) && op.Timeout():
		return "no answer"
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &wrong):
		return wrong.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "nats: ")
}
