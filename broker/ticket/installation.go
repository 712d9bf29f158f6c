package ticket

import (
	"fmt"
	"time"

	"natter/chat"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Installation is everything that signs: whose JWTs a NATS server must know to be
// one of ours, wherever it runs.
//
//	operator ──▶ SYS      coordinators only: who comes and leaves
//	         ──▶ CHAT     users; its signing key makes their tickets
//	         ──▶ LOBBY    anybody; imports what one may ask there from CHAT
//
// Direct messages go from CHAT to CHAT by way of LOBBY: see forwardOut.
type Installation struct {
	Operator, System, Chat, Signing, Lobby nkeys.KeyPair

	// OperatorSigning may sign accounts in the operator's place: it makes revocations,
	// while the operator's own key lies in a safe. nil: there is none.
	OperatorSigning nkeys.KeyPair
}

// KeySlot is one key of an installation.
type KeySlot struct {
	Name   string // of its file, without the ending
	Prefix nkeys.PrefixByte
	Key    *nkeys.KeyPair
}

// Keys lists the keys that every installation has.
func (i *Installation) Keys() []KeySlot {
	return []KeySlot{
		{"operator", nkeys.PrefixByteOperator, &i.Operator},
		{"system", nkeys.PrefixByteAccount, &i.System},
		{"chat", nkeys.PrefixByteAccount, &i.Chat},
		{"chat-signing", nkeys.PrefixByteAccount, &i.Signing},
		{"lobby", nkeys.PrefixByteAccount, &i.Lobby},
	}
}

// NewInstallation makes all keys, that of the operator's deputy too.
func NewInstallation() (*Installation, error) {
	i := &Installation{}
	for _, k := range append(i.Keys(), KeySlot{"operator-signing", nkeys.PrefixByteOperator, &i.OperatorSigning}) {
		key, err := nkeys.CreatePair(k.Prefix)
		if err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
		*k.Key = key
	}
	return i, nil
}

// Public is the public half of a key that was made or read.
func Public(key nkeys.KeyPair) string {
	p, err := key.PublicKey()
	if err != nil {
		panic("ticket: a key without a public half: " + err.Error()) // it came from a seed
	}
	return p
}

// ChatMinter mints tickets of the account that users are in.
func (i *Installation) ChatMinter() *Minter { return New(Public(i.Chat), i.Signing) }

// SystemMinter mints credentials of the system account.
func (i *Installation) SystemMinter() *Minter { return New(Public(i.System), i.System) }

// Limits are how much streams may take, all replicas together.
type Limits struct {
	Memory, Store int64 // bytes
}

// JWTs are what a NATS server is given. None of them is a secret.
type JWTs struct {
	Operator      string
	SystemAccount string  // public key
	Accounts      []JWTOf // SYS, CHAT, LOBBY
	Sentinel      string  // what the server gives to connections that bring nothing
}

// JWTOf is an account's JWT.
type JWTOf struct {
	Name, PublicKey, JWT string
}

// JWTs makes the JWTs anew from the keys.
func (i *Installation) JWTs(l Limits) (JWTs, error) {
	operator, err := i.operatorClaims().Encode(i.Operator)
	if err != nil {
		return JWTs{}, fmt.Errorf("signing the operator: %w", err)
	}
	j := JWTs{Operator: operator, SystemAccount: Public(i.System)}
	for _, c := range []*jwt.AccountClaims{account("SYS", i.System), i.chatClaims(l), i.lobbyClaims()} {
		text, err := c.Encode(i.Operator)
		if err != nil {
			return JWTs{}, fmt.Errorf("signing the account %s: %w", c.Name, err)
		}
		j.Accounts = append(j.Accounts, JWTOf{c.Name, c.Subject, text})
	}
	j.Sentinel, err = New(Public(i.Lobby), i.Lobby).Bearer(chat.LobbyGrant())
	return j, err
}

func (i *Installation) operatorClaims() *jwt.OperatorClaims {
	c := jwt.NewOperatorClaims(Public(i.Operator))
	c.Name = "natter"
	c.SystemAccount = Public(i.System)
	if i.OperatorSigning != nil {
		c.SigningKeys.Add(Public(i.OperatorSigning))
	}
	return c
}

// account returns claims under which a user without permissions of its own may
// do nothing.
func account(name string, key nkeys.KeyPair) *jwt.AccountClaims {
	c := jwt.NewAccountClaims(Public(key))
	c.Name = name
	c.DefaultPermissions.Pub.Deny = jwt.StringList{">"}
	c.DefaultPermissions.Sub.Deny = jwt.StringList{">"}
	return c
}

// lobbyAnswer is how long a server keeps the way back to somebody in the lobby. Not every
// request is answered, and nobody waits longer for an answer before they ask again.
const lobbyAnswer = 3 * time.Second

func (i *Installation) chatClaims(l Limits) *jwt.AccountClaims {
	c := account("CHAT", i.Chat)
	c.SigningKeys.Add(Public(i.Signing))
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: l.Memory,
		DiskStorage:   l.Store,
		Streams:       jwt.NoLimit,
		Consumer:      jwt.NoLimit,
	}
	for _, subject := range chat.LobbyGrant().Publish {
		export(c, subject, lobbyAnswer)
	}
	i.forwardOut(c)
	return c
}

