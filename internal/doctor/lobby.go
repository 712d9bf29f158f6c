package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/setup"
)

// nobody is a name that no user can have.
const nobody chat.User = "coordinator"

// tickets tries whether the server takes what the signing key signs, and gives what it says.
// For that, the ticket may ask the server about itself.
func (e *exam) tickets(ctx context.Context) {
	const fix = "signing.nk must be a signing key of the account CHAT: copy it again from where chatcoord init has written it."
	key, err := nkeys.CreateUser()
	if err != nil {
		e.fail("tickets", "", "%v", err)
		return
	}
	public, _ := key.PublicKey() // a new one has it
	g := chat.UserGrant(nobody)
	g.Publish = append(slices.Clone(g.Publish), aboutMe)
	minted, err := e.Keys.Minter.Mint(public, g, time.Minute, e.Now())
	if err != nil {
		e.fail("tickets", fix, "cannot be made: %v", err)
		return
	}
	nc, err := e.dial(nats.UserJWT(func() (string, error) { return minted.JWT, nil }, key.Sign), nats.CustomInboxPrefix(chat.Inbox(nobody)))
	if err != nil {
		e.fail("tickets", fix, "a user's ticket is refused: %s", broker.Plainly(err))
		return
	}
	defer nc.Close()
	before := len(e.findings)
	e.tryGrant("a user", nc, chat.Grant{Subscribe: g.Subscribe}) // what a user publishes somebody may hear
	have, err := enforced(ctx, nc)
	if err != nil {
		e.fail("tickets", fixRights, "the server does not say what a user's ticket allows: %s", broker.Plainly(err))
		return
	}
	e.judgeServer("tickets", "a user's ticket", have, g)
	if len(e.findings) == before {
		e.ok("tickets", "a user's ticket is accepted, and gives no more than it says")
	}
	e.forwarding(nc)
}

const fixForwarding = "The accounts CHAT and LOBBY forward direct messages to each other: copy accounts.conf again from where\nthis version of chatcoord init has written it, or have the accounts signed anew."

// forwarding sends a direct message from nobody to nobody, and looks whether it arrives.
func (e *exam) forwarding(nc *nats.Conn) {
	own := chat.Address{To: nobody, User: nobody}
	sub, err := nc.SubscribeSync(chat.Direct.Arrival(own))
	if err == nil {
		err = nc.Publish(chat.Direct.Subject(own), []byte(`{}`))
	}
	if err == nil {
		_, err = sub.NextMsg(answerTimeout)
	}
	if err != nil {
		e.fail("forwarding", fixForwarding, "direct messages do not arrive: %s", broker.Plainly(err))
		return
	}
	e.ok("forwarding", "direct messages arrive")
}

// aboutMe asks a server about the connection that asks.
const aboutMe = "$SYS.REQ.USER.INFO"

