package client

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// login is the user's presence at the server, from hello to exit.
type login struct {
	*owner
	link   *link
	blocks *blocks
	chats  *chats

	mu       sync.Mutex
	rules    chat.Rules
	presence chat.Presence
	watching bool

	revision     uint64 // the newest that the user has seen
	installation string // of revision and of everything that is known
	moved        bool   // it is another one than before, which has not been told yet

	unknown      bool // the coordinator does not know the user; a hello follows
	wasForgotten bool // that hello was not answered yet

	at        *chat.Place // where the last hello came from
	came      uint64      // and the revision of that
	anew      bool        // the lobby has let the user in again, who was no longer present
	exiting   bool        // the user has asked to be out
	signedOut bool        // nothing more is to be received
}

// settle takes the answer to the first hello.
func (g *login) settle(nc *nats.Conn, hello chat.HelloReply) {
	at := place(nc)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.rules, g.presence = at, bounded(hello.Rules), hello.Presence
}

// settleBeside is settle for a connection beside the user's terminals.
func (g *login) settleBeside(rules chat.Rules) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules, g.presence = bounded(rules), chat.Undecided
}

// limits returns the server's rules.
func (g *login) limits() chat.Rules {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rules
}

// chosen returns the presence that was chosen last.
func (g *login) chosen() chat.Presence {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.presence
}

// here reports whether this terminal is still signed in.
func (g *login) here() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.signedOut
}

// letIn notes that the lobby has let the user in again.
func (g *login) letIn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.anew = true
}

// knows returns the newest revision that the client has seen.
func (g *login) knows() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.revision
}

// seen notes a revision, so that lists are never older than what the client knows.
func (g *login) seen(revision uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revision = max(g.revision, revision)
}

// setPresence chooses whether others see the user.
func (g *login) setPresence(ctx context.Context, visible bool) error {
	p := chat.HiddenAway
	if visible {
		p = chat.Visible
	}
	if g.chosen() == p {
		return nil
	}
	err := g.current(ctx, func(revision uint64, home string) error {
		done, err := call(ctx, g.link, chat.SetPresence, chat.PresenceRequest{Presence: p, Revision: revision, Installation: home})
		g.seen(done.Revision)
		return err
	})
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.presence = p
	g.mu.Unlock()
	return nil
}

func (g *login) list(ctx context.Context, watch bool) ([]chat.Entry, error) {
	g.mu.Lock()
	q := chat.ListRequest{Revision: g.revision, Installation: g.installation, Watch: watch}
	g.mu.Unlock()
	reply, err := call(ctx, g.link, chat.List, q)
	if err != nil {
		return nil, err
	}
	g.seen(reply.Revision)
	g.mu.Lock()
	g.watching = g.watching || watch
	g.mu.Unlock()
	return reply.Users, nil
}

// sayExit signs the user out. If the coordinator does not know the user, that is done: an earlier try
// may have been carried out without an answer, or on a connection that was lost meanwhile, for which
// it waits.
func (g *login) sayExit(ctx context.Context) error {
	g.mu.Lock()
	g.exiting = true
	g.mu.Unlock()
	ask := func() error {
		err := g.current(ctx, func(revision uint64, home string) error {
			_, err := call(ctx, g.link, chat.Exit, chat.ExitRequest{Revision: revision, Installation: home})
			return err
		})
		if errors.Is(err, &chat.Error{Code: chat.NotRegistered}) {
			return nil
		}
		return err
	}
	online := g.link.online()
	err := ask()
	if online && errors.Is(err, &chat.Error{Code: chat.NotConnected}) {
		err = ask()
	}
	return err
}

// current makes a request that is refused if it was made before the last change of the user's record
// (see presence.Stale). If the client does not know of that change, for example because the user
// counted as lost meanwhile, it says hello first.
func (g *login) current(ctx context.Context, ask func(revision uint64, home string) error) (err error) {
	for range tries {
		if err = ask(g.knows(), g.home()); !errors.Is(err, &chat.Error{Code: chat.Outdated}) {
			break
		}
		if _, err := g.hello(ctx, chat.HelloRequest{}); err != nil {
			return err
		}
	}
	return err
}
