package broker

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A NATS server speaks first. Where there are other addresses to try, one that accepts and says
// nothing gets little time, and for a while hardly any: the library tries them one after the
// other, and waits for each as long as for a server that is busy.
const (
	speakFor   = time.Second
	quietFor   = time.Minute
	speakAgain = 200 * time.Millisecond
	lookupFor  = 500 * time.Millisecond // what has no address by then is no other one
)

// errQuiet is a timeout, and says so.
var errQuiet net.Error = quietError{}

type quietError struct{}

func (quietError) Error() string   { return "it accepts connections and says nothing" }
func (quietError) Timeout() bool   { return true }
func (quietError) Temporary() bool { return true }

// quiets are the addresses that were quiet, of all connections of this process.
var quiets = quietList{until: map[string]time.Time{}}

type quietList struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (q *quietList) note(address string, quiet bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if quiet {
		q.until[address] = time.Now().Add(quietFor)
	} else {
		delete(q.until, address)
	}
}

func (q *quietList) has(address string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	until, ok := q.until[address]
	if ok && time.Now().After(until) {
		delete(q.until, address)
		return false
	}
	return ok
}

// timeout is how long an address may take to speak; 0 is for ever: no other one has been
// better, or it is not the server who speaks first.
func (t *tidy) timeout(address string) time.Duration {
	better := false
	for _, other := range others(t.urls, address) {
		better = better || !quiets.has(other)
	}
	switch {
	case !better:
		return 0
	case quiets.has(address):
		return speakAgain
	}
	return speakFor
}

// others are the addresses that a list of URLs stands for, but for one.
func others(urls, address string) (all []string) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupFor)
	defer cancel()
	for part := range strings.SplitSeq(urls, ",") {
		if part = strings.TrimSpace(part); !strings.Contains(part, "://") {
			part = "nats://" + part // as the library does
		}
		u, err := url.Parse(part)
		if err != nil {
			continue
		}
		if strings.HasPrefix(u.Scheme, "ws") {
			return nil
		}
		port := u.Port()
		if port == "" {
			port = "4222"
		}
		for _, host := range hosts(ctx, u.Hostname()) {
			if other := net.JoinHostPort(host, port); other != address {
				all = append(all, other)
			}
		}
	}
	return all
}

func hosts(ctx context.Context, name string) []string {
	if net.ParseIP(name) != nil {
		return []string{name}
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return nil
	}
	return addresses
}

// spoken is a connection whose first byte was read already.
type spoken struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (s *spoken) Read(b []byte) (int, error) {
	if len(s.first) > 0 && len(b) > 0 {
		n := copy(b, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	return s.Conn.Read(b)
}

// hear waits until a connection's other side has spoken. Its error is errQuiet if that takes
// longer than it may.
func hear(conn net.Conn, timeout time.Duration) (net.Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, err := conn.Read(first)
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		return nil, errQuiet
	}
	if err != nil {
		return conn, conn.SetReadDeadline(time.Time{}) // the library finds out what it is
	}
	return &spoken{Conn: conn, first: first[:n]}, conn.SetReadDeadline(time.Time{})
}
