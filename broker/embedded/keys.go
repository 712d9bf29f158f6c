package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"natter/broker/ticket"
	"natter/internal/private"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

const keysDir = "keys"

// Identities reads the keys of a server that has run in a data directory, for who
// examines it. The server may be running.
func Identities(dir string) (*ticket.Installation, error) {
	keys := filepath.Join(dir, keysDir)
	if err := private.CheckDir(keys); err != nil {
		return nil, err
	}
	return readKeys(keys, false)
}

// loadIdentities reads the keys under dir and makes those that are missing, which
// is allowed only as long as there is no state that belongs to them. Keys that
// are not to be kept are not written.
func loadIdentities(dir string, keep bool) (*ticket.Installation, error) {
	if !keep {
		return ticket.NewInstallation()
	}
	keys := filepath.Join(dir, keysDir)
	if err := private.Dir(keys); err != nil {
		return nil, err
	}
	_, err := os.Stat(filepath.Join(dir, "jetstream"))
	return readKeys(keys, errors.Is(err, fs.ErrNotExist))
}

func readKeys(dir string, mayMake bool) (*ticket.Installation, error) {
	ids := &ticket.Installation{}
	for _, slot := range ids.Keys() {
		key, err := loadKey(filepath.Join(dir, slot.Name+".nk"), slot.Prefix, mayMake)
		if err != nil {
			return nil, err
		}
		*slot.Key = key
	}
	return ids, nil
}

func loadKey(path string, prefix nkeys.PrefixByte, mayMake bool) (nkeys.KeyPair, error) {
	seed, err := private.ReadText("key", path, private.Small)
	switch {
	case errors.Is(err, fs.ErrNotExist) && mayMake:
		return makeKey(path, prefix)
	case errors.Is(err, fs.ErrNotExist):
		return nil, private.Errorf(ErrDataDir, "The key %s is missing, and the state beside it belongs to it. Bring the file back.", path)
	case err != nil:
		return nil, err
	}
	seed = bytes.TrimSpace(seed)
	have, _, err := nkeys.DecodeSeed(seed)
	if err != nil || have != prefix {
		return nil, private.Errorf(ErrDataDir, "The file %s is damaged: it does not hold the key that belongs there. Bring the right one back.", path)
	}
	return nkeys.FromSeed(seed)
}

func makeKey(path string, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	key, err := nkeys.CreatePair(prefix)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	seed, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, private.Write(path, append(seed, '\n'))
}

// trust makes the server trust our operator, know our accounts, and give
// connections without credentials the lobby's grant.
func trust(ids *ticket.Installation, opts *server.Options) error {
	jwts, err := ids.JWTs(ticket.Limits{Memory: maxMemory, Store: opts.JetStreamMaxStore})
	if err != nil {
		return err
	}
	operator, err := jwt.DecodeOperatorClaims(jwts.Operator)
	if err != nil {
		return err
	}
	opts.TrustedOperators = []*jwt.OperatorClaims{operator}
	opts.SystemAccount = jwts.SystemAccount
	opts.DefaultSentinel = jwts.Sentinel
	accounts := &server.MemAccResolver{}
	opts.AccountResolver = accounts
	for _, a := range jwts.Accounts {
		if err := accounts.Store(a.PublicKey, a.JWT); err != nil {
			return err
		}
	}
	return nil
}
