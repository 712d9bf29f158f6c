package presence

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
)

// Liveness knows which connections are up, by the public key of their owner. It follows the
// broker's own events; there are no heartbeats.
type Liveness struct {
	nc      *nats.Conn       // in the system account
	account string           // public key of the account that users are in
	gone    func(key string) // the last connection of a key is down
	came    func(Link)       // somebody has connected

	differs func(server string, ahead time.Duration) // the clock of a server differs from ours; may be nil

	mu    sync.Mutex
	conns map[string]map[connID]conn // by owner's key
	waits map[string]chan struct{}   // by key, of callers that wait for its owner to connect; see coming
	apart map[string]bool            // whether a server's clock is wrong, or ours
	names map[string]string          // ids of servers, by name
}

// connID identifies a connection: a server and its number there. The event of a new connection
// can come before that of the end of the old one.
type connID struct {
	server string
	id     uint64
}

type connEvent struct {
	Server server `json:"server"`
	Client struct {
		ID   uint64 `json:"id"`
		Host string `json:"host"`
		JWT  string `json:"jwt"`
	} `json:"client"`
}

// server is a NATS server as it calls itself.
type server struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// conn is what is known of a connection.
type conn struct {
	since   time.Time // it is known
	holder  chat.User // of the ticket; "" if it is no user's
	member  bool
	side    bool
	speaks  bool
	address string // IP
}

// Link is a connection of a user, or of a member.
type Link struct {
	Server  string // the NATS server's id
	ID      uint64 // the server's number for it
	Key     string
	Holder  chat.User
	Member  bool   // to a session, with a key of its own
	Side    bool   // beside the user's terminals, with a key of its own
	Speaks  bool   // with the rights of a user who is present, not only those to ask the coordinator
	Address string // IP

	since time.Time // it is known
}

// owner is what a ticket says: the public key that it is bound to, and its user.
type owner struct {
	Key    string    `json:"sub"`
	Holder chat.User `json:"name"`
	NATS   struct {
		Pub struct {
			Allow []string `json:"allow"`
		} `json:"pub"`
	} `json:"nats"`
}

// member reports whether it is a member's ticket.
func (o owner) member() bool {
	return slices.ContainsFunc(o.NATS.Pub.Allow, func(s string) bool {
		r, _, ok := chat.Parse(s)
		return ok && r == chat.Said.Route
	})
}

// speaks reports whether it is a ticket of a user who is present.
func (o owner) speaks() bool {
	return o.Holder != "" && !o.side() && slices.Contains(o.NATS.Pub.Allow, chat.Direct.Subject(chat.Address{User: o.Holder, To: "*"}))
}

// side reports whether it is a ticket for a connection beside a user's terminals.
func (o owner) side() bool {
	return slices.ContainsFunc(o.NATS.Pub.Allow, func(s string) bool {
		r, _, ok := chat.Parse(s)
		return ok && r == chat.List.Route
	})
}

