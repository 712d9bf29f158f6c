package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/private"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// credsFiles are the files for the nats CLI and for chatcoord's own verbs, with the
// grant of each.
var credsFiles = map[string]func(publicKey string) chat.Grant{
	"observer.creds": func(key string) chat.Grant { return chat.ObserverGrant(chat.ObserverInbox(key)) },
	"audit.creds":    func(string) chat.Grant { return chat.AuditGrant() },
	"operator.creds": func(string) chat.Grant { return chat.OperatorGrant() },
}

// issuedFile says which key each credentials file was given: a file that is written anew, because
// it was removed or is no good, makes void what was in it.
const issuedFile = "issued.json"

// issuer looks after the credentials files of a data directory.
type issuer struct {
	dir      string
	ids      *ticket.Installation
	accounts server.AccountResolver
	log      *slog.Logger

	issued map[string]string // by file, public keys
	void   map[string]int64  // by public key, what the server knows to be void until a time
}

// writeCreds writes the credentials files that are missing, damaged, void or of other rights than this
// release gives: nothing else depends on what is in them. Copies of what was in them before are
// void from then on; those of a damaged file only if it is known what was in it.
func writeCreds(dir string, ids *ticket.Installation, accounts server.AccountResolver, log *slog.Logger) error {
	w := &issuer{dir: dir, ids: ids, accounts: accounts, log: log, issued: map[string]string{}}
	text, err := private.Read("file", filepath.Join(dir, issuedFile), private.Small)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && (json.Unmarshal(text, &w.issued) != nil || w.issued == nil) {
		log.Warn("a list of credentials is damaged, and written anew; copies of credentials files that are missing keep their rights", "file", filepath.Join(dir, issuedFile))
		w.issued = map[string]string{}
	}
	account, err := accounts.Fetch(ticket.Public(ids.Chat))
	if err != nil {
		return fmt.Errorf("reading the account: %w", err)
	}
	claims, err := jwt.DecodeAccountClaims(account)
	if err != nil {
		return fmt.Errorf("reading the account: %w", err)
	}
	w.void = claims.Revocations
	before := maps.Clone(w.issued)
	for name := range credsFiles {
		if err := w.look(name); err != nil {
			return err
		}
	}
	if maps.Equal(before, w.issued) {
		return nil
	}
	if text, err = json.Marshal(w.issued); err != nil {
		return err
	}
	return private.Write(filepath.Join(dir, issuedFile), append(text, '\n'))
}

// look writes one file if it is needed.
func (w *issuer) look(name string) error {
	path := filepath.Join(w.dir, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if w.issued[name] != "" {
			w.log.Warn("credentials were removed, and are written anew; copies of the former file are void", "file", path)
		}
		return w.write(name, "")
	}
	have, parsed := ticket.ParseCreds(private.Plain(text))
	switch {
	case err != nil, parsed != nil, have.Key == nil, have.Account != ticket.Public(w.ids.Chat):
		w.log.Warn("credentials are damaged, and written anew", "file", path)
		return w.write(name, "")
	case w.isVoid(have.User):
		w.log.Warn("credentials are void, and written anew", "file", path)
	case !have.Grant.Equal(credsFiles[name](have.User)):
		w.log.Warn("credentials have the rights of another release, and are written anew; copies of the former file are void", "file", path)
	default:
		return w.keep(name, have.User)
	}
	return w.write(name, have.User)
}

func (w *issuer) isVoid(key string) bool {
	_, void := w.void[key]
	return void
}

// keep notes what is in a file; what was in it before, unless somebody has put it there, is void.
func (w *issuer) keep(name, key string) error {
	if former := w.issued[name]; former != key {
		if err := w.revoke(former); err != nil {
			return err
		}
	}
	w.issued[name] = key
	return nil
}

// write writes a file with a new key, once what was in it is void: the key that it has, and the
// one that it was given.
func (w *issuer) write(name, has string) error {
	if err := w.revoke(has, w.issued[name]); err != nil {
		return err
	}
	m := w.ids.ChatMinter()
	creds, err := m.NewCredsFor(credsFiles[name], 0, time.Now())
	if err != nil {
		return err
	}
	text, err := ticket.FormatCreds(creds.JWT, creds.Key)
	if err != nil {
		return err
	}
	w.issued[name] = creds.User
	return private.Write(filepath.Join(w.dir, name), text)
}

// revoke makes void what was made for keys, before the server starts.
func (w *issuer) revoke(keys ...string) error {
	void := map[string]time.Time{}
	for _, key := range keys {
		if key != "" && !w.isVoid(key) {
			void[key] = time.Now()
		}
	}
	if len(void) == 0 {
		return nil
	}
	id := ticket.Public(w.ids.Chat)
	have, err := w.accounts.Fetch(id)
	if err != nil {
		return fmt.Errorf("reading the account: %w", err)
	}
	text, err := ticket.Revoke(have, w.ids.Operator, void, nil)
	if err != nil {
		return err
	}
	if err := private.Write(filepath.Join(w.dir, revokedFile), []byte(text)); err != nil {
		return err
	}
	return w.accounts.Store(id, text)
}
