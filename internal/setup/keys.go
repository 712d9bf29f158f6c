package setup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/private"
	"natter/internal/secure"
)

// Role is one connection of an installation: its credentials are in a file of its
// name, and can do what its grant says.
type Role struct {
	Name string
	For  string // who has it

	inbox  string // where its answers come to; "": each key has its own
	system bool
	grant  func(chatAccount, publicKey string) chat.Grant
}

// always is a grant that is the same in every installation and for every key.
func always(g chat.Grant) func(string, string) chat.Grant {
	return func(string, string) chat.Grant { return g }
}

func observing(_, publicKey string) chat.Grant {
	return chat.ObserverGrant(chat.ObserverInbox(publicKey))
}

func hearingSystem(chatAccount, _ string) chat.Grant { return chat.SystemGrant(chatAccount) }

// The roles.
var (
	Answer   = Role{Name: "coord", inbox: chat.StoreInbox, For: "coordinators: answers requests", grant: always(chat.AnsweringGrant())}
	Store    = Role{Name: "store", inbox: chat.StoreInbox, For: "coordinators: keeps state, tells users", grant: always(chat.StoringGrant())}
	Tap      = Role{Name: "tap", inbox: chat.StoreInbox, For: "coordinators: the console", grant: always(chat.TappingGrant())}
	System   = Role{Name: "sys", inbox: chat.StoreInbox, For: "coordinators: who comes and leaves", system: true, grant: hearingSystem}
	Operator = Role{Name: "operator", inbox: chat.AdminInbox, For: "you: chatcoord users, chatcoord sessions", grant: always(chat.OperatorGrant())}
	Observer = Role{Name: "observer", For: "who may watch with the nats CLI", grant: observing}
	Audit    = Role{Name: "audit", For: "who may watch what is done, and read no messages", grant: always(chat.AuditGrant())}
)

// Roles are all of them; a coordinator needs the first four.
var Roles = []Role{Answer, Store, Tap, System, Operator, Observer, Audit}

const needed = 4

// Grant is what credentials of the role with a public key may do in an installation whose
// users are in an account.
func (r Role) Grant(chatAccount, publicKey string) chat.Grant { return r.grant(chatAccount, publicKey) }

// newCreds makes credentials of the role.
func (r Role) newCreds(m *ticket.Minter, chatAccount string, ttl time.Duration, now time.Time) (*ticket.Creds, error) {
	return m.NewCredsFor(func(publicKey string) chat.Grant { return r.grant(chatAccount, publicKey) }, ttl, now)
}

// File is the name of the role's credentials.
func (r Role) File() string { return r.Name + ".creds" }

// Coordinators reports whether a coordinator needs the role.
func (r Role) Coordinators() bool {
	return slices.ContainsFunc(Roles[:needed], func(n Role) bool { return n.Name == r.Name })
}

// InSystem reports whether the role is in the system account.
func (r Role) InSystem() bool { return r.system }

// Names of other files.
const (
	signingKey  = "signing.nk"
	deputyKey   = "operator-signing.nk"
	sentinelJWT = "sentinel.jwt"
)

// Keys are what a coordinator needs of an installation.
type Keys struct {
	ChatID   string // public key of the account that users are in
	Minter   *ticket.Minter
	Sentinel string        // the lobby's JWT; "" if it is not there
	Deputy   nkeys.KeyPair // signs revocations; nil if it is not there

	creds map[string]*ticket.Creds // by role
}

// Open reads the keys of a directory that Init has written, or of one with copies of
// the files that it needs. Its error is an *chat.Error and private.ErrFile.
func Open(dir string) (*Keys, error) {
	k := &Keys{creds: map[string]*ticket.Creds{}}
	if err := private.CheckDir(dir); err != nil {
		if abs, aerr := filepath.Abs(dir); aerr == nil && errors.Is(err, fs.ErrNotExist) {
			return nil, cmp.Or(CutShort(abs), err)
		}
		return nil, err
	}
	for i, r := range Roles {
		creds, err := readCreds(filepath.Join(dir, r.File()), i < needed)
		if err != nil {
			return nil, err
		}
		if creds != nil {
			k.creds[r.Name] = creds
		}
	}
	k.ChatID = k.creds[Store.Name].Account
	signing, err := readKey(filepath.Join(dir, signingKey), nkeys.PrefixByteAccount, true)
	if err != nil {
		return nil, err
	}
	k.Minter = ticket.New(k.ChatID, signing)
	if k.Deputy, err = readKey(filepath.Join(dir, deputyKey), nkeys.PrefixByteOperator, false); err != nil {
		return nil, err
	}
	sentinel, err := os.ReadFile(filepath.Join(dir, sentinelJWT)) // others may read it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, private.Errorf(private.ErrFile, "Cannot read %s: %v.", filepath.Join(dir, sentinelJWT), private.Cause(err))
	}
	k.Sentinel = string(bytes.TrimSpace(private.Plain(sentinel)))
	return k, nil
}

