package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"natter/chat"
	"natter/internal/ui"
)

// single is a value that may be given once, and knows where it came from.
type single struct {
	pflag.Value
	given bool
	from  string // the variable of the environment
}

var errTwice = errors.New("given twice")

// Set takes the value from the command line.
func (s *single) Set(value string) error {
	if s.given {
		return errTwice
	}
	s.given = true
	return s.Value.Set(value)
}

// set takes it from the environment.
func (s *single) set(from, value string) error {
	s.from = from
	return s.Value.Set(value)
}

func (s *single) origin() string {
	switch {
	case s.given:
		return "flag"
	case s.from != "":
		return s.from
	}
	return "default"
}

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

// choice is a flag that is one of a few words.
type choice struct {
	value string
	among []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.among, "|") }
func (c *choice) Set(value string) error {
	if !slices.Contains(c.among, value) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(c.among, ", "))
	}
	c.value = value
	return nil
}

// presence is the choice as the server knows it; ask is none.
func (c *choice) presence() chat.Presence {
	switch c.value {
	case "visible":
		return chat.Visible
	case "hidden":
		return chat.HiddenAway
	}
	return chat.Undecided
}

// duration is a flag with a unit, or "forever" where that makes sense.
type duration struct {
	d       time.Duration
	forever bool
}

func (d *duration) String() string {
	if d.d == ui.Forever {
		return "forever"
	}
	return d.d.String()
}
func (d *duration) Type() string { return "duration" }
func (d *duration) Set(value string) error {
	if value == "forever" && d.forever {
		d.d = ui.Forever
		return nil
	}
	parsed, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a duration: a number and a unit, for example 10s", value)
	case parsed < 0:
		return fmt.Errorf("%q is negative", value)
	}
	d.d = parsed
	return nil
}

// policy is a flag that says who is accepted without asking.
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
