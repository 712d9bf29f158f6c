package client

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/internal/private"
	"natter/internal/secure"
)

// bearer returns the credentials of a JWT file.
func bearer(file string) (nats.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, chat.Errorf(chat.Arguments, "The credentials %s cannot be read: %v.", file, err)
	}
	token, err := nkeys.ParseDecoratedJWT(private.Plain(text))
	if token = strings.TrimSpace(token); err != nil || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \r\n") {
		return nil, chat.Errorf(chat.Arguments, "The file %s holds no credentials; it should be the sentinel.jwt of the server's operator.", file)
	}
	return presenting(token), nil
}

// unreached returns why there is no connection to the lobby.
func (o *owner) unreached(err error) error {
	if unsafe := secure.Explain(o.server(), askForALink, err); unsafe != nil {
		return unsafe
	}
	switch {
	case !errors.Is(err, nats.ErrAuthorization):
		return chat.Errorf(chat.NotConnected, "cannot reach %s: %s", o.server(), broker.Plainly(err))
	case o.cfg.Creds != "":
		return chat.Errorf(chat.Denied, "%s does not accept the credentials %s.", o.server(), o.cfg.Creds)
	}
	return chat.Errorf(chat.Denied, "%s lets nobody in without credentials. Ask its operator for sentinel.jwt: chatcli --creds sentinel.jwt", o.server())
}
