package ui

import (
	"strings"

	"natter/chat"
)

// Policy answers invitations without asking the user. The zero Policy asks.
type Policy struct {
	All, None bool
	From      map[chat.User]bool // accepted; others are asked about
}

// ParsePolicy parses ask, all, none, or names with commas between them.
func ParsePolicy(s string) (Policy, error) {
	switch strings.ToLower(s) {
	case "", "ask":
		return Policy{}, nil
	case "all":
		return Policy{All: true}, nil
	case "none":
		return Policy{None: true}, nil
	}
	p := Policy{From: map[chat.User]bool{}}
	for _, part := range splitNames(s) {
		n, err := chat.ParseName(part)
		if err != nil {
			return Policy{}, err
		}
		p.From[n.User()] = true
	}
	return p, nil
}

// answer returns whether the invitation is accepted, and whether the policy decides that.
func (p Policy) answer(s chat.Session) (accept, decided bool) {
	return p.All || p.From[s.Host], p.All || p.None || p.From[s.Host]
}
