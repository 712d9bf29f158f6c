package coord

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go"

	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/setup"
)

// Connections are a coordinator's links and the console's tap.
type Connections struct {
	Links
	Tap *nats.Conn // chat.TappingGrant
	all []*nats.Conn
}

// Embed makes the connections to the embedded server of the same process.
func Embed(s *embedded.Server) (*Connections, error) {
	c := &Connections{Links: Links{ChatID: s.ChatAccount(), Lobby: s.LobbyAccount(), Conns: s.Connections, Minter: s.Minter(), Revoker: s, Storing: s.Storing(), Dropping: s.Dropping, Room: s.Room()}}
	var failed error
	dial := func(name string, g chat.Grant, dial func(string, chat.Grant, string, ...nats.Option) (*nats.Conn, error)) *nats.Conn {
		if failed != nil {
			return nil
		}
		nc, err := dial(name, g, chat.StoreInbox)
		if err != nil {
			failed = fmt.Errorf("connect %s: %w", name, err)
			return nil
		}
		c.all = append(c.all, nc)
		return nc
	}
	c.Answer = dial("answer", chat.AnsweringGrant(), s.Dial)
	c.Store = dial("store", chat.StoringGrant(), s.Dial)
	c.Tap = dial("tap", chat.TappingGrant(), s.DialBatched)
	c.Direct = dial("direct", chat.TappingGrant(), s.Dial)
	c.System = dial("system", chat.SystemGrant(s.ChatAccount()), s.DialSystem)
	if failed != nil {
		c.Close()
		return nil, failed
	}
	return c, nil
}

// Dial makes the connections to an existing NATS server, with the keys of a directory that chatcoord
// init has written. Its error is an *chat.Error: NotConnected,
// Denied, or, if the directory cannot be used, one that is private.ErrFile too.
func Dial(urls, keysDir string, log *slog.Logger, opts ...nats.Option) (*Connections, error) {
	keys, err := setup.Open(keysDir)
	if err != nil {
		return nil, err
	}
	if _, err := setup.Fit(urls); err != nil {
		return nil, err
	}
	c := &Connections{Links: Links{ChatID: keys.ChatID, Lobby: keys.LobbyID(), Minter: keys.Minter}}
	for _, link := range []struct {
		name string
		role setup.Role
		nc   **nats.Conn
	}{
		{"answer", setup.Answer, &c.Answer}, {"store", setup.Store, &c.Store}, {"tap", setup.Tap, &c.Tap},
		{"direct", setup.Tap, &c.Direct}, {"system", setup.System, &c.System},
	} {
		nc, err := keys.Dial(urls, link.role, append(slices.Clip(opts), logged(log, link.name)...)...)
		if err != nil {
			c.Close()
			return nil, err
		}
		*link.nc = nc
		c.all = append(c.all, nc)
	}
	if keys.Deputy != nil {
		c.Revoker = &revoker{c.System, keys.ChatID, keys.Deputy}
	}
	return c, nil
}

// logged logs the events of a connection.
func logged(log *slog.Logger, connection string) []nats.Option {
	log = log.With("connection", connection)
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				log.Warn("connection lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connected again", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrConnectionClosed) {
				log.Warn("connection", "err", err)
			}
		}),
	}
}

// Close closes the connections.
func (c *Connections) Close() {
	for _, nc := range c.all {
		nc.Close()
	}
}