// ownerOf reads a ticket, which the servers have checked. What they call the connection's user is
// only what the client says.
func ownerOf(ticket string) owner {
	parts := strings.Split(ticket, ".")
	if len(parts) != 3 {
		return owner{}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var o owner
	if err != nil || json.Unmarshal(body, &o) != nil {
		return owner{}
	}
	return o
}

// NewLiveness listens on nc, which needs chat.SystemGrant. gone and came are called
// on the connection's goroutine and must not block.
func NewLiveness(nc *nats.Conn, chatAccount string, gone func(key string), came func(Link)) (*Liveness, error) {
	l := &Liveness{nc: nc, account: chatAccount, gone: gone, came: came, conns: map[string]map[connID]conn{}, waits: map[string]chan struct{}{}, apart: map[string]bool{}, names: map[string]string{}}
	l.named(server{nc.ConnectedServerId(), nc.ConnectedServerName()})
	for event, handle := range map[string]func(string, connID, conn){"CONNECT": l.connected, "DISCONNECT": l.disconnected} {
		_, err := nc.Subscribe("$SYS.ACCOUNT."+chatAccount+"."+event, func(m *nats.Msg) {
			var e connEvent
			if json.Unmarshal(m.Data, &e) != nil {
				return
			}
			l.named(e.Server)
			if o := ownerOf(e.Client.JWT); o.Key != "" {
				handle(o.Key, connID{e.Server.ID, e.Client.ID}, conn{time.Now(), o.Holder, o.member(), o.side(), o.speaks(), e.Client.Host})
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

func (l *Liveness) connected(key string, id connID, c conn) {
	l.mu.Lock()
	l.add(key, id, c)
	l.mu.Unlock()
	l.came(link(key, id, c))
}

// coming returns a channel that is closed when the owner of a key connects. Thousands may wait
// at once, each for one key only. l.mu is held.
func (l *Liveness) coming(key string) <-chan struct{} {
	if l.waits[key] == nil {
		l.waits[key] = make(chan struct{})
	}
	return l.waits[key]
}

// wake wakes the callers that wait for a key. l.mu is held.
func (l *Liveness) wake(key string) {
	if c := l.waits[key]; c != nil {
		close(c)
		delete(l.waits, key)
	}
}

// giveUp forgets the channel of a key whose owner has not connected.
func (l *Liveness) giveUp(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake(key)
}

// add notes a connection, and wakes those who wait for it. l.mu is held.
func (l *Liveness) add(key string, id connID, c conn) {
	if l.conns[key] == nil {
		l.conns[key] = map[connID]conn{}
	}
	if _, known := l.conns[key][id]; !known {
		l.conns[key][id] = c
	}
	l.wake(key)
	if c.side {
		l.wake(besideKey(c.holder))
	}
}

func link(key string, id connID, c conn) Link {
	return Link{id.server, id.id, key, c.holder, c.member, c.side, c.speaks, c.address, c.since}
}

// Links returns the users' and members' connections for which pick is true.
func (l *Liveness) Links(pick func(Link) bool) []Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links(maps.Keys(l.conns), pick)
}

// LinksOf is Links for the owner of one key.
func (l *Liveness) LinksOf(key string, pick func(Link) bool) []Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links(slices.Values([]string{key}), pick)
}

// links is Links for the owners of some keys. l.mu is held.
func (l *Liveness) links(keys iter.Seq[string], pick func(Link) bool) (found []Link) {
	for key := range keys {
		for id, c := range l.conns[key] {
			if one := link(key, id, c); c.holder != "" && pick(one) {
				found = append(found, one)
			}
		}
	}
	return found
}

// Disconnect closes connections. A client with a valid ticket can connect again. The requests
// have a reply subject because the servers ignore them without one; the replies are not read.
func (l *Liveness) Disconnect(links []Link) error {
	var failed error
	for _, c := range links {
		failed = errors.Join(failed, l.nc.PublishRequest("$SYS.REQ.SERVER."+c.Server+".KICK", l.nc.NewRespInbox(), fmt.Appendf(nil, `{"cid":%d}`, c.ID)))
	}
	return failed
}

func (l *Liveness) disconnected(key string, id connID, _ conn) {
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

// Connected reports whether the owner of a key has a connection.
func (l *Liveness) Connected(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns[key]) > 0
}

// Newest is the newest connection of a key's owner; zero if there is none.
func (l *Liveness) Newest(key string) Connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest(key)
}

// newest is Newest; l.mu is held.
func (l *Liveness) newest(key string) (found Connection) {
	for id, c := range l.conns[key] {
		if id.id >= found.ID {
			found = Connection{Server: id.server, ID: id.id, Address: c.address}
		}
	}
	return found
}

// Port is Newest with the port, which is looked for the first time only.
func (l *Liveness) Port(ctx context.Context, key string) Connection {
	c := l.Newest(key)
	if _, err := netip.ParseAddrPort(c.Address); err == nil || c.ID == 0 {
		return c
	}
	c, _ = l.withPort(ctx, c)
	l.mu.Lock()
	defer l.mu.Unlock()
	id := connID{c.Server, c.ID}
	if known, ok := l.conns[key][id]; ok {
		known.address = c.Address
		l.conns[key][id] = known
	}
	return c
}

// Elsewhere reports whether the owner of a key has another connection than this one.
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

// Find returns the newest connection of a key's owner. It waits up to 2 s for one, because a
// request can arrive before the event of the connection that it came on.
func (l *Liveness) Find(ctx context.Context, key string) (newest Connection, found bool) {
	found = l.await(ctx, key, func() bool { newest = l.newest(key); return newest.Server != "" })
	return newest, found
}

// Beside reports whether a connection beside the user's terminals is there. It waits as Find
// does.
func (l *Liveness) Beside(ctx context.Context, u chat.User) bool {
	return l.await(ctx, besideKey(u), func() bool {
		return len(l.links(maps.Keys(l.conns), func(c Link) bool { return c.Holder == u && c.Side })) > 0
	})
}

// besideKey is what those wait for who wait for any connection beside a user's terminals.
func besideKey(u chat.User) string { return "beside " + string(u) }

// await looks, with l.mu held, now and after each wake of a key, for 2 s.
func (l *Liveness) await(ctx context.Context, key string, look func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		there := look()
		var moved <-chan struct{}
		if !there {
			moved = l.coming(key)
		}
		l.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			l.giveUp(key)
			return false
		}
	}
}

// speaks reports whether a connection of a key's owner has the ticket of a user who is present.
func (l *Liveness) speaks(key string, id connID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[key][id].speaks
}

// connection is what is known of one, without asking anybody.
func (l *Liveness) connection(key string, id connID) Connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Connection{Server: id.server, ID: id.id, Address: l.conns[key][id].address}
}

