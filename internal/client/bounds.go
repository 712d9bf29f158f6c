package client

import (
	"encoding/json"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// maxNotice bounds a notice, in bytes, and most pending ones of a kind. What a hostile server
// sends beyond it is dropped.
const (
	maxNotice       = 1 << 20
	maxPending      = 8192
	maxPendingBytes = 8 << 20
)

func notify[M any](c *Client, m *nats.Msg, take func(M)) {
	var n M
	if len(m.Data) > maxNotice { // no coordinator sends so much
		c.log.Warn("a notice is too long", "subject", m.Subject, "bytes", len(m.Data))
		return
	}
	if err := json.Unmarshal(m.Data, &n); err != nil {
		c.log.Warn("a notice cannot be read", "subject", m.Subject, "err", err)
		return
	}
	take(n)
}

// presenceChanged tells a change of presence, unless too much waits to be read already.
func (c *Client) presenceChanged(n chat.PresenceNotice) {
	if !c.events.crowded() {
		c.events.push(PresenceChanged{n})
	}
}

// mostText bounds the texts that a server may have its users take, in bytes.
const mostText = 256 << 10

// bounded are a server's rules, with no text longer than an operator can choose.
func bounded(r chat.Rules) chat.Rules {
	r.MaxText = min(max(r.MaxText, 0), mostText)
	return r
}
