//go:build faults

package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/internal/setup"
)

// neighbour is somebody else who uses our NATS servers. Their streams have no limits and
// reserve nothing.
type neighbour struct {
	key nkeys.KeyPair // of an account of their own
	js  jetstream.JetStream
}

// moveIn gives a neighbour an account, before the servers start.
func moveIn(t *testing.T, dir string) *neighbour {
	t.Helper()
	seed, err := os.ReadFile(filepath.Join(dir, "operator.nk"))
	must(t, err)
	operator, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	must(t, err)
	n := &neighbour{}
	n.key, err = nkeys.CreateAccount()
	must(t, err)
	id, err := n.key.PublicKey()
	must(t, err)
	claims := jwt.NewAccountClaims(id)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	text, err := claims.Encode(operator)
	must(t, err)
	rewrite(t, filepath.Join(dir, "accounts.conf"), `resolver_preload: \{`, "${0}\n  "+id+": "+text)
	return n
}

// rewrite changes something that must be in a file.
func rewrite(t *testing.T, path, pattern, by string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	changed := regexp.MustCompile(pattern).ReplaceAll(text, []byte(by))
	if bytes.Equal(text, changed) {
		t.Fatalf("%s has no %s", path, pattern)
	}
	must(t, os.WriteFile(path, changed, 0o600))
}

// connect has them reach the servers by their own account, or by that of the chats.
func (n *neighbour) connect(t *testing.T, s *servers, ours bool) {
	t.Helper()
	var nc *nats.Conn
	if ours {
		keys, err := setup.Open(s.keys)
		must(t, err)
		nc, err = keys.Dial(s.urls(), setup.Store)
		must(t, err)
	} else {
		key, err := nkeys.CreateUser()
		must(t, err)
		id, err := key.PublicKey()
		must(t, err)
		text, err := jwt.NewUserClaims(id).Encode(n.key)
		must(t, err)
		nc, err = nats.Connect(s.urls(), nats.UserJWT(func() (string, error) { return text, nil }, key.Sign), nats.MaxReconnects(-1))
		must(t, err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	n.js = js
	for late := time.After(timeout); ; { // a server learns of accounts after it serves
		if _, err := js.AccountInfo(t.Context()); err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-late:
			t.Fatal("there is no JetStream for the neighbour")
		}
	}
}

// fill takes all that servers may store, with a stream at each of them, until it is given back.
func (n *neighbour) fill(t *testing.T, servers ...int) (free func()) {
	t.Helper()
	wanted := map[string]bool{}
	for _, i := range servers {
		wanted[fmt.Sprint("natter-", i+1)] = true
	}
	var made, chosen []string
	for k := 0; len(wanted) > 0; k++ { // the servers choose which of them has it
		name := fmt.Sprint("THEIRS-", k)
		held, err := n.js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: name, Subjects: []string{theirs + name}, PersistMode: jetstream.AsyncPersistMode, // or it takes minutes
		})
		must(t, err)
		at := "natter-1"
		if c := held.CachedInfo().Cluster; c != nil && c.Leader != "" {
			at = c.Leader
		}
		made = append(made, name)
		if wanted[at] {
			delete(wanted, at)
			chosen = append(chosen, theirs+name)
		}
	}
	for _, subject := range chosen {
		n.all(t, subject)
	}
	return func() {
		for _, name := range made {
			err := broker.Retry(t.Context(), func(ctx context.Context) error { return n.js.DeleteStream(ctx, name) })
			if !errors.Is(err, jetstream.ErrStreamNotFound) { // an earlier try was carried out
				must(t, err)
			}
		}
	}
}

const theirs = chat.StateRoot + ".theirs." // the account of the chats lets no other be written

// all publishes until no more is taken, not even a byte.
func (n *neighbour) all(t *testing.T, subject string) {
	t.Helper()
	taken := 0
	for size := 1<<20 - 4096; size > 0; {
		_, err := n.js.Publish(t.Context(), subject, make([]byte, size))
		var api *jetstream.APIError
		switch {
		case errors.As(err, &api) && size == 1:
			t.Logf("after %d MB: %v", taken>>20, err)
			return
		case errors.As(err, &api):
			size = max(size/2, 1)
		default:
			must(t, err)
			taken += size
		}
	}
}
