package client

import (
	"errors"
	"time"

	"natter/broker"
	"natter/chat"
	"natter/internal/secure"
)

// unwanted reports whether trying again after a refusal in the lobby is of no use.
func unwanted(err error) bool {
	for _, code := range []chat.Code{chat.Banned, chat.Reserved, chat.ForeignKey, chat.Taken, chat.Version} {
		if errors.Is(err, &chat.Error{Code: code}) {
			return true
		}
	}
	return false
}

// warnRefused adds an event that says why the lobby gives no new ticket. The client asks again.
func (l *link) warnRefused(err error) {
	var told *chat.Error
	if errors.As(err, &told) && told.Code != chat.NotConnected && told.Code != chat.Timeout {
		l.warn(told)
	}
}

// unreconnected is called between two tries to reconnect. Only here does the library report why a
// handshake fails, for example because the server's certificate is not valid by this clock.
func (l *link) unreconnected(tries int) time.Duration {
	if nc := l.conn(); nc != nil {
		l.warn(secure.Explain(l.server(), askForALink, nc.LastError()))
	}
	return broker.ReconnectAfter(tries)
}

func (l *link) warn(unsafe error) {
	l.mu.Lock()
	tell := unsafe != nil && !l.warned && !l.lostAt.IsZero()
	l.warned = l.warned || tell
	l.mu.Unlock()
	if tell {
		l.events.push(Unsafe{unsafe})
	}
}
