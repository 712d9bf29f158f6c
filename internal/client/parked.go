package client

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
)

// streamedFor is how long the next part of what is kept may take to come.
const streamedFor = 2 * time.Second

var errNotConnected = chat.Errorf(chat.NotConnected, "Not connected to the server.")

// park has messages kept for members who do not get them now.
func (c *Client) park(ctx context.Context, q chat.ParkRequest) (chat.ParkReply, error) {
	return call(ctx, c, chat.Park, q)
}

// unpark takes what is kept for the user, part by part: each request says what has
// arrived, which is then let go, until the coordinator knows of nothing more.
func (c *Client) unpark(ctx context.Context, id string, take func(from chat.User, kept chat.Parked)) error {
	nc, have := c.conn(), uint64(0)
	if nc == nil { // signed out meanwhile
		return errNotConnected
	}
	for {
		inbox := nc.NewInbox()
		sub, err := nc.SubscribeSync(inbox)
		if err == nil {
			err = sub.SetPendingLimits(maxPending, maxPendingBytes)
		}
		if err != nil {
			return errNotConnected
		}
		reply, err := call(ctx, c, chat.Unpark, chat.UnparkRequest{Session: id, Inbox: inbox, Have: have})
		if err == nil && reply.Left > 0 {
			before := have
			if have, err = c.receiveParked(ctx, sub, have, take); err == nil && have == before {
				err = chat.Errorf(chat.Timeout, "The server does not send what it keeps.") // and says that it did
			}
		}
		_ = sub.Unsubscribe() // of a connection that is gone
		if err != nil || reply.Left == 0 {
			return err
		}
	}
}

// receiveParked takes one part and returns up to which sequence it has everything.
func (c *Client) receiveParked(ctx context.Context, sub *nats.Subscription, have uint64, take func(chat.User, chat.Parked)) (uint64, error) {
	for {
		once, cancel := context.WithTimeout(ctx, streamedFor)
		m, err := sub.NextMsgWithContext(once)
		cancel()
		if err != nil {
			return have, chat.Errorf(chat.Timeout, "The server does not send what it keeps.")
		}
		switch m.Header.Get("Status") {
		case "":
		case "204":
			return have, nil
		default: // by a server that is behind
			return have, chat.Errorf(chat.Timeout, "The server does not find what it keeps.")
		}
		subject := m.Header.Get("Nats-Subject")
		at, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		var parked chat.Parked
		if err := awaitReader(c, ctx); err != nil {
			return have, err
		}
		if err := rpc.Decode(m.Data, maxNotice, &parked); err != nil {
			c.log.Warn("what was kept cannot be read", "subject", subject, "err", err)
			parked.Lost = true
		}
		take(chat.User(subject[strings.LastIndexByte(subject, '.')+1:]), parked)
		have = max(have, at)
	}
}
