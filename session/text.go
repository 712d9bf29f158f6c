package session

import (
	"fmt"

	"natter/chat"
)

// TooLong returns the error for a message over the limit, both in bytes.
func TooLong(n, most int) *chat.Error {
	is, limit := size(n), size(most)
	if is == limit {
		is, limit = fmt.Sprintf("%d bytes", n), fmt.Sprintf("%d bytes", most)
	}
	return chat.Errorf(chat.TooLong, "Message is %s; the limit is %s. /send file.txt sends it as a file.", is, limit)
}

// size writes a number of bytes for people.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