// named notes the id of a server.
func (l *Liveness) named(s server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Name != "" && s.ID != "" && l.names[s.Name] != s.ID {
		l.names[s.Name] = s.ID
	}
}

// AddressOf finds the IP and port that a request came from; "" if its server does not
// know the connection. The server is asked by its id, so that it answers also if it does not
// know, and nobody waits for an answer about a closed connection.
func (l *Liveness) AddressOf(ctx context.Context, o rpc.Origin) string {
	l.mu.Lock()
	id := l.names[o.Server]
	l.mu.Unlock()
	if id != "" {
		address, _ := l.address(ctx, "$SYS.REQ.SERVER."+id+".CONNZ", connz{ID: o.Connection, Account: o.Account})
		return address
	}
	address, _ := l.address(ctx, "$SYS.REQ.SERVER.PING.CONNZ", connz{ID: o.Connection, Account: o.Account, ServerName: o.Server, Exact: true})
	return address
}

// withPort returns a connection with its port, if the server says it. A server goes through all
// its connections to find one, so it is asked only about newcomers, and not when thousands come
// back.
//
// gone reports that the connection is closed, of which the event may not have come yet, or that
// the server has stopped.
func (l *Liveness) withPort(ctx context.Context, c Connection) (with Connection, gone bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	address, gone := l.address(ctx, "$SYS.REQ.SERVER."+c.Server+".CONNZ", connz{ID: c.ID})
	c.Address = cmp.Or(address, c.Address)
	return c, gone
}

// connz asks for one connection.
type connz struct {
	ID         uint64 `json:"cid"`
	Account    string `json:"acc,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	Exact      bool   `json:"exact_match,omitempty"`
}

func (l *Liveness) address(ctx context.Context, subject string, q connz) (address string, gone bool) {
	ask, err := json.Marshal(q)
	if err != nil {
		return "", false
	}
	m, err := l.nc.RequestWithContext(ctx, subject, ask)
	if err != nil {
		return "", errors.Is(err, nats.ErrNoResponders)
	}
	var reply struct {
		Data struct {
			Connections []struct {
				IP   string `json:"ip"`
				Port int    `json:"port"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil || len(reply.Data.Connections) != 1 {
		return "", err == nil && len(reply.Data.Connections) == 0
	}
	c := reply.Data.Connections[0]
	return net.JoinHostPort(c.IP, strconv.Itoa(c.Port)), false
}
