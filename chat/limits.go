package chat

import "time"

// Proto is the version of the protocol; both sides of a Hello must have the same.
const Proto = 1

// Release is the version of the programs.
const Release = "0.1.0"

// Limits and times. Those with a flag are defaults.
const (
	DefaultURL      = "nats://127.0.0.1:4222"
	MaxText         = 16 << 10         // bytes of one message (--max-message)
	MaxPayload      = 64 << 10         // bytes of one request
	MaxKnown        = 64               // sessions that a hello asks for
	MaxGroup        = 16               // members of a group, its host included (--max-group)
	InviteTimeout   = 60 * time.Second // an invitation waits so long (--invite-timeout)
	Grace           = 30 * time.Second // a name outlives its connection so long (--grace)
	Hold            = time.Minute      // a new name asked for in the lobby is reserved so long, and its first ticket lives so long
	RefusalDelay    = 300 * time.Millisecond
	UserTicketTTL   = 12 * time.Hour
	MemberTicketTTL = 24 * time.Hour
	NameTTL         = 30 * 24 * time.Hour // an account outlives its last login so long (--name-ttl)
	DirectTimeout   = 2 * time.Second     // a direct message is acknowledged in this time or cannot be delivered
)

// StateRoot is where the coordinator keeps its records, outside of chat.>.
const StateRoot = "natter.state"
