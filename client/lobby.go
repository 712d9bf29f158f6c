package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/secure"
)

var errUnreadable = chat.Errorf(chat.Internal, "The coordinator's answer cannot be read.")

// lobby is the connection on which a name's ticket is requested.
type lobby struct {
	*owner

	mu sync.Mutex
	nc *nats.Conn // until a name is taken
}

// enter asks the lobby for a ticket; with over although the user is here. Unless it is for a
// change of keys, the user is let in as well, if they are not present yet: then there is a
// reply to a hello.
func (b *lobby) enter(ctx context.Context, over bool, presence chat.Presence) (reply chat.EnterReply, err error) {
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		return reply, fmt.Errorf("make a key for the answer: %w", err)
	}
	q, err := b.request(seal, over, presence)
	if err != nil {
		return reply, err
	}
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	box, err := b.ask(ctx, q)
	if err != nil {
		return reply, err
	}
	data, err := seal.Open(box.Box, box.From)
	if err != nil {
		return reply, errUnreadable
	}
	if err := rpc.Decode(data, maxNotice, &reply); err != nil {
		return reply, errUnreadable
	}
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

func (b *lobby) request(seal nkeys.KeyPair, over bool, presence chat.Presence) (chat.EnterRequest, error) {
	q := chat.EnterRequest{Proto: chat.Proto, Name: string(b.me), Key: b.key.public, Takeover: over, Known: b.cfg.Known}
	var err error
	if q.Seal, err = seal.PublicKey(); err != nil {
		return q, err
	}
	if b.cfg.Pass != "" {
		q.Pass = chat.ShowPass(b.cfg.Pass, b.key.public)
	}
	switch {
	case b.side != nil:
		if q.Side, err = b.side.PublicKey(); err != nil {
			return q, err
		}
	case !b.rotating:
		q.Hello = &chat.EnterHello{Presence: presence, Terminal: b.terminal, Identity: b.key.kept.PublicIdentity()}
	}
	q.Proof, err = b.key.pair.Sign(chat.EnterText(q))
	return q, err
}

// reach is the connection to the lobby, made now if Dial did without.
func (b *lobby) reach(ctx context.Context) (*nats.Conn, error) {
	b.mu.Lock()
	lobby := b.nc
	b.mu.Unlock()
	if lobby != nil && lobby.IsConnected() {
		return lobby, nil
	}
	lobby, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	old := b.nc
	b.nc = lobby
	b.mu.Unlock()
	if old != nil {
		old.Close()
	}
	if b.ctx.Err() != nil {
		lobby.Close() // Close came first
	}
	return lobby, nil
}

// fullFor is how long a server that takes no more connections is tried again. It closes connections
// without a user soon.
const fullFor = 15 * time.Second

// dial makes a connection that does not reconnect: the server closes it when it was not used for some
// time, and it is needed again only when a name is chosen.
func (b *lobby) dial(ctx context.Context) (*nats.Conn, error) {
	options := []nats.Option{nats.CustomInboxPrefix(chat.LobbyInbox), nats.NoReconnect()}
	if b.cfg.Creds != "" {
		present, err := bearer(b.cfg.Creds)
		if err != nil {
			return nil, err
		}
		options = append(options, present)
	} else if b.cfg.Sentinel != "" {
		options = append(options, presenting(b.cfg.Sentinel))
	}
	options = append(options, b.cfg.Options...)
	until, full := time.Now().Add(b.cfg.Wait), time.Now().Add(fullFor)
	for {
		nc, err := broker.Connect(ctx, b.cfg.URL, broker.ClientName, options...)
		if err == nil {
			return nc, nil
		}
		if broker.TurnedAway(err) && full.After(until) {
			until = full
		}
		if time.Now().After(until) || ctx.Err() != nil || secure.Explain("", "", err) != nil {
			return nil, b.unreached(err)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// ask asks on the connection, which the server may close at any time, and then on a new one.
func (b *lobby) ask(ctx context.Context, q chat.EnterRequest) (box chat.Sealed, err error) {
	b.mu.Lock()
	reached := b.nc != nil
	b.mu.Unlock()
	for tries := 1; ; tries++ {
		var lobby *nats.Conn
		lobby, err = b.reach(ctx)
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
		if ctx.Err() != nil || b.ctx.Err() != nil {
			return box, err
		}
		b.rest(broker.ReconnectAfter(tries))
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

// leave closes the connection to the lobby.
func (b *lobby) leave() {
	b.mu.Lock()
	lobby := b.nc
	b.nc = nil
	b.mu.Unlock()
	if lobby != nil {
		lobby.Close()
	}
}
