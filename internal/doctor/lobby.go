package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/internal/setup"
)

// nobody is a name that no user can have.
const nobody chat.User = "coordinator"

// tickets tries whether the server takes what the signing key signs, and for no more
// than it says.
func (e *exam) tickets() {
	const mend = "signing.nk must be a signing key of the account CHAT: copy it again from where chatcoord init has written it."
	key, err := nkeys.CreateUser()
	if err != nil {
		e.fail("tickets", "", "%v", err)
		return
	}
	public, _ := key.PublicKey() // a new one has it
	ticket, err := e.Keys.Minter.Mint(public, chat.UserGrant(nobody), time.Minute, e.Now())
	if err != nil {
		e.fail("tickets", mend, "cannot be made: %v", err)
		return
	}
	nc, err := e.dial(nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, key.Sign), nats.CustomInboxPrefix(chat.Inbox(nobody)))
	if err != nil {
		e.fail("tickets", mend, "a user's ticket is refused: %s", broker.Plainly(err))
		return
	}
	defer nc.Close()
	before := len(e.findings)
	e.tryUser(nc)
	if len(e.findings) == before {
		e.ok("tickets", "a user's ticket is accepted, and gives no more than it says")
	}
}

// tryUser tries a user's rights. What a user publishes somebody may hear, so only what
// must be refused is published.
func (e *exam) tryUser(nc *nats.Conn) {
	g := chat.UserGrant(nobody)
	g.Publish = nil
	e.tryGrant("a user", nc, g)
}

const mendLobby = "In the configuration of each server: include the accounts.conf of chatcoord init, which has\ndefault_sentinel. Or give users sentinel.jwt: chatcli --creds sentinel.jwt"

// lobby checks that somebody without credentials can ask for a name, that the server
// says who it is, and that nothing else is to be had there.
func (e *exam) lobby(ctx context.Context) {
	nc, err := e.dialLobby()
	if err == nil {
		e.tryLobby(ctx, nc, "reachable without credentials")
		nc.Close()
		return
	}
	if e.Keys.Sentinel == "" {
		e.fail("lobby", mendLobby, "nobody gets in without credentials: %s", broker.Plainly(err))
		return
	}
	sentinel := nats.UserJWT(func() (string, error) { return e.Keys.Sentinel, nil }, func([]byte) ([]byte, error) { return nil, nil })
	nc, err = e.dialLobby(sentinel)
	if err != nil {
		e.fail("lobby", mendLobby, "nobody gets in, not with sentinel.jwt either: %s", broker.Plainly(err))
		return
	}
	defer nc.Close()
	e.warn("lobby", mendLobby, "nobody gets in without credentials; with sentinel.jwt one does")
	e.tryLobby(ctx, nc, "reachable with sentinel.jwt")
}

func (e *exam) dialLobby(opts ...nats.Option) (*nats.Conn, error) {
	return e.dial(append(opts, nats.CustomInboxPrefix(chat.LobbyInbox))...)
}

func (e *exam) dial(opts ...nats.Option) (*nats.Conn, error) {
	return broker.Connect(context.Background(), e.URLs, "chatcoord doctor", slices.Concat([]nats.Option{silent()}, e.Options, opts)...)
}

// silent keeps what is refused on purpose off the terminal.
func silent() nats.Option {
	return nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
}

func (e *exam) tryLobby(ctx context.Context, nc *nats.Conn, how string) {
	before := len(e.findings)
	e.tryGrant("the lobby", nc, chat.LobbyGrant())
	switch err := e.vouched(ctx, nc); {
	case err != nil:
		e.fail("lobby", "The account LOBBY must import "+chat.Enter.Pattern()+" from CHAT as a service with share: true,\nas accounts.conf of chatcoord init has it.", "%v", err)
	case len(e.findings) == before:
		e.ok("lobby", "%s; the server says who asks", how)
	}
}

// vouched sends a request through the lobby and looks at it on the coordinator's side.
// It is no request that a coordinator would carry out.
func (e *exam) vouched(ctx context.Context, nc *nats.Conn) error {
	const forged = `{"host":"203.0.113.1","id":1}`
	sub, err := e.conns[setup.Answer.Name].SubscribeSync(chat.Enter.Wildcard())
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	if err := e.conns[setup.Answer.Name].FlushTimeout(patience); err != nil {
		return err
	}
	ask := nats.NewMsg(chat.Enter.Wildcard())
	ask.Reply, ask.Data = nc.NewRespInbox(), []byte("doctor "+rand.Text())
	ask.Header.Set("Nats-Request-Info", forged)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := nc.PublishMsg(ask); err != nil {
		return err
	}
	for {
		m, err := next(ctx, sub)
		if ctx.Err() != nil {
			return errors.New("what is asked in the lobby does not reach the coordinator's account")
		}
		if err != nil { // another server of a cluster may hear only now that somebody listens
			if err := nc.PublishMsg(ask); err != nil {
				return err
			}
			continue
		}
		if string(m.Data) != string(ask.Data) {
			continue
		}
		var origin broker.Origin
		info := m.Header.Values("Nats-Request-Info")
		if len(info) != 1 || info[0] == forged || json.Unmarshal([]byte(info[0]), &origin) != nil || origin.Host == "" {
			return errors.New("the server does not say who asks in the lobby, or lets it be forged")
		}
		return nil
	}
}

// next waits a moment for a message.
func next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/10)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}
