package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"natter/broker/ticket"
	"natter/internal/private"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// revokedFile keeps the account of the users with the tickets that are void: a server
// that starts accepts connections before anybody could tell it.
const revokedFile = "revoked.jwt"

// Revoke makes the tickets of keys void that were made until a time, for the keys that
// are over no more, and cuts the connections that have one. Each call costs a little for
// every open connection.
func (s *Server) Revoke(_ context.Context, void map[string]time.Time, over []string) error {
	s.revoking.Lock()
	defer s.revoking.Unlock()
	id := s.ChatAccount()
	have, err := s.ns.AccountResolver().Fetch(id)
	if err != nil {
		return fmt.Errorf("reading the account: %w", err)
	}
	text, err := ticket.Revoke(have, s.ids.Operator, void, over)
	if err != nil || text == have {
		return err
	}
	if s.keptIn != "" {
		if err := private.Write(filepath.Join(s.keptIn, revokedFile), []byte(text)); err != nil {
			return err
		}
	}
	if err := s.ns.AccountResolver().Store(id, text); err != nil {
		return fmt.Errorf("storing the account: %w", err)
	}
	claims, err := jwt.DecodeAccountClaims(text)
	if err != nil {
		return fmt.Errorf("reading the account: %w", err)
	}
	account, err := s.ns.LookupAccount(id)
	if err != nil {
		return fmt.Errorf("looking for the account: %w", err)
	}
	s.ns.UpdateAccountClaims(account, claims)
	return nil
}

// revokeAgain has a server that is about to start know what was void before. What is void
// no more goes when the coordinator says so.
func revokeAgain(accounts server.AccountResolver, ids *ticket.Installation, dir string) error {
	path := filepath.Join(dir, revokedFile)
	earlier, err := private.Read("file", path, private.Large)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	id := ticket.Public(ids.Chat)
	have, err := accounts.Fetch(id)
	if err != nil {
		return err
	}
	text, err := ticket.SameRevocations(have, string(earlier), ids.Operator)
	if err != nil {
		return private.Errorf(ErrDataDir, "The file %s is damaged. Remove it: what is in it is written again.", path)
	}
	return accounts.Store(id, text)
}
