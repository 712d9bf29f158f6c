package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"natter/broker/ticket"
	"natter/chat"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// identities are the keys of everything that signs.
type identities struct {
	operator, system, chat, signing, lobby nkeys.KeyPair
}

// lobbyConns bounds how many may be in the lobby at once; users are not counted.
const (
	lobbyConns = 10000
	lobbySubs  = 8 // of one connection
)

type keyFile struct {
	name   string
	prefix nkeys.PrefixByte
	key    *nkeys.KeyPair
}

func (ids *identities) files() []keyFile {
	return []keyFile{
		{"operator.nk", nkeys.PrefixByteOperator, &ids.operator},
		{"system.nk", nkeys.PrefixByteAccount, &ids.system},
		{"chat.nk", nkeys.PrefixByteAccount, &ids.chat},
		{"chat-signing.nk", nkeys.PrefixByteAccount, &ids.signing},
		{"lobby.nk", nkeys.PrefixByteAccount, &ids.lobby},
	}
}

// loadIdentities reads the keys under dir and makes those that are missing, which
// is allowed only as long as there is no state that belongs to them. Keys that
// are not to be kept are not written.
func loadIdentities(dir string, keep bool) (*identities, error) {
	ids := &identities{}
	keys := filepath.Join(dir, "keys")
	if keep {
		if err := privateDir(keys); err != nil {
			return nil, err
		}
	}
	_, err := os.Stat(filepath.Join(dir, "jetstream"))
	mayMake := errors.Is(err, fs.ErrNotExist)
	for _, f := range ids.files() {
		var err error
		if keep {
			*f.key, err = loadKey(filepath.Join(keys, f.name), f.prefix, mayMake)
		} else {
			*f.key, err = nkeys.CreatePair(f.prefix)
		}
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func loadKey(path string, prefix nkeys.PrefixByte, mayMake bool) (nkeys.KeyPair, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && mayMake {
		return makeKey(path, prefix)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problemf(ErrDataDir, "The key %s is missing, and the state beside it belongs to it. Bring the file back.", path)
	}
	if err != nil {
		return nil, problemf(ErrDataDir, "Cannot read the key %s: %v.", path, cause(err))
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, problemf(ErrDataDir, "Others can read the key %s (mode %04o). Make it yours alone: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return readKey(path, prefix)
}

func readKey(path string, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(path)
	if err != nil {
		return nil, problemf(ErrDataDir, "Cannot read the key %s: %v.", path, cause(err))
	}
	seed = bytes.TrimSpace(seed)
	have, _, err := nkeys.DecodeSeed(seed)
	if err != nil || have != prefix {
		return nil, problemf(ErrDataDir, "The file %s is damaged: it does not hold the key that belongs there. Bring the right one back.", path)
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
	return key, writePrivate(path, append(seed, '\n'))
}

func public(key nkeys.KeyPair) string {
	p, err := key.PublicKey()
	if err != nil {
		panic("embedded: a key without a public half: " + err.Error()) // it was made from a seed
	}
	return p
}

func (ids *identities) chatMinter() *ticket.Minter {
	return ticket.New(public(ids.chat), ids.signing)
}

func (ids *identities) systemMinter() *ticket.Minter {
	return ticket.New(public(ids.system), ids.system)
}

// trust makes the server trust our operator, know our accounts, and let in
// whoever brings nothing with the lobby's grant.
func (ids *identities) trust(opts *server.Options) error {
	operator, err := ids.operatorClaims()
	if err != nil {
		return err
	}
	opts.TrustedOperators = []*jwt.OperatorClaims{operator}
	opts.SystemAccount = public(ids.system)
	accounts := &server.MemAccResolver{}
	opts.AccountResolver = accounts
	for _, c := range []*jwt.AccountClaims{ids.systemClaims(), ids.chatClaims(opts.JetStreamMaxStore), ids.lobbyClaims()} {
		text, err := c.Encode(ids.operator)
		if err != nil {
			return err
		}
		if err := accounts.Store(c.Subject, text); err != nil {
			return err
		}
	}
	opts.DefaultSentinel, err = ticket.New(public(ids.lobby), ids.lobby).Bearer(chat.LobbyGrant())
	return err
}

func (ids *identities) operatorClaims() (*jwt.OperatorClaims, error) {
	c := jwt.NewOperatorClaims(public(ids.operator))
	c.Name = "natter"
	c.SystemAccount = public(ids.system)
	text, err := c.Encode(ids.operator)
	if err != nil {
		return nil, err
	}
	return jwt.DecodeOperatorClaims(text)
}

// account returns claims under which a user without permissions of its own may
// do nothing.
func account(name string, key nkeys.KeyPair) *jwt.AccountClaims {
	c := jwt.NewAccountClaims(public(key))
	c.Name = name
	c.DefaultPermissions.Pub.Deny = jwt.StringList{">"}
	c.DefaultPermissions.Sub.Deny = jwt.StringList{">"}
	return c
}

func (ids *identities) systemClaims() *jwt.AccountClaims { return account("SYS", ids.system) }

func (ids *identities) chatClaims(store int64) *jwt.AccountClaims {
	c := account("CHAT", ids.chat)
	c.SigningKeys.Add(public(ids.signing))
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: maxMemory,
		DiskStorage:   store,
		Streams:       jwt.NoLimit,
		Consumer:      jwt.NoLimit,
	}
	for _, subject := range chat.LobbyGrant().Publish {
		c.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service})
	}
	return c
}

func (ids *identities) lobbyClaims() *jwt.AccountClaims {
	c := account("LOBBY", ids.lobby)
	c.Limits.Conn = lobbyConns
	c.Limits.Subs = lobbySubs
	c.Limits.Payload = chat.MaxPayload
	c.Limits.LeafNodeConn = 0
	for _, subject := range chat.LobbyGrant().Publish {
		c.Imports.Add(&jwt.Import{
			Name:    subject,
			Subject: jwt.Subject(subject),
			Account: public(ids.chat),
			Type:    jwt.Service,
			Share:   true, // the server tells the coordinator who asks, and nobody can forge it
		})
	}
	return c
}

// writeCreds writes the files for the nats CLI and for chatcoord's own verbs, if
// they are not there.
func writeCreds(dir string, m *ticket.Minter) error {
	for name, grant := range map[string]chat.Grant{
		"observer.creds": chat.ObserverGrant(),
		"operator.creds": chat.OperatorGrant(),
	} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		text, key, err := m.Creds(grant, 0, time.Now())
		if err != nil {
			return err
		}
		creds, err := ticket.FormatCreds(text, key)
		if err != nil {
			return err
		}
		if err := writePrivate(path, creds); err != nil {
			return err
		}
	}
	return nil
}
