package presence

import (
	"context"
	"fmt"
	"time"

	"natter/broker/store"
	"natter/chat"
)

// Door limits connections that nobody has a name for, or too many of.
type Door struct {
	HelloIn time.Duration // a connection with a user's ticket says hello, and who took a name in the lobby connects
	Ticket  int           // connections with one key, and not to a chat

	Lobby     int           // connections in the lobby from one address, at once; 0 is no limit
	LobbyIdle time.Duration // one in the lobby is closed so long after its last use; 0 is never

	// Names asked for and not taken yet; 0 is no limit. Each replica counts its own.
	Reserved       int // from one address
	ReservedByPass int // by one key with a pass
}

// DefaultDoor are the usual limits.
func DefaultDoor() Door {
	return Door{HelloIn: chat.HelloIn, Ticket: chat.TicketConns, Lobby: chat.LobbyConns, LobbyIdle: chat.LobbyIdle, Reserved: chat.MaxReserved, ReservedByPass: chat.MaxReservedByPass}
}

// watch cuts a connection with a user's ticket that is one too many of its key, or whose user
// is not let in within a time, which is short if the ticket was given back.
func (s *Service) watch(c Link) {
	own := func(other Link) bool { return !other.Member }
	if n := len(s.live.LinksOf(c.Key, own)); s.Door.Ticket > 0 && n > s.Door.Ticket {
		s.cut(c)
		return
	}
	wait := s.Door.HelloIn
	stray := c.Speaks && hasLeft(s, c.Holder, c.Key)
	if stray && (wait <= 0 || wait > strayFor) {
		wait = strayFor
	}
	if wait <= 0 {
		return
	}
	s.jobs.After(fmt.Sprintf(" hello %s %d", c.Server, c.ID), wait, "cut a connection that says no hello", func(ctx context.Context) error {
		if stray { // another replica may have let the user in a moment ago
			if err := s.Users.Sync(ctx); err != nil {
				return err
			}
		}
		if row, _ := s.Users.Get(store.Committed, string(c.Holder)); !row.Record.Present() {
			s.cut(c)
		}
		return nil
	})
}

func (s *Service) cut(c Link) {
	if err := s.live.Cut([]Link{c}); err != nil {
		s.Log.Warn("cut a connection", "user", c.Holder, "err", err)
	}
}
