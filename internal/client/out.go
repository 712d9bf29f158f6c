package client

import (
	"errors"

	"natter/chat"
)

// unwanted tells whether a refusal in the lobby is one that no new try changes.
func unwanted(err error) bool {
	for _, code := range []chat.Code{chat.Banned, chat.Reserved, chat.ForeignKey, chat.Taken, chat.Version} {
		if errors.Is(err, &chat.Error{Code: code}) {
			return true
		}
	}
	return false
}

// warnRefused tells why the lobby gives no new ticket, if it has answered: it is asked again.
func (c *Client) warnRefused(err error) {
	var told *chat.Error
	if errors.As(err, &told) && told.Code != chat.NotConnected && told.Code != chat.Timeout {
		c.warn(told)
	}
}
