package client

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/internal/private"
	"natter/internal/secure"
)

// bearer presents the JWT of a file.
func bearer(file string) (nats.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, chat.Errorf(chat.Arguments, "The credentials %s cannot be read: %v.", file, err)
	}
	token, err := nkeys.ParseDecoratedJWT(private.Plain(text))
	if token = strings.TrimSpace(token); err != nil || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \r\n") {
		return nil, chat.Errorf(chat.Arguments, "The file %s holds no credentials; it should be the sentinel.jwt of the server's operator.", file)
	}
	return presenting(token), nil
}

// unreached is why there is no connection to the lobby.
func (c *Client) unreached(err error) error {
	if unsafe := secure.Explain(c.Server(), askForALink, err); unsafe != nil {
		return unsafe
	}
	switch {
	case !errors.Is(err, nats.ErrAuthorization):
		return chat.Errorf(chat.NotConnected, "cannot reach %s: %s", c.Server(), broker.Plainly(err))
	case c.cfg.Creds != "":
		return chat.Errorf(chat.Denied, "%s does not accept the credentials %s.", c.Server(), c.cfg.Creds)
	}
	return chat.Errorf(chat.Denied, "%s lets nobody in without credentials. Ask its operator for sentinel.jwt: chatcli --creds sentinel.jwt", c.Server())
}

// unreconnected is called between two tries to reconnect. The library tells nobody else why a
// handshake fails, as when a clock was set and the server's certificate does not fit any more.
func (c *Client) unreconnected(tries int) time.Duration {
	if nc := c.conn(); nc != nil {
		c.warn(secure.Explain(c.Server(), askForALink, nc.LastError()))
	}
	return broker.ReconnectAfter(tries)
}

func (c *Client) warn(unsafe error) {
	c.mu.Lock()
	tell := unsafe != nil && !c.warned && !c.lostAt.IsZero()
	c.warned = c.warned || tell
	c.mu.Unlock()
	if tell {
		c.events.push(Unsafe{unsafe})
	}
}
