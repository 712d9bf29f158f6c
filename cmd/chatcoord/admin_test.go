package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/internal/flags"
	"natter/presence"
	"natter/presence/account"
)

// TestThousandsAreListed: what does not fit into one message comes in parts.
func TestThousandsAreListed(t *testing.T) {
	const users = 1000 // of whom all are in chats
	const bans = 1200
	in := chattest.Run(t, func(c *coord.Config) { c.Log = slog.New(slog.DiscardHandler) })
	in.StopCoordinator()
	store := brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox)
	js, err := jetstream.New(store.Conn)
	if err != nil {
		t.Fatal(err)
	}
	put := func(subject string, record any) {
		t.Helper()
		data, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishAsync(chat.StateRoot+"."+subject, data); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) chat.Name { return chat.Name(fmt.Sprintf("somebody-with-a-long-name-%06d", i)) }
	for i := range users {
		put("user."+string(name(i).User()), presence.Record{
			Name: name(i), Key: strings.Repeat("U", 56), State: presence.Lost, LostAt: time.Now(), Grace: time.Hour, Presence: chat.Visible, Since: time.Now(),
			Connection: presence.Connection{Server: strings.Repeat("N", 56), ID: uint64(i), Address: "192.0.2.1:12345"},
		})
	}
	for i := range users / 2 {
		s := chat.Session{ID: chat.NewSessionID(), State: chat.Open, Host: name(i).User(), At: time.Now(), Members: []chat.Member{
			{Name: name(i), Accepted: true}, {Name: name(i + users/2), Accepted: true},
		}}
		put("session."+s.ID, s)
	}
	for i := range bans {
		b := account.Ban{Ban: chat.Ban{Target: chat.Target{Network: fmt.Sprintf("2001:db8:1111:2222:3333:4444:5555:%04x", i)}, Reason: strings.Repeat("<", account.MaxReason), At: time.Now(), Until: time.Now().Add(time.Hour)}}
		put("ban."+account.BanKey(b.Target), b)
	}
	<-js.PublishAsyncComplete()
	in.Start()
	operator := brokertest.Operator(t, in.Server)

	reply, err := whole(joinUsers)(t.Context(), operator.Conn, chat.AdminUsers, chat.Address{}, chat.AdminRequest{})
	if err != nil {
		t.Fatal(err)
	}
	by := func(a, b chat.AdminUser) int { return strings.Compare(string(a.Name), string(b.Name)) }
	if all := reply.Users; len(all) != users || !slices.IsSortedFunc(all, by) || len(slices.CompactFunc(slices.Clone(all), func(a, b chat.AdminUser) bool { return a.Name == b.Name })) != len(all) {
		t.Errorf("%d users are listed", len(all))
	}
	sessions, err := whole(joinSessions)(t.Context(), operator.Conn, chat.AdminSessions, chat.Address{}, chat.AdminRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, s := range sessions.Sessions {
		ids[s.ID] = true
	}
	if len(ids) != users/2 || len(sessions.Sessions) != len(ids) {
		t.Errorf("%d sessions are listed, %d of them different", len(sessions.Sessions), len(ids))
	}
	banned, err := whole(joinBans)(t.Context(), operator.Conn, chat.AdminBans, chat.Address{}, chat.AdminRequest{})
	if err != nil {
		t.Fatal(err)
	}
	targets := map[chat.Target]bool{}
	for _, b := range banned.Bans {
		targets[b.Target] = true
	}
	if len(targets) != bans || len(banned.Bans) != len(targets) {
		t.Errorf("%d bans are listed, %d of them different", len(banned.Bans), len(targets))
	}
}

// Credentials that are damaged are named, not the coordinator doubted.
func TestDamagedCredsAreNamed(t *testing.T) {
	creds := filepath.Join(t.TempDir(), "operator.creds")
	if err := os.WriteFile(creds, []byte("-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, err bytes.Buffer
	if code := run([]string{"users", "--creds", creds}, &out, &err); code != flags.ExitFile || !strings.Contains(err.String(), creds) {
		t.Errorf("exit code %d: %s", code, &err)
	}
}
