package ticket

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"natter/chat"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Creds is what a connection presents, read from a .creds file or made by a Minter.
type Creds struct {
	JWT     string
	Key     nkeys.KeyPair // nil for a bearer
	User    string        // public key
	Account string        // public key of the account
	Grant   chat.Grant
	Bearer  bool
	Expires time.Time // zero: never
}

// NewCreds makes a new key and credentials for it.
func (m *Minter) NewCreds(g chat.Grant, ttl time.Duration, now time.Time) (*Creds, error) {
	return m.NewCredsFor(func(string) chat.Grant { return g }, ttl, now)
}

// NewCredsFor is NewCreds for a grant that depends on the public key.
func (m *Minter) NewCredsFor(grant func(publicKey string) chat.Grant, ttl time.Duration, now time.Time) (*Creds, error) {
	key, public, err := fresh()
	if err != nil {
		return nil, err
	}
	t, err := m.Mint(public, grant(public), ttl, now)
	if err != nil {
		return nil, err
	}
	c, err := readJWT(t.JWT)
	if err != nil {
		return nil, err
	}
	c.Key = key
	return c, nil
}

// ParseCreds reads the text of a .creds file, or a bearer's JWT, decorated or bare.
func ParseCreds(text []byte) (*Creds, error) {
	token, err := jwt.ParseDecoratedJWT(text)
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	c, err := readJWT(token)
	if err != nil || c.Bearer {
		return c, err
	}
	if c.Key, err = jwt.ParseDecoratedUserNKey(text); err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	if Public(c.Key) != c.User {
		return nil, errors.New("reading credentials: the key is not that of the JWT")
	}
	return c, nil
}

func readJWT(text string) (*Creds, error) {
	claims, err := jwt.DecodeUserClaims(text)
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	c := &Creds{JWT: text, User: claims.Subject, Account: claims.IssuerAccount, Bearer: claims.BearerToken, Grant: grant(claims)}
	if c.Account == "" {
		c.Account = claims.Issuer
	}
	if claims.Expires != 0 {
		c.Expires = time.Unix(claims.Expires, 0).UTC()
	}
	return c, nil
}

// grant is permission, backwards. What a grant cannot say stands in it as a right to
// everything, so that nobody takes it for less.
func grant(c *jwt.UserClaims) chat.Grant {
	g := chat.Grant{
		Holder:        chat.User(c.Name),
		Publish:       allowed(c.Pub),
		Subscribe:     allowed(c.Sub),
		DenySubscribe: c.Sub.Deny,
		Subscriptions: int(max(c.Limits.Subs, 0)),
		Payload:       int(max(c.Limits.Payload, 0)),
	}
	if len(c.Sub.Allow) == 0 {
		g.DenySubscribe = nil
	}
	if c.Resp != nil {
		g.Publish = append(g.Publish, ">")
	}
	return g
}

func allowed(p jwt.Permission) []string {
	if len(p.Allow) == 0 && !slices.Contains(p.Deny, ">") {
		return []string{">"}
	}
	return p.Allow
}