// readCreds returns nil for a file that is not there and need not be.
func readCreds(path string, must bool) (*ticket.Creds, error) {
	text, err := readFile("credentials", path, must)
	if text == nil {
		return nil, err
	}
	creds, err := ticket.ParseCreds(text)
	if err != nil || creds.Key == nil {
		return nil, private.Errorf(private.ErrFile, "The file %s is damaged: it does not hold credentials. Bring the right one back.", path)
	}
	return creds, nil
}

func readKey(path string, prefix nkeys.PrefixByte, must bool) (nkeys.KeyPair, error) {
	seed, err := readFile("key", path, must)
	if seed == nil {
		return nil, err
	}
	seed = bytes.TrimSpace(seed)
	have, _, err := nkeys.DecodeSeed(seed)
	if err != nil || have != prefix {
		return nil, private.Errorf(private.ErrFile, "The file %s is damaged: it does not hold the key that belongs there. Bring the right one back.", path)
	}
	return nkeys.FromSeed(seed)
}

func readFile(kind, path string, must bool) ([]byte, error) {
	text, err := private.ReadText(kind, path, private.Small)
	switch {
	case errors.Is(err, fs.ErrNotExist) && must:
		return nil, private.Errorf(private.ErrFile, "The file %s is missing. Copy it from where chatcoord init has written it.", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return text, nil // of an empty file it is not nil
}

// lent is how long credentials are good that are made for an examination.
const lent = time.Hour

// Derive makes the keys of an installation whose signing keys are at hand, as those of
// an embedded server are.
func Derive(i *ticket.Installation, now time.Time) (*Keys, error) {
	k := &Keys{Minter: i.ChatMinter(), Deputy: i.Operator, creds: map[string]*ticket.Creds{}}
	k.ChatID = k.Minter.Account()
	for _, r := range Roles {
		m := k.Minter
		if r.system {
			m = i.SystemMinter()
		}
		creds, err := r.newCreds(m, k.ChatID, lent, now)
		if err != nil {
			return nil, err
		}
		k.creds[r.Name] = creds
	}
	return k, nil
}

// LobbyID is the public key of the account that newcomers are in; "" without a sentinel.
func (k *Keys) LobbyID() string {
	c, err := ticket.ParseCreds([]byte(k.Sentinel))
	if err != nil {
		return ""
	}
	return c.Account
}

// Creds are the credentials of a role; nil if they are not there.
func (k *Keys) Creds(r Role) *ticket.Creds { return k.creds[r.Name] }

// Dial connects as a role, with its inbox, as broker.Connect does. Its error is an
// *chat.Error: NotConnected or Denied.
func (k *Keys) Dial(urls string, r Role, opts ...nats.Option) (*nats.Conn, error) {
	creds := k.creds[r.Name]
	if creds == nil {
		return nil, private.Errorf(private.ErrFile, "There is no %s.", r.File())
	}
	all := []nats.Option{
		nats.UserJWT(func() (string, error) { return creds.JWT, nil }, creds.Key.Sign),
		nats.CustomInboxPrefix(cmp.Or(r.inbox, chat.ObserverInbox(creds.User))),
		nats.IgnoreAuthErrorAbort(), // a server may learn of its accounts later than of its clients
	}
	nc, err := broker.Connect(context.Background(), urls, broker.CoordinatorName, append(all, opts...)...)
	if errors.Is(err, nats.ErrAuthorization) {
		return nil, chat.Errorf(chat.Denied, "%s does not accept the credentials %s. Is it the NATS server that they were made for? chatcoord doctor says more.", broker.Redact(urls), r.File())
	}
	if unsafe := secure.Explain(broker.Redact(urls), "", err); unsafe != nil {
		return nil, unsafe
	}
	if err != nil {
		return nil, chat.Errorf(chat.NotConnected, "Cannot reach %s: %s.", broker.Redact(urls), broker.Plainly(err))
	}
	return nc, nil
}
