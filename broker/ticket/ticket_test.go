package ticket_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"natter/broker/ticket"
	"natter/chat"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func newMinter(t *testing.T) (*ticket.Minter, string, string) {
	t.Helper()
	account, signing := pair(t, nkeys.CreateAccount), pair(t, nkeys.CreateAccount)
	return ticket.New(public(t, account), signing), public(t, account), public(t, signing)
}

func pair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	p, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decode(t *testing.T, text string) *jwt.UserClaims {
	t.Helper()
	c, err := jwt.DecodeUserClaims(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTicketSaysWhatTheGrantSays(t *testing.T) {
	m, account, signing := newMinter(t)
	g := chat.Grant{Publish: []string{"a.*", "b"}, Subscribe: []string{"c.>"}, DenySubscribe: []string{"> >"}}
	login := public(t, pair(t, nkeys.CreateUser))
	tk, err := m.Mint(login, g, 90*time.Minute, noon)
	if err != nil {
		t.Fatal(err)
	}
	c := decode(t, tk.JWT)
	if c.Subject != login || c.Issuer != signing || c.IssuerAccount != account {
		t.Errorf("subject %s, issuer %s, account %s", c.Subject, c.Issuer, c.IssuerAccount)
	}
	if !slices.Equal(c.Pub.Allow, g.Publish) || len(c.Pub.Deny) != 0 {
		t.Errorf("publish: %+v", c.Pub)
	}
	if !slices.Equal(c.Sub.Allow, g.Subscribe) || !slices.Equal(c.Sub.Deny, g.DenySubscribe) {
		t.Errorf("subscribe: %+v", c.Sub)
	}
	if c.Resp != nil || c.NotBefore != 0 || c.BearerToken {
		t.Errorf("answers %v, not before %d, bearer %v", c.Resp, c.NotBefore, c.BearerToken)
	}
	if want := noon.Add(90 * time.Minute); !tk.Expires.Equal(want) || c.Expires != want.Unix() {
		t.Errorf("expires %v and %d, want %v", tk.Expires, c.Expires, want)
	}
}

func TestNothingAllowedIsEverythingDenied(t *testing.T) {
	m, _, _ := newMinter(t)
	tk, err := m.Mint(public(t, pair(t, nkeys.CreateUser)), chat.Grant{}, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	c := decode(t, tk.JWT)
	all := []string{">"}
	if !slices.Equal(c.Pub.Deny, all) || !slices.Equal(c.Sub.Deny, all) {
		t.Errorf("denied: publish %v, subscribe %v", c.Pub.Deny, c.Sub.Deny)
	}
	if !tk.Expires.IsZero() || c.Expires != 0 {
		t.Errorf("expires %v, %d: want never", tk.Expires, c.Expires)
	}
}

func TestOnlyUserKeysGetTickets(t *testing.T) {
	m, account, _ := newMinter(t)
	seed, err := pair(t, nkeys.CreateUser).Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "alice", account, string(seed), "U" + account[1:]} {
		if _, err := m.Mint(key, chat.LobbyGrant(), 0, noon); !errors.Is(err, &chat.Error{Code: chat.Arguments}) {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestWipedKeyMintsNothing(t *testing.T) {
	signing := pair(t, nkeys.CreateAccount)
	account := public(t, signing)
	signing.Wipe()
	if _, _, err := ticket.New(account, signing).Creds(chat.LobbyGrant(), 0, noon); err == nil {
		t.Error("a ticket without a key")
	}
}

func TestAccountSigningByItselfIsNoIssuerAccount(t *testing.T) {
	key := pair(t, nkeys.CreateAccount)
	text, _, err := ticket.New(public(t, key), key).Creds(chat.LobbyGrant(), 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	if c := decode(t, text); c.IssuerAccount != "" {
		t.Errorf("issuer account %s", c.IssuerAccount)
	}
}

func TestBearer(t *testing.T) {
	m, _, _ := newMinter(t)
	text, err := m.Bearer(chat.LobbyGrant())
	if err != nil {
		t.Fatal(err)
	}
	c := decode(t, text)
	if !c.BearerToken || !slices.Equal(c.Pub.Allow, chat.LobbyGrant().Publish) {
		t.Errorf("bearer %v, publish %v", c.BearerToken, c.Pub.Allow)
	}
}

func TestCredsFileIsOneThatNATSReads(t *testing.T) {
	m, _, _ := newMinter(t)
	text, key, err := m.Creds(chat.ObserverGrant("_INBOX.O"), 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ticket.FormatCreds(text, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "observer.creds")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var opts nats.Options
	if err := nats.UserCredentials(path)(&opts); err != nil {
		t.Fatal(err)
	}
	if got, err := opts.UserJWT(); err != nil || got != text {
		t.Errorf("read back %q, %v", got, err)
	}
	nonce := []byte("nonce")
	sig, err := opts.SignatureCB(nonce)
	if err != nil || key.Verify(nonce, sig) != nil {
		t.Errorf("the file's key does not sign for the ticket: %v", err)
	}
}

func TestCredsAreReadBack(t *testing.T) {
	m, account, _ := newMinter(t)
	g := chat.ObserverGrant("_INBOX.O")
	made, err := m.NewCreds(g, time.Hour, noon)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ticket.FormatCreds(made.JWT, made.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ticket.ParseCreds(file)
	if err != nil {
		t.Fatal(err)
	}
	same := slices.Equal(c.Grant.Publish, g.Publish) && slices.Equal(c.Grant.Subscribe, g.Subscribe) && slices.Equal(c.Grant.DenySubscribe, g.DenySubscribe)
	if !same || c.Account != account || c.User != public(t, c.Key) || !c.Expires.Equal(noon.Add(time.Hour)) || c.Bearer {
		t.Errorf("read back %+v", c)
	}
	bearer, err := m.Bearer(chat.LobbyGrant())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := ticket.ParseCreds([]byte(bearer)); err != nil || !c.Bearer || c.Key != nil {
		t.Errorf("bearer %+v, %v", c, err)
	}
	mine, theirs := seed(t, made.Key), seed(t, pair(t, nkeys.CreateUser))
	other := bytes.ReplaceAll(file, mine, theirs)
	for _, text := range [][]byte{nil, []byte("x"), []byte(made.JWT), other} {
		if c, err := ticket.ParseCreds(text); err == nil {
			t.Errorf("%q is %+v", text, c)
		}
	}
}

func seed(t *testing.T, key nkeys.KeyPair) []byte {
	t.Helper()
	s, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A right that a grant cannot express is shown as a right to everything.
func TestWhatIsNotRestrictedIsSeen(t *testing.T) {
	account := pair(t, nkeys.CreateAccount)
	user := pair(t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(t, user))
	claims.Sub.Allow = jwt.StringList{"a"}
	claims.Resp = &jwt.ResponsePermission{MaxMsgs: 1}
	text, err := claims.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ticket.FormatCreds(text, user)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ticket.ParseCreds(file)
	if err != nil || !slices.Contains(c.Grant.Publish, ">") || c.Account != public(t, account) {
		t.Errorf("%+v, %v", c, err)
	}
}
