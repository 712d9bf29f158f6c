package chattest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/presence/account"
)

// A name that was asked for and not taken leaves the store when its time is over, also one
// that a coordinator before has left; whoever asks for it then gets it.
func TestReservationsEnd(t *testing.T) {
	t.Parallel()
	in := chattest.RunIn(t, t.TempDir(), quiet)
	in.User("alice")
	eventually(t, "alice's name is hers", func() bool {
		acc, _, err := store(t, in).Get(t.Context(), "alice")
		return err == nil && acc.Taken()
	})
	in.StopCoordinator()
	now, key := time.Now(), newLogin(t)
	for u, until := range map[chat.User]time.Time{"over": now.Add(-time.Second), "soon": now.Add(time.Second), "later": now.Add(time.Hour)} {
		must(store(t, in).Update(t.Context(), u, func(account.Record) (account.Record, error) {
			return account.Record{Name: chat.Name(u), Key: key.public, Created: now, Reserved: until}, nil
		}))(t)
	}
	in.Start()
	x := examine(t, in)
	eventually(t, "two of them are gone", func() bool {
		all := x.stream(broker.AccountsStream)
		return strings.Count(all, broker.GoneHeader) == 2 && !strings.Contains(all, `"over"`) && !strings.Contains(all, `"soon"`)
	})
	if all := x.stream(broker.AccountsStream); !strings.Contains(all, `"later"`) || !strings.Contains(all, `"alice"`) {
		t.Errorf("ACCOUNTS holds\n%s", all)
	}
	_, revision, err := store(t, in).Get(t.Context(), "over")
	if err != nil {
		t.Fatal(err)
	}
	if err := store(t, in).Purge(t.Context(), "over", revision); err != nil {
		t.Fatal(err)
	}
	if all := x.stream(broker.AccountsStream); strings.Contains(all, "account.over") || !strings.Contains(all, "account.soon") {
		t.Errorf("after the purge ACCOUNTS holds\n%s", all)
	}
	for _, name := range []string{"over", "soon"} {
		if _, told := enter(t, in, name, newLogin(t)); told != nil {
			t.Errorf("%s: %v", name, told)
		}
	}
	if _, told := enter(t, in, "later", newLogin(t)); told == nil || told.Code != chat.Taken {
		t.Errorf("a reservation that lasts: %v", told)
	}
}

// One address has a few names at once that it has asked for and not taken; those that are
// taken do not count.
func TestManyReservations(t *testing.T) {
	t.Parallel()
	in := chattest.Run(t, quiet, func(c *coord.Config) { c.ConnLimits.Reserved = 3; c.ConnLimits.HelloIn = time.Hour })
	in.User("alice")
	in.User("bob")
	lobby := brokertest.Lobby(t, in.Server)
	reserve := func(name string) *chat.Error {
		return refusal(t, must(lobby.RequestMsg(enterMsg(t, name), timeout))(t))
	}
	eventually(t, "those of alice and bob are taken", func() bool {
		for _, u := range []chat.User{"alice", "bob"} {
			if acc, _, err := store(t, in).Get(t.Context(), u); err != nil || !acc.Taken() {
				return false
			}
		}
		return true
	})
	for i := range 3 {
		eventually(t, "a few are let in", func() bool { return reserve(fmt.Sprint("eve", i)) == nil })
	}
	if told := reserve("eve4"); told == nil || told.Code != chat.Rate || told.Wait == 0 {
		t.Errorf("one more: %v", told)
	}
	if told := reserve("eve0"); told != nil {
		t.Errorf("one of them again: %v", told)
	}
}
