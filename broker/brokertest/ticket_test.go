package brokertest_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

type signer = func([]byte) ([]byte, error)

func try(srv *embedded.Server, jwt string, sign signer) error {
	nc, err := nats.Connect(srv.URL(), nats.UserJWT(func() (string, error) { return jwt, nil }, sign))
	if err == nil {
		nc.Close()
	}
	return err
}

func mint(t *testing.T, srv *embedded.Server, ttl time.Duration, now time.Time) (string, nkeys.KeyPair) {
	t.Helper()
	jwt, key, err := srv.Minter().Creds(chat.UserGrant("alice"), ttl, now)
	if err != nil {
		t.Fatal(err)
	}
	return jwt, key
}

func TestTicketsThatAreRefused(t *testing.T) {
	srv, elsewhere := brokertest.Run(t), brokertest.Run(t)
	now := time.Now()
	good, key := mint(t, srv, time.Hour, now)
	expired, expiredKey := mint(t, srv, time.Hour, now.Add(-2*time.Hour))
	foreign, foreignKey := mint(t, elsewhere, time.Hour, now)
	_, thief := mint(t, srv, time.Hour, now)
	if err := try(srv, good, key.Sign); err != nil {
		t.Errorf("a good ticket: %v", err)
	}
	for name, test := range map[string]struct {
		jwt  string
		sign signer
	}{
		"somebody else's":   {good, thief.Sign},
		"without signature": {good, func([]byte) ([]byte, error) { return nil, nil }},
		"expired":           {expired, expiredKey.Sign},
		"of another server": {foreign, foreignKey.Sign},
	} {
		if err := try(srv, test.jwt, test.sign); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

// TestForgedTicketIsNone: to NATS a JWT whose signature is wrong is like none at
// all, so who brings one is let into the lobby, and no further.
func TestForgedTicketIsNone(t *testing.T) {
	srv := brokertest.Run(t)
	good, key := mint(t, srv, time.Hour, time.Now())
	forged := good[:len(good)-8] + "AAAA" + good[len(good)-4:]
	c := brokertest.Dial(t, srv, chat.UserGrant("alice"), chat.Inbox("alice"),
		nats.UserJWT(func() (string, error) { return forged, nil }, key.Sign))
	for subject, want := range map[string]bool{
		chat.Enter.Subject(chat.Address{}):                          true,
		chat.List.Subject(chat.Address{User: "alice"}):              false,
		chat.Direct.Subject(chat.Address{User: "alice", To: "bob"}): false,
	} {
		if got := c.MayPublish(t, subject); got != want {
			t.Errorf("may publish %s: %v, want %v", subject, got, want)
		}
	}
}

// TestComingAndLeavingIsTold: the system account hears of every connection of the
// users' account, by the public key that its ticket is bound to.
func TestComingAndLeavingIsTold(t *testing.T) {
	srv := brokertest.Run(t)
	sys, err := srv.DialSystem("liveness", chat.SystemGrant(srv.ChatAccount()), chat.StoreInbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sys.Close)
	root := "$SYS.ACCOUNT." + srv.ChatAccount()
	came, left := listen(t, sys, root+".CONNECT"), listen(t, sys, root+".DISCONNECT")

	alice := brokertest.User(t, srv, "alice")
	if got := userOf(t, next(t, came)); got != alice.Key {
		t.Errorf("came: %s, want %s", got, alice.Key)
	}
	alice.Close()
	if got := userOf(t, next(t, left)); got != alice.Key {
		t.Errorf("left: %s, want %s", got, alice.Key)
	}
	if m, err := sys.Request("$SYS.REQ.SERVER.PING.CONNZ", []byte(`{"auth":true}`), timeout); err != nil || len(m.Data) == 0 {
		t.Errorf("asking who is connected: %v", err)
	}
}

func userOf(t *testing.T, m *nats.Msg) string {
	t.Helper()
	var event struct {
		Client struct {
			User string `json:"user"`
		} `json:"client"`
	}
	if err := json.Unmarshal(m.Data, &event); err != nil {
		t.Fatal(err)
	}
	return event.Client.User
}