// enforced is what the server lets a connection do.
func enforced(ctx context.Context, nc *nats.Conn) (g chat.Grant, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, aboutMe, nil)
	if err != nil {
		return g, err
	}
	type rights struct {
		Allow []string `json:"allow"`
		Deny  []string `json:"deny"`
	}
	var reply struct {
		Data struct {
			Permissions struct {
				Publish   rights `json:"publish"`
				Subscribe rights `json:"subscribe"`
			} `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return g, err
	}
	p := reply.Data.Permissions
	anything := func(allowed []string) []string {
		if len(allowed) == 0 {
			return []string{">"} // no list is everything
		}
		return allowed
	}
	return chat.Grant{Publish: anything(p.Publish.Allow), Subscribe: anything(p.Subscribe.Allow), DenySubscribe: p.Subscribe.Deny}, nil
}

// lobbyRights compares the lobby's rights, as far as they can be seen: the server gives
// strangers the ticket of sentinel.jwt, and says whose ticket it is, not what is in it.
func (e *exam) lobbyRights(ctx context.Context, nc *nats.Conn) {
	if e.Keys.Sentinel == "" || len(e.servers) == 0 {
		return
	}
	sentinel, err := ticket.ParseCreds([]byte(e.Keys.Sentinel))
	if err != nil {
		e.fail("lobby", fixCreds, "sentinel.jwt is damaged")
		return
	}
	if more, less := compare(sentinel.Grant, chat.LobbyGrant()); len(more)+len(less) > 0 {
		e.fail("lobby", fixCreds, "sentinel.jwt does not have the rights of the lobby: %s", strings.Join(append(more, less...), ", "))
	}
	user, err := e.userOf(ctx, nc)
	switch {
	case err != nil:
		e.warn("lobby", fixRights, "the server does not say whose rights the lobby has: %s", broker.Plainly(err))
	case user != sentinel.User:
		e.fail("lobby", fixLobby, "the server does not use sentinel.jwt for those who bring nothing, but another ticket")
	}
}

// userOf is the public key whose ticket a connection has.
func (e *exam) userOf(ctx context.Context, nc *nats.Conn) (string, error) {
	id, err := nc.GetClientID()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	query := fmt.Appendf(nil, `{"cid":%d,"auth":true}`, id)
	m, err := e.conns[setup.System.Name].RequestWithContext(ctx, "$SYS.REQ.SERVER."+nc.ConnectedServerId()+".CONNZ", query)
	if err != nil {
		return "", err
	}
	var reply struct {
		Data struct {
			Connections []struct {
				User string `json:"authorized_user"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return "", err
	}
	if len(reply.Data.Connections) != 1 {
		return "", errors.New("it does not know the connection")
	}
	return reply.Data.Connections[0].User, nil
}

const fixLobby = "In the configuration of each server: include the accounts.conf of chatcoord init, which has\ndefault_sentinel. Or give users sentinel.jwt: chatcli --creds sentinel.jwt"

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
		e.fail("lobby", fixLobby, "nobody gets in without credentials: %s", broker.Plainly(err))
		return
	}
	sentinel := nats.UserJWT(func() (string, error) { return e.Keys.Sentinel, nil }, func([]byte) ([]byte, error) { return nil, nil })
	nc, err = e.dialLobby(sentinel)
	if err != nil {
		e.fail("lobby", fixLobby, "nobody gets in, not with sentinel.jwt either: %s", broker.Plainly(err))
		return
	}
	defer nc.Close()
	e.warn("lobby", fixLobby, "nobody gets in without credentials; with sentinel.jwt one does")
	e.tryLobby(ctx, nc, "reachable with sentinel.jwt")
}

func (e *exam) dialLobby(opts ...nats.Option) (*nats.Conn, error) {
	return e.dial(append(opts, nats.CustomInboxPrefix(chat.LobbyInbox))...)
}

func (e *exam) dial(opts ...nats.Option) (*nats.Conn, error) {
	return broker.Connect(context.Background(), e.URLs, broker.CoordinatorName, slices.Concat([]nats.Option{silent()}, e.Options, opts)...)
}

// silent keeps what is refused on purpose off the terminal.
func silent() nats.Option {
	return nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
}

func (e *exam) tryLobby(ctx context.Context, nc *nats.Conn, how string) {
	before := len(e.findings)
	e.tryGrant("the lobby", nc, chat.LobbyGrant())
	e.lobbyRights(ctx, nc)
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
	sub, err := e.conns[setup.Answer.Name].SubscribeSync(chat.Enter.Wildcard())
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	if err := e.conns[setup.Answer.Name].FlushTimeout(answerTimeout); err != nil {
		return err
	}
	ask := nats.NewMsg(chat.Enter.Wildcard())
	ask.Reply, ask.Data = nc.NewRespInbox(), []byte("doctor "+rand.Text())
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
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
		var origin rpc.Origin
		info := m.Header.Values("Nats-Request-Info")
		if len(info) != 1 || json.Unmarshal([]byte(info[0]), &origin) != nil || origin.Host == "" {
			return errors.New("the server does not say who asks in the lobby")
		}
		return nil
	}
}

// next waits a moment for a message.
func next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout/10)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}
