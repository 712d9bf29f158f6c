package client

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// Welcome is the answer to Enter.
type Welcome struct {
	Name      chat.Name      // as the user writes it
	Returning bool           // the name was the user's before
	LastSeen  time.Time      // when they were here last, if Returning
	Now       time.Time      // by the same clock as LastSeen, the coordinator's
	KeyFile   string         // "" if the key is in memory only
	Unkept    error          // why it is, if it should not be
	Presence  chat.Presence  // chosen in an earlier run
	Rules     chat.Rules     // limits of the server
	Missed    []chat.Session // that have ended while the user was away
}

// Enter asks for a name and takes it. After an error another name can be tried. With these codes
// the same one can: Auth, after Unlock; SignedIn, because the user is signed in on another
// terminal, with EnterOver, which signs that one out. Others are Invalid, Reserved, Taken (with
// suggestions), ForeignKey, Banned, Version, Denied and, with Config.Known, NotRegistered.
// The key file of a name is made when the coordinator gives its ticket. A client enters once: code
// Arguments after that.
func (c *Client) Enter(ctx context.Context, name string) (Welcome, error) {
	n, err := c.candidate(name)
	if err != nil {
		return Welcome{}, err
	}
	hello, in, err := c.enterKept(ctx, n)
	if !in {
		hello, err = c.enterByLobby(ctx, n)
	}
	if err != nil {
		return Welcome{}, err
	}
	return Welcome{
		Name: n, Returning: hello.Returning, LastSeen: hello.LastSeen, Now: hello.Now,
		KeyFile: c.key.file, Unkept: c.key.unkept, Presence: hello.Presence, Rules: hello.Rules, Missed: c.missed(hello),
	}, nil
}

// candidate parses the name that is to be entered: one, once.
func (c *Client) candidate(name string) (chat.Name, error) {
	if c.entered.Load() {
		return "", chat.Errorf(chat.Arguments, "This client has entered as %s; another name needs another client.", c.me)
	}
	return chat.ParseName(name)
}

// EnterOver is Enter, and signs out another terminal of the same user.
func (c *Client) EnterOver(ctx context.Context, name string) (Welcome, error) {
	c.over, c.terminal = true, rand.Text() // the one of an earlier try may have been signed out
	defer func() { c.over = c.cfg.Takeover }()
	return c.Enter(ctx, name)
}

// enterByLobby asks for a name's ticket and takes the name with it.
func (c *Client) enterByLobby(ctx context.Context, n chat.Name) (hello chat.HelloReply, err error) {
	c.me = n
	if c.key, err = c.loadKey(ctx, n); err != nil {
		return hello, err
	}
	defer c.key.release()
	if err := c.shareKey(c.key); err != nil {
		return hello, err
	}
	if err := c.key.reserve(); err != nil {
		return hello, err
	}
	nc, in, err := c.link.dialFresh(ctx)
	if err != nil {
		return hello, err
	}
	if in != nil && in.Returning {
		hello = *in
		c.login.welcomed(hello)
		c.settle(nc, hello)
	} else if hello, err = c.arrive(ctx, nc, nil); err != nil { // a new name is stored when this is answered
		return hello, err
	} else if in != nil {
		hello.Returning, hello.LastSeen, hello.Back = false, in.LastSeen, in.Back
	}
	c.lobby.leave()
	c.spent.Store(c.cfg.Pass != "" && !hello.Returning)
	c.link.keepTicket()
	return hello, nil
}

// enterKept takes the name on the connection that was made with a kept ticket. It is false if the
// client must ask the lobby: there is no such connection, or the coordinator refuses it, because
// somebody else has the name by now.
func (c *Client) enterKept(ctx context.Context, n chat.Name) (chat.HelloReply, bool, error) {
	nc := c.link.takeEarly()
	if nc == nil || nc.IsClosed() {
		return chat.HelloReply{}, false, nil
	}
	if n.User() != c.me.User() {
		nc.Close()
		return chat.HelloReply{}, false, nil
	}
	c.me = n
	if err := c.key.save(ctx, n); err != nil {
		return chat.HelloReply{}, true, err
	}
	hello, err := c.arrive(ctx, nc, &chat.Kept{Key: c.key.public})
	var told *chat.Error
	if errors.As(err, &told) && told.Code != chat.SignedIn && told.Code != chat.NotConnected && told.Code != chat.Timeout {
		c.link.forgetTicket()
		return hello, false, nil
	}
	return hello, true, err
}

// arrive says hello for the first time on the user's connection.
func (c *Client) arrive(ctx context.Context, nc *nats.Conn, k *chat.Kept) (chat.HelloReply, error) {
	c.link.use(nc)
	hello, err := c.login.firstHello(ctx, nc, chat.HelloRequest{Kept: k, Takeover: c.over})
	if err != nil {
		c.link.use(nil)
		nc.Close()
		return hello, err
	}
	c.settle(nc, hello)
	return hello, nil
}

// settle starts the work of a client whose user is present.
func (c *Client) settle(nc *nats.Conn, hello chat.HelloReply) {
	c.entered.Store(true)
	c.directs.limit(hello.Rules.DirectRate)
	c.login.settle(nc, hello)
	c.link.use(nc)
	c.cfg.Transcript.Start(c.me, c.server(), func(err error) { c.events.push(TranscriptFailed{err}) })
	c.start()
	c.wg.Go(c.link.beats)
	c.inOrder(func() { c.chats.applyAll(hello) })
	c.wg.Go(c.link.renewals)
}

// missed returns the chats whose end an earlier run of the program did not see, as far as the
// coordinator remembers them. There are none if the user was still present.
func (o *owner) missed(hello chat.HelloReply) []chat.Session {
	return slices.DeleteFunc(slices.Clone(hello.Sessions), func(s chat.Session) bool {
		return s.State != chat.Closed || s.AwayTooLong(o.me.User()) == hello.Back
	})
}
