package client

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/secure"
)

// reachLobby is the connection to the lobby, made now if Dial did without.
func (c *Client) reachLobby(ctx context.Context) (*nats.Conn, error) {
	c.mu.Lock()
	lobby := c.lobby
	c.mu.Unlock()
	if lobby != nil && lobby.IsConnected() {
		return lobby, nil
	}
	lobby, err := c.dialLobby(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	old := c.lobby
	c.lobby = lobby
	c.mu.Unlock()
	if old != nil {
		old.Close()
	}
	if c.ctx.Err() != nil {
		lobby.Close() // Close came first
	}
	return lobby, nil
}

// fullFor is how long a server that takes no more connections for now is tried again. Those
// without a user make way soon.
const fullFor = 15 * time.Second

// dialLobby makes a connection that is not made again by itself: the server ends one that was
// not used for some time, and is not to be bothered again until somebody has chosen a name.
func (c *Client) dialLobby(ctx context.Context) (*nats.Conn, error) {
	options := []nats.Option{nats.CustomInboxPrefix(chat.LobbyInbox), nats.NoReconnect()}
	if c.cfg.Creds != "" {
		present, err := bearer(c.cfg.Creds)
		if err != nil {
			return nil, err
		}
		options = append(options, present)
	} else if c.cfg.Sentinel != "" {
		options = append(options, presenting(c.cfg.Sentinel))
	}
	options = append(options, c.cfg.Options...)
	until, full := time.Now().Add(c.cfg.Wait), time.Now().Add(fullFor)
	for {
		nc, err := broker.Connect(ctx, c.cfg.URL, broker.ClientName, options...)
		if err == nil {
			return nc, nil
		}
		if broker.TurnedAway(err) && full.After(until) {
			until = full
		}
		if time.Now().After(until) || ctx.Err() != nil || secure.Explain("", "", err) != nil {
			return nil, c.unreached(err)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// askLobby asks on a connection that the server may end at any time: then on another one.
func (c *Client) askLobby(ctx context.Context, q chat.EnterRequest) (box chat.Sealed, err error) {
	c.mu.Lock()
	reached := c.lobby != nil
	c.mu.Unlock()
	for tries := 1; ; tries++ {
		var lobby *nats.Conn
		lobby, err = c.reachLobby(ctx)
		switch {
		case err == nil:
			reached = true
			box, err = callWhileOpen(ctx, lobby, q)
			if err == nil || !lobby.IsClosed() {
				return box, err
			}
		case !reached || !errors.Is(err, &chat.Error{Code: chat.NotConnected}):
			return box, err
		}
		if ctx.Err() != nil || c.ctx.Err() != nil {
			return box, err
		}
		c.rest(broker.ReconnectAfter(tries))
	}
}

// callWhileOpen asks in the lobby until there is an answer or the connection is closed.
func callWhileOpen(ctx context.Context, lobby *nats.Conn, q chat.EnterRequest) (chat.Sealed, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := lobby.StatusChanged(nats.CLOSED)
	defer lobby.RemoveStatusListener(ended)
	if lobby.IsClosed() {
		return chat.Sealed{}, errNotConnected
	}
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return rpc.Call(ctx, lobby, chat.Enter, chat.Address{}, q)
}

// leaveLobby closes the connection to the lobby.
func (c *Client) leaveLobby() {
	if lobby := c.takeConn(&c.lobby); lobby != nil {
		lobby.Close()
	}
}

// dialUserIn is dialUser at a server that may take no more connections for now.
func (c *Client) dialUserIn(ctx context.Context) (nc *nats.Conn, err error) {
	for until, tries := time.Now().Add(fullFor), 1; ; tries++ {
		if nc, err = c.dialUser(ctx); err == nil || !broker.TurnedAway(err) || time.Now().After(until) || ctx.Err() != nil {
			return nc, err
		}
		c.rest(broker.ReconnectAfter(tries))
	}
}
