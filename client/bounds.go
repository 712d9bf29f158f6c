package client

import (
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
)

// The bounds of what a server may send. What is beyond them, from a hostile server, is dropped.
const (
	maxNotice       = 1 << 20 // bytes
	maxPending      = 8192    // notices of a kind, and records of a mailbox
	maxPendingBytes = 8 << 20
	maxMembers      = 1024 // of a session
	maxWord         = 128  // bytes of a session's id, of a member's name and the like
	maxInvitations  = 1024 // that wait
)

func notify[M any](c *Client, m *nats.Msg, take func(M)) {
	var n M
	if err := rpc.Decode(m.Data, maxNotice, &n); err != nil {
		c.log.Warn("a notice cannot be read", "subject", m.Subject, "bytes", len(m.Data), "err", err)
		return
	}
	take(n)
}

// presenceChanged adds an event, unless too much waits to be read already.
func (c *Client) presenceChanged(n chat.PresenceNotice) {
	if !c.events.crowded() {
		c.events.push(PresenceChanged{n})
	}
}

// mostText bounds the length of texts that a server may set, in bytes.
const mostText = 256 << 10

// bounded returns a server's rules, with no longer texts than an operator can choose.
func bounded(r chat.Rules) chat.Rules {
	r.MaxText = min(max(r.MaxText, 0), mostText)
	return r
}

// plausible reports whether a session can be a coordinator's.
func plausible(s chat.Session) bool {
	if len(s.Members) > maxMembers || len(s.By) > maxMembers {
		return false
	}
	words := []string{s.ID, string(s.Class), string(s.State), string(s.Reason), string(s.Host)}
	for _, m := range s.Members {
		words = append(words, string(m.Name), string(m.Left))
	}
	for _, u := range s.By {
		words = append(words, string(u))
	}
	for _, w := range words {
		if len(w) > maxWord {
			return false
		}
	}
	return true
}

// roomFor reports whether there is room for a session; c.mu is held.
func (c *chats) roomFor(s chat.Session) bool {
	if _, have := c.known[s.ID]; have {
		return true
	}
	proposed := 0
	for _, k := range c.known {
		if k.session.State == chat.Proposed {
			proposed++
		}
	}
	return s.State != chat.Proposed || proposed < maxInvitations
}

// second reports whether a session would be a second open one; c.mu is held.
func (c *chats) second(s chat.Session) bool {
	_, in := s.Member(c.me.User())
	return in && s.State == chat.Open && c.open != nil && c.open.id != s.ID
}

// lookAgain is the pause before it is checked again whether the reader has caught up.
const lookAgain = 50 * time.Millisecond
