package presence

import (
	"context"
	"fmt"
	"time"

	"natter/broker/store"
	"natter/chat"
)

// ConnLimits limits connections without a user, and the number of connections with one key.
type ConnLimits struct {
	HelloIn time.Duration // how long a connection with a user's ticket may take to say hello, and a user who took a name in the lobby to connect
	Ticket  int           // connections with one key, and not to a chat

	Lobby     int           // connections in the lobby from one address, at once; 0 is no limit
	LobbyIdle time.Duration // how long after its last use a connection in the lobby is closed; 0 is never

	// Names asked for and not taken yet; 0 is no limit. Each replica counts its own.
	Reserved       int // from one address
	ReservedByPass int // by one key with a pass
}

// DefaultConnLimits are the usual limits.
func DefaultConnLimits() ConnLimits {
	return ConnLimits{HelloIn: chat.HelloIn, Ticket: chat.TicketConns, Lobby: chat.LobbyConns, LobbyIdle: chat.LobbyIdle, Reserved: chat.MaxReserved, ReservedByPass: chat.MaxReservedByPass}
}

// watch closes a connection with a user's ticket that is one too many of its key, or whose user
// does not become present in time. The time is short if the ticket was given back.
func (s *Service) watch(c Link) {
	own := func(other Link) bool { return !other.Member }
	if n := len(s.live.LinksOf(c.Key, own)); s.ConnLimits.Ticket > 0 && n > s.ConnLimits.Ticket {
		s.disconnect(c)
		return
	}
	wait := s.ConnLimits.HelloIn
	stray := c.Speaks && hasLeft(s, c.Holder, c.Key)
	if stray && (wait <= 0 || wait > strayFor) {
		wait = strayFor
	}
	if wait <= 0 {
		return
	}
	s.jobs.After(fmt.Sprintf(" hello %s %d", c.Server, c.ID), wait, "close a connection that says no hello", func(ctx context.Context) error {
		if stray { // another replica may have let the user in a moment ago
			if err := s.Users.Sync(ctx); err != nil {
				return err
			}
		}
		if row, _ := s.Users.Get(store.Committed, string(c.Holder)); !row.Record.Present() {
			s.disconnect(c)
		}
		return nil
	})
}

func (s *Service) disconnect(c Link) {
	if err := s.live.Disconnect([]Link{c}); err != nil {
		s.Log.Warn("close a connection", "user", c.Holder, "err", err)
	}
}