// Direct messages take a way through LOBBY, on subjects that no connection can use. Without
// allow_trace a server that is asked to trace a message stops at an account's boundary, so
// nobody learns from it who listens behind.
const (
	forwardFrom = "direct.in.*.*"
	forwardTo   = "direct.out.*.*"
)

// forwardAnswer is how long a server keeps the way back for a direct message that was sent
// as a request. None is answered.
const forwardAnswer = 250 * time.Millisecond

// forwardOut has the account of the users hand on to LOBBY what is sent, and take back what
// comes from there, under the subject that receivers listen to.
func (i *Installation) forwardOut(c *jwt.AccountClaims) {
	export(c, chat.Direct.ArrivalWildcard(), forwardAnswer)
	c.Imports.Add(&jwt.Import{
		Name: "direct messages", Subject: forwardFrom, LocalSubject: jwt.RenamingSubject(chat.Direct.Wildcard()),
		Account: Public(i.Lobby), Type: jwt.Service,
	})
}

// forwardBack has LOBBY hand them back. The mapping in between keeps the server from taking
// the two imports for a cycle.
func (i *Installation) forwardBack(c *jwt.AccountClaims) {
	export(c, forwardFrom, forwardAnswer)
	c.AddMapping(forwardFrom, jwt.WeightedMapping{Subject: "direct.out.$1.$2"})
	c.Imports.Add(&jwt.Import{
		Name: "direct messages", Subject: jwt.Subject(chat.Direct.ArrivalWildcard()), LocalSubject: forwardTo,
		Account: Public(i.Chat), Type: jwt.Service,
	})
}

// export offers a service to other accounts.
func export(c *jwt.AccountClaims, subject string, answer time.Duration) {
	c.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service, ResponseThreshold: answer})
}

// lobbyConns bounds how many may be in the lobby at once; users are not counted.
const lobbyConns = 10000

func (i *Installation) lobbyClaims() *jwt.AccountClaims {
	c := account("LOBBY", i.Lobby)
	c.Limits.Conn = lobbyConns
	c.Limits.Subs = int64(chat.LobbyGrant().Subscriptions) // of one connection: also with a sentinel of an earlier release
	c.Limits.Payload = chat.MaxPayload
	c.Limits.LeafNodeConn = 0
	for _, subject := range chat.LobbyGrant().Publish {
		c.Imports.Add(&jwt.Import{
			Name:    subject,
			Subject: jwt.Subject(subject),
			Account: Public(i.Chat),
			Type:    jwt.Service,
			Share:   true, // the server tells the coordinator who asks, and nobody can forge it
		})
	}
	i.forwardBack(c)
	return c
}
