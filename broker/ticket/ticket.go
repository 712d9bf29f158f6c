// Package ticket turns grants into credentials that a NATS server checks by
// itself: user JWTs in operator mode.
//
//	chat.Grant ──▶ Minter.Mint ──▶ chat.Ticket ──▶ a connection that can do
//	               signing key      bound to a key   exactly what the grant says
//
// A ticket is bound to a public key: who presents it must sign the server's nonce
// with the private half, so a ticket may be read by anybody. It carries
// allow-lists only. It has no start of validity, because the clocks of two
// machines differ, and no right to answer wherever a request points, because
// reply subjects are never trusted.
package ticket

import (
	"errors"
	"fmt"
	"time"

	"natter/chat"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Minter makes tickets of one NATS account. It is safe for use by several
// goroutines.
type Minter struct {
	account string // public key
	signing nkeys.KeyPair
	issuer  string // public half of signing
}

// New returns the minter of the account with a public key. The signing key is one
// of the account's signing keys, or its own.
func New(account string, signing nkeys.KeyPair) *Minter {
	issuer, _ := signing.PublicKey() // a key without one cannot sign either: Mint says so
	return &Minter{account: account, signing: signing, issuer: issuer}
}

// Account is the public key of the account whose tickets are minted.
func (m *Minter) Account() string { return m.account }

// Mint makes a ticket that lets the holder of publicKey do what g says until now
// plus ttl, in whole seconds; with a ttl of 0 it is good for ever. A key that is
// not a user's is an *chat.Error with code Arguments.
func (m *Minter) Mint(publicKey string, g chat.Grant, ttl time.Duration, now time.Time) (chat.Ticket, error) {
	c, err := m.claims(publicKey, g)
	if err != nil {
		return chat.Ticket{}, err
	}
	t := chat.Ticket{}
	if ttl != 0 {
		c.Expires = now.Add(ttl).Unix()
		t.Expires = time.Unix(c.Expires, 0).UTC()
		t.TTL = t.Expires.Sub(now)
	}
	if t.JWT, err = c.Encode(m.signing); err != nil {
		return chat.Ticket{}, fmt.Errorf("signing a ticket: %w", err)
	}
	return t, nil
}

// Bearer makes a JWT that is good without a key, for everybody who has it: what a
// server gives to connections that bring nothing.
func (m *Minter) Bearer(g chat.Grant) (string, error) {
	_, public, err := fresh()
	if err != nil {
		return "", err
	}
	c, err := m.claims(public, g)
	if err != nil {
		return "", err
	}
	c.BearerToken = true
	text, err := c.Encode(m.signing)
	if err != nil {
		return "", fmt.Errorf("signing a bearer ticket: %w", err)
	}
	return text, nil
}

// Creds makes a new key and a ticket for it.
func (m *Minter) Creds(g chat.Grant, ttl time.Duration, now time.Time) (string, nkeys.KeyPair, error) {
	key, public, err := fresh()
	if err != nil {
		return "", nil, err
	}
	t, err := m.Mint(public, g, ttl, now)
	if err != nil {
		return "", nil, err
	}
	return t.JWT, key, nil
}

// FormatCreds returns the text of a .creds file, which the nats CLI reads. It
// holds the private key.
func FormatCreds(ticket string, key nkeys.KeyPair) ([]byte, error) {
	seed, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("formatting credentials: %w", err)
	}
	text, err := jwt.FormatUserConfig(ticket, seed)
	if err != nil {
		return nil, fmt.Errorf("formatting credentials: %w", err)
	}
	return text, nil
}

// validKey reports whether a text is a user's public key, in the one way that there is to
// write it: the decoder would pass over line feeds and what is left over at the end, and
// one key would have several names.
func validKey(publicKey string) bool {
	const length = 56
	return len(publicKey) == length && nkeys.IsValidPublicUserKey(publicKey)
}

func (m *Minter) claims(publicKey string, g chat.Grant) (*jwt.UserClaims, error) {
	if !validKey(publicKey) {
		return nil, chat.Errorf(chat.Arguments, "The login key is not a public user key.")
	}
	if m.issuer == "" {
		return nil, errors.New("minting a ticket: the signing key is wiped")
	}
	c := jwt.NewUserClaims(publicKey)
	c.Name = string(g.Holder)
	if m.issuer != m.account {
		c.IssuerAccount = m.account // NATS refuses it when the account signs by itself
	}
	c.Pub = permission(g.Publish, nil)
	c.Sub = permission(g.Subscribe, g.DenySubscribe)
	c.Limits.Subs, c.Limits.Payload = limit(g.Subscriptions), limit(g.Payload)
	return c, nil
}

// permission says what NATS should allow. An empty allow-list allows everything
// there, so where nothing is allowed everything is denied.
func permission(allow, deny []string) jwt.Permission {
	if len(allow) == 0 {
		return jwt.Permission{Deny: jwt.StringList{">"}}
	}
	return jwt.Permission{Allow: append(jwt.StringList{}, allow...), Deny: append(jwt.StringList{}, deny...)}
}

func limit(n int) int64 {
	if n <= 0 {
		return jwt.NoLimit
	}
	return int64(n)
}

func fresh() (nkeys.KeyPair, string, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", fmt.Errorf("making a key: %w", err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, "", fmt.Errorf("making a key: %w", err)
	}
	return key, public, nil
}
