package client

import (
	"fmt"

	"github.com/nats-io/nkeys"

	"natter/chat"
	"natter/internal/keyfile"
)

// owner is the user's name and keys. They change only before the name is taken, in one call at a
// time.
type owner struct {
	*shared

	me       chat.Name
	key      *key
	unlocked *keyfile.File // the one that was decrypted last
	spare    nkeys.KeyPair // of a name that has no key yet: see shareKey
	side     nkeys.KeyPair // of a connection beside the user's terminals; nil: this is one of them
	rotating bool          // this client changes the login key, and nothing else
	over     bool          // the next name is taken over from another terminal
	terminal string        // of this run, or of its last takeover
}

// sign proves on a connection that the ticket is the user's.
func (o *owner) sign(nonce []byte) ([]byte, error) {
	if o.side != nil {
		return o.side.Sign(nonce)
	}
	return o.key.pair.Sign(nonce)
}

func (o *owner) fault(what string, err error) {
	o.log.Error(what, "user", o.me, "err", fmt.Sprint(err))
}
