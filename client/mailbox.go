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

// streamedFor is how long the next record of the mailbox may take to arrive.
const streamedFor = 2 * time.Second

var errNotConnected = chat.Errorf(chat.NotConnected, "Not connected to the server.")

// store stores messages in the mailboxes of members who cannot receive them now.
func (s *Session) store(ctx context.Context, q chat.StoreRequest) (chat.StoreReply, error) {
	return call(ctx, s.chats.link, chat.Store, q)
}

// fetch fetches the messages in the user's mailbox, part by part: each request says what has
// arrived, which the coordinator then deletes, until nothing is left.
func (s *Session) fetch(ctx context.Context, id string, take func(from chat.User, m chat.StoredMessages)) error {
	nc, have := s.chats.link.conn(), uint64(0)
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
		reply, err := call(ctx, s.chats.link, chat.Fetch, chat.FetchRequest{Session: id, Inbox: inbox, Have: have})
		if err == nil && reply.Left > 0 {
			before := have
			if have, err = s.receiveStored(ctx, sub, have, take); err == nil && have == before {
				err = chat.Errorf(chat.Timeout, "The server does not send the messages that it stores.") // although it says that there are some
			}
		}
		_ = sub.Unsubscribe() // fails on a closed connection
		if err != nil || reply.Left == 0 {
			return err
		}
	}
}

// receiveStored takes one part and returns up to which sequence it has everything.
func (s *Session) receiveStored(ctx context.Context, sub *nats.Subscription, have uint64, take func(chat.User, chat.StoredMessages)) (uint64, error) {
	for {
		once, cancel := context.WithTimeout(ctx, streamedFor)
		m, err := sub.NextMsgWithContext(once)
		cancel()
		if err != nil {
			return have, chat.Errorf(chat.Timeout, "The server does not send the messages that it stores.")
		}
		switch m.Header.Get("Status") {
		case "":
		case "204":
			return have, nil
		default: // by a server that is behind
			return have, chat.Errorf(chat.Timeout, "The server does not find the messages that it stores.")
		}
		subject := m.Header.Get("Nats-Subject")
		at, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		var stored chat.StoredMessages
		if err := s.chats.awaitReader(ctx); err != nil {
			return have, err
		}
		if err := rpc.Decode(m.Data, maxNotice, &stored); err != nil {
			s.chats.log.Warn("stored messages cannot be read", "subject", subject, "err", err)
			stored.Lost = true
		}
		take(chat.User(subject[strings.LastIndexByte(subject, '.')+1:]), stored)
		have = max(have, at)
	}
}
