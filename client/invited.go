package client

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/chat"
)

// askForALink is the advice for users who do not know a server.
const askForALink = "Ask its operator for a link (chatcli join LINK)"

// shareKey gives a name that has no key yet the one that was made for the name tried
// before it, or that of the link: a pass is used once, whatever name is taken in the end.
func (o *owner) shareKey(k *key) error {
	if !k.fresh {
		return nil
	}
	if o.spare == nil && o.cfg.Seed != "" {
		pair, err := nkeys.FromSeed([]byte(o.cfg.Seed))
		if err != nil {
			return chat.Errorf(chat.Arguments, "The key that belongs to the link is damaged; join again: chatcli join LINK")
		}
		o.spare = pair
	}
	if o.spare == nil {
		o.spare = k.pair
		return nil
	}
	public, err := o.spare.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return chat.Errorf(chat.Arguments, "The key that belongs to the link is damaged; join again: chatcli join LINK")
	}
	k.kept.Login, k.pair, k.public = o.spare, o.spare, public
	return nil
}

// NewSeed makes a new login key for Config.Seed.
func NewSeed() (string, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	seed, err := pair.Seed()
	return string(seed), err
}

// PassSpent reports whether a new name was taken, so that the pass and the seed are of no
// more use.
func (c *Client) PassSpent() bool { return c.spent.Load() }

// presenting is a bearer's JWT, which everybody may have, so there is no key.
func presenting(jwt string) nats.Option {
	jwt = strings.TrimSpace(jwt)
	return nats.UserJWT(func() (string, error) { return jwt, nil }, func([]byte) ([]byte, error) { return nil, nil })
}
