package main

import (
	"time"

	"natter/chat"
	"natter/internal/flags"
	"natter/internal/ui"
)

// server is a flag that holds URLs.
type server string

func (s *server) String() string { return string(*s) }
func (s *server) Type() string   { return "url" }
func (s *server) Set(value string) error {
	parsed, err := parseServer(value)
	if err == nil {
		*s = server(parsed)
	}
	return err
}

// presenceOf is the choice as the server knows it; ask is none.
func presenceOf(word string) chat.Presence {
	switch word {
	case "visible":
		return chat.Visible
	case "hidden":
		return chat.HiddenAway
	}
	return chat.Undecided
}

// linger is a duration, or "forever".
type linger time.Duration

func (l *linger) String() string {
	if time.Duration(*l) == ui.Forever {
		return "forever"
	}
	return time.Duration(*l).String()
}
func (l *linger) Type() string { return "duration" }
func (l *linger) Set(value string) error {
	if value == "forever" {
		*l = linger(ui.Forever)
		return nil
	}
	d, err := flags.ParseDuration(value)
	*l = linger(d)
	return err
}

// policy is a flag for invitations that are accepted without asking.
type policy struct {
	policy ui.Policy
	text   string
}

func (p *policy) String() string {
	if p.text == "" {
		return "ask"
	}
	return p.text
}
func (p *policy) Type() string { return "policy" }
func (p *policy) Set(value string) error {
	parsed, err := ui.ParsePolicy(value)
	if err == nil {
		p.policy, p.text = parsed, value
	}
	return err
}
