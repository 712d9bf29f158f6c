package rpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
)

// Of a request that was refused, another try may have been carried out: that is what counts.
func TestATryThatWasCarriedOutCounts(t *testing.T) {
	callTwice(t, func(first, second *nats.Msg) error {
		no := nats.NewMsg("")
		no.Header.Set(micro.ErrorCodeHeader, "busy")
		no.Data = []byte(`{"code":"busy","text":"Later."}`)
		late := time.AfterFunc(200*time.Millisecond, func() { _ = second.Respond([]byte(`{"revision":7}`)) })
		t.Cleanup(func() { late.Stop() })
		return first.RespondMsg(no)
	})
}

// An answer that is slower than a try counts: the next try may well be refused, because the
// first one has done what was to be done.
func TestTheAnswerToTheFirstTryCounts(t *testing.T) {
	callTwice(t, func(first, _ *nats.Msg) error { return first.Respond([]byte(`{"revision":7}`)) })
}

// callTwice has a request answered when its second try is there, and fails unless the caller
// is told revision 7.
func callTwice(t *testing.T, answer func(first, second *nats.Msg) error) {
	t.Helper()
	srv := brokertest.Run(t)
	served := brokertest.Dial(t, srv, chat.AnsweringGrant(), chat.StoreInbox)
	alice := brokertest.Dial(t, srv, chat.UserGrant("alice"), chat.Inbox("alice"))
	var first *nats.Msg
	_, err := served.Subscribe(chat.List.Subject(chat.Address{User: "alice"}), func(m *nats.Msg) {
		if first == nil {
			first = m
			return
		}
		if err := answer(first, m); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = served.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	reply, err := rpc.Call(ctx, alice.Conn, chat.List, chat.Address{User: "alice"}, chat.ListRequest{})
	if err != nil || reply.Revision != 7 {
		t.Errorf("%+v, %v", reply, err)
	}
}
