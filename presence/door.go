package presence

import (
	"time"

	"natter/chat"
)

// Door limits connections that nobody has a name for, or too many of.
type Door struct {
	HelloIn   time.Duration // a connection with a user's ticket says hello, and who took a name in the lobby connects
	LobbyIdle time.Duration // a connection to the lobby asks for something
	Address   int           // connections to the lobby of one address
	Ticket    int           // connections with one key
}

// DefaultDoor are the usual limits.
func DefaultDoor() Door {
	return Door{HelloIn: chat.HelloIn, LobbyIdle: chat.LobbyIdle, Address: chat.LobbyConns, Ticket: chat.TicketConns}
}
