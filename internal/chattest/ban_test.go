package chattest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/presence/account"
)

// TestABanIsCarriedOut although it fails for one of those whom it means: the others are gone
// at once, the one when it can be done.
func TestABanIsCarriedOut(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet, func(c *coord.Config) { c.Rules.Grace = time.Hour })
	store := must(account.OpenStore(t.Context(), brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox).Conn))(t)
	const others, most = 20, 2000
	all := []*intruder{intrude(t, in, "bulky")}
	all[0].Close()
	must(store.Update(t.Context(), "bulky", func(r account.Record) (account.Record, error) {
		for i := range chat.MaxBlocks {
			r.Blocks = append(r.Blocks, chat.Block{Name: chat.Name(fmt.Sprintf("somebody%03d", i))})
		}
		return r, nil
	}))(t)
	must(operate(t, in, chat.AdminKick, chat.KickRequest{Target: chat.Target{Name: "bulky"}}))(t)
	all[0] = intrudeWith(t, in, "bulky", all[0].key)
	for i := range others {
		all = append(all, intrude(t, in, fmt.Sprint("user", i)))
	}
	var held []*stubborn
	for _, m := range all {
		held = append(held, clings(t, in, m.ticket, m.key, chat.Inbox(m.user)))
	}
	limitStream(t, in, broker.LiveStream, func(c *jetstream.StreamConfig, _ jetstream.StreamState) { c.MaxMsgSize = most })

	_, err := operate(t, in, chat.AdminBan, chat.BanRequest{Target: chat.Target{Network: "127.0.0.0/8"}})
	code(t, "a ban that fails for one", err, chat.Internal)
	for _, s := range held {
		await(t, "the connection is cut", s.down)
		s.isRefused(t)
	}
	here := func() []chat.AdminUser { return must(operate(t, in, chat.AdminUsers, chat.AdminRequest{}))(t).Users }
	if left := here(); len(left) != 1 || left[0].Name != "bulky" {
		t.Errorf("here are %+v", left)
	}
	limitStream(t, in, broker.LiveStream, func(c *jetstream.StreamConfig, _ jetstream.StreamState) { c.MaxMsgSize = 64 << 10 })
	eventually(t, "the ban is carried out", func() bool { return len(here()) == 0 })
}
