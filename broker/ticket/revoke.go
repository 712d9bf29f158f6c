package ticket

import (
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Revoke returns the JWT of an account under which the tickets of keys are void that were
// made until a time, in whole seconds; for the keys that are over, no more. Other
// revocations stay. The signer is the operator's key or its deputy's. A JWT that says all
// that already is returned as it is.
func Revoke(account string, signer nkeys.KeyPair, void map[string]time.Time, over []string) (string, error) {
	c, err := jwt.DecodeAccountClaims(account)
	if err != nil {
		return "", fmt.Errorf("reading the account: %w", err)
	}
	before := maps.Clone(c.Revocations)
	for _, key := range over {
		c.ClearRevocation(key)
	}
	for key, until := range void {
		c.RevokeAt(key, until)
	}
	if maps.Equal(before, c.Revocations) {
		return account, nil
	}
	text, err := c.Encode(signer)
	if err != nil {
		return "", fmt.Errorf("signing the account: %w", err)
	}
	return text, nil
}

// SameRevocations has an account's JWT, made anew, void what an earlier one did.
func SameRevocations(account, earlier string, signer nkeys.KeyPair) (string, error) {
	e, err := jwt.DecodeAccountClaims(earlier)
	if err != nil {
		return "", fmt.Errorf("reading the account: %w", err)
	}
	void := map[string]time.Time{}
	for key, until := range e.Revocations {
		void[key] = time.Unix(until, 0)
	}
	return Revoke(account, signer, void, nil)
}
