package client

import (
	"context"
	"errors"
	"io/fs"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/keyfile"
)

// Rotate changes the login key of a name, signed by the old one, and returns where a
// copy of that is kept. Its error is a *chat.Error, with code Auth as that of Enter. It
// takes no name: it is for a client that does nothing else.
//
// The new key is in the file before the coordinator hears of it, and the old one until
// its answer is in. If that never comes, both are tried the next time.
func (c *Client) Rotate(ctx context.Context, name string) (backup string, err error) {
	n, err := chat.ParseName(name)
	if err != nil {
		return "", err
	}
	c.rotating, c.over = true, true
	nc, err := c.asOwner(ctx, n)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if c.key.pair != c.key.kept.Login { // it was changed already, and nobody heard of it
		return c.key.settle(ctx)
	}
	if err := c.key.prepare(ctx, n); err != nil {
		return "", err
	}
	ticket, err := c.askRotate(ctx, nc)
	if err != nil {
		return "", err
	}
	c.key.takeNext()
	backup, err = c.key.settle(ctx)
	if err == nil && ticket.JWT != "" {
		c.link.setTicket(ticket, life(ticket))
		c.link.keepTicket()
	}
	return backup, err
}

// asOwner makes a connection with the present key of a name.
func (c *Client) asOwner(ctx context.Context, n chat.Name) (nc *nats.Conn, err error) {
	if nc = c.link.takeEarly(); nc != nil && n.User() == c.me.User() {
		return nc, nil
	}
	if nc != nil {
		nc.Close()
	}
	c.me = n
	c.key, err = c.readKey(n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, chat.Errorf(chat.Denied, "There is no key of %s in %s, so it cannot be changed.", n, c.keyFile(n))
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.link.enterEither(ctx); err != nil {
		return nil, err
	}
	nc, err = c.link.dialUser(ctx)
	if err != nil {
		return nil, chat.Errorf(chat.NotConnected, "The server does not accept the connection: %s.", broker.Plainly(err))
	}
	return nc, nil
}

// askRotate asks the coordinator to replace the present key by the next one.
func (c *Client) askRotate(ctx context.Context, nc *nats.Conn) (chat.Ticket, error) {
	next, err := c.key.kept.Next.PublicKey()
	if err != nil {
		return chat.Ticket{}, err
	}
	signature, err := c.key.pair.Sign(chat.RotationText(c.me.User(), next))
	if err != nil {
		return chat.Ticket{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	return rpc.Call(ctx, nc, chat.Rotate, chat.Address{User: c.me.User()}, chat.RotateRequest{Key: next, Signature: signature})
}

// prepare adds the next key to the file, or uses the one that an earlier change has left there: the
// coordinator may know it already.
func (k *key) prepare(ctx context.Context, n chat.Name) error {
	kept, err := keyfile.Change(ctx, k.file, k.kept.Passphrase, func(f *keyfile.File) (err error) {
		if f.PublicLogin() != k.public {
			return chat.Errorf(chat.Denied, "The key file %s has changed meanwhile; try it again.", k.file)
		}
		if f.Next == nil {
			f.Next, err = nkeys.CreateUser()
		}
		return errors.Join(err, f.Complete(n))
	})
	if err == nil {
		k.kept = kept
	}
	return err
}
