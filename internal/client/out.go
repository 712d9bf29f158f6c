package client

import (
	"errors"

	"natter/chat"
)

// unwanted tells whether a refusal in the lobby is one that no new try changes.
func unwanted(err error) bool {
	for _, code := range []chat.Code{chat.Banned, chat.Reserved, chat.ForeignKey} {
		if errors.Is(err, &chat.Error{Code: code}) {
			return true
		}
	}
	return false
}
