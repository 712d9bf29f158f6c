package presence

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
)

// Liveness knows which connections are up, by the public key of their owner. It is
// told by the broker's own events; nobody sends heartbeats.
type Liveness struct {
	nc      *nats.Conn       // in the system account
	account string           // public key of the account that users are in
	gone    func(key string) // the last connection of a key is down

	mu    sync.Mutex
	conns map[string]map[connID]time.Time // by owner's key, since when it is known
	moved chan struct{}                   // closed when somebody connects
}

// connID identifies a connection: a server and its number there, because the news of
// a new connection can come before that of the old one's end.
type connID struct {
	server string
	id     uint64
}

type connEvent struct {
	Server struct {
		ID string `json:"id"`
	} `json:"server"`
	Client struct {
		ID  uint64 `json:"id"`
		JWT string `json:"jwt"`
	} `json:"client"`
}

// ownerOf is the public key that a ticket is bound to. The servers have checked the
// ticket; what they call the connection's user is no more than what the client says.
func ownerOf(ticket string) string {
	parts := strings.Split(ticket, ".")
	if len(parts) != 3 {
		return ""
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Subject string `json:"sub"`
	}
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return ""
	}
	return claims.Subject
}

// NewLiveness listens on nc, which needs chat.SystemGrant. gone is called on the
// connection's goroutine and must not block.
func NewLiveness(nc *nats.Conn, chatAccount string, gone func(key string)) (*Liveness, error) {
	l := &Liveness{nc: nc, account: chatAccount, gone: gone, conns: map[string]map[connID]time.Time{}, moved: make(chan struct{})}
	for event, handle := range map[string]func(string, connID){"CONNECT": l.connected, "DISCONNECT": l.disconnected} {
		_, err := nc.Subscribe("$SYS.ACCOUNT."+chatAccount+"."+event, func(m *nats.Msg) {
			var e connEvent
			if json.Unmarshal(m.Data, &e) != nil {
				return
			}
			if key := ownerOf(e.Client.JWT); key != "" {
				handle(key, connID{e.Server.ID, e.Client.ID})
			}
		})
		if err != nil {
			return nil, fmt.Errorf("listen to connections: %w", err)
		}
	}
	if err := nc.Flush(); err != nil {
		return nil, fmt.Errorf("listen to connections: %w", err)
	}
	return l, nc.LastError()
}

func (l *Liveness) connected(key string, id connID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(key, id)
	close(l.moved)
	l.moved = make(chan struct{})
}

func (l *Liveness) add(key string, id connID) {
	if l.conns[key] == nil {
		l.conns[key] = map[connID]time.Time{}
	}
	if _, known := l.conns[key][id]; !known {
		l.conns[key][id] = time.Now()
	}
}

func (l *Liveness) disconnected(key string, id connID) {
	l.mu.Lock()
	set := l.conns[key]
	delete(set, id)
	last := set != nil && len(set) == 0
	if last {
		delete(l.conns, key)
	}
	l.mu.Unlock()
	if last {
		l.gone(key)
	}
}

// Connected tells whether the owner of a key has a connection.
func (l *Liveness) Connected(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns[key]) > 0
}

// Cut closes a connection of a key's owner at its server, if it is up.
func (l *Liveness) Cut(key string, c Connection) error {
	l.mu.Lock()
	_, up := l.conns[key][connID{c.Server, c.ID}]
	l.mu.Unlock()
	if !up {
		return nil
	}
	// The server does nothing for those who want no answer.
	return l.nc.PublishRequest("$SYS.REQ.SERVER."+c.Server+".KICK", l.nc.NewRespInbox(), fmt.Appendf(nil, `{"cid":%d}`, c.ID))
}

// Elsewhere tells whether the owner of a key has another connection than this one.
func (l *Liveness) Elsewhere(key, server string, id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns[key] {
		if c != (connID{server, id}) {
			return true
		}
	}
	return false
}

// Find returns the newest connection of a key's owner. It waits a little, because a
// request can overtake the news of the connection that it came on.
func (l *Liveness) Find(ctx context.Context, key string) (Connection, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		var newest connID
		for id := range l.conns[key] {
			if id.id >= newest.id {
				newest = id
			}
		}
		moved := l.moved
		l.mu.Unlock()
		if newest.server != "" {
			return Connection{Server: newest.server, ID: newest.id, Address: l.address(ctx, "$SYS.REQ.SERVER."+newest.server+".CONNZ", connz{ID: newest.id})}, true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return Connection{}, false
		}
	}
}

// AddressOf finds the IP and port that a request came from; "" if its server does not
// know the connection any more.
func (l *Liveness) AddressOf(ctx context.Context, o broker.Origin) string {
	return l.address(ctx, "$SYS.REQ.SERVER.PING.CONNZ", connz{ID: o.Connection, ServerName: o.Server, Exact: true})
}

// connz asks for one connection.
type connz struct {
	ID         uint64 `json:"cid"`
	ServerName string `json:"server_name,omitempty"`
	Exact      bool   `json:"exact_match,omitempty"`
}

func (l *Liveness) address(ctx context.Context, subject string, q connz) string {
	ask, err := json.Marshal(q)
	if err != nil {
		return ""
	}
	m, err := l.nc.RequestWithContext(ctx, subject, ask)
	if err != nil {
		return ""
	}
	var reply struct {
		Data struct {
			Connections []struct {
				IP   string `json:"ip"`
				Port int    `json:"port"`
			} `json:"connections"`
		} `json:"data"`
	}
	if json.Unmarshal(m.Data, &reply) != nil || len(reply.Data.Connections) != 1 {
		return ""
	}
	c := reply.Data.Connections[0]
	return net.JoinHostPort(c.IP, strconv.Itoa(c.Port))
}
