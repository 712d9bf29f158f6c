package coord

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"natter/broker/embedded"
	"natter/chat"
)

// Connections are a coordinator's links and the console's tap.
type Connections struct {
	Links
	Tap *nats.Conn // chat.TappingGrant
	all []*nats.Conn
}

// Embed makes the connections to the embedded server of the same process.
func Embed(s *embedded.Server) (*Connections, error) {
	c := &Connections{Links: Links{ChatID: s.ChatAccount(), Minter: s.Minter()}}
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
	c.Tap = dial("tap", chat.TappingGrant(), s.Dial)
	c.System = dial("system", chat.SystemGrant(s.ChatAccount()), s.DialSystem)
	if failed != nil {
		c.Close()
		return nil, failed
	}
	return c, nil
}

// Close closes the connections.
func (c *Connections) Close() {
	for _, nc := range c.all {
		nc.Close()
	}
}
