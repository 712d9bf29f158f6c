package chat

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// EnterRequest asks for a name. The answer is an EnterReply in a Sealed.
type EnterRequest struct {
	Proto int    `json:"proto"`
	Name  string `json:"name"`
	Key   string `json:"key"`  // public login key (nkey, U...): the ticket is bound to it
	Seal  string `json:"seal"` // public curve key (xkey, X...) that the answer is sealed to, a new one for each request
	// Hello takes the name at once. Without it the ticket lets its holder ask the coordinator,
	// and say nothing to anybody else.
	Hello *EnterHello `json:"hello,omitempty"`
	// Takeover asks for a ticket although somebody with the same key is here: a Hello
	// with it signs them out.
	Takeover bool `json:"takeover,omitempty"`
	// Known asks for a name only if it is the login key's already: none is taken for the first time.
	Known bool   `json:"known,omitempty"`
	Pass  string `json:"pass,omitempty"` // that of a link, as ShowPass writes it, where only who is invited may come
	// Side asks for a ticket bound to this key, for a connection beside the user's terminals: the
	// name must be the login key's already. See SideGrant; there are at most MaxSides at once.
	Side  string `json:"side,omitempty"`
	Proof []byte `json:"proof"` // the key's signature over EnterText
}

// EnterHello is the part of an EnterRequest that takes the name; see HelloRequest.
type EnterHello struct {
	Presence Presence `json:"presence,omitempty"`
	Terminal string   `json:"terminal"`
	Identity string   `json:"identity,omitempty"`
}

// Sealed is an EnterReply that only the asker can open.
type Sealed struct {
	From string `json:"from"` // the sender's public curve key
	Box  []byte `json:"box"`
}

// EnterReply is the answer to an EnterRequest: a ticket, or why not.
type EnterReply struct {
	Error  *Error `json:"error,omitempty"`
	Ticket Ticket `json:"ticket"`
	// Hello says that the name is taken: the user is present, and has a quarter of a minute to
	// connect. Without it a HelloRequest on the user's connection is to follow.
	Hello *HelloReply `json:"hello,omitempty"`
}

// Ticket is a credential: a NATS user JWT, useless without the key it is bound to.
type Ticket struct {
	JWT     string        `json:"jwt"`
	Expires time.Time     `json:"expires"`       // by the clock of who made it
	TTL     time.Duration `json:"ttl,omitempty"` // nanoseconds that it was good for when it was made: the clocks of two machines differ
	// Blocked are the users whose direct messages it does not receive, by name; at most
	// MaxBlocks. Only a renewed ticket has any.
	Blocked []User `json:"blocked,omitempty"`
}

// Payload is how many bytes a message may have on a connection with the ticket; 0 is without a
// limit that the ticket knows. A server says nothing of it, and closes the connection of who sends more.
func (t Ticket) Payload() int {
	var claims struct {
		NATS struct {
			Payload int `json:"payload"`
		} `json:"nats"`
	}
	parts := strings.Split(t.JWT, ".")
	if len(parts) != 3 {
		return 0
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return 0
	}
	return max(claims.NATS.Payload, 0)
}

// MaxText is the longest text that surely can be sent with the ticket where the coordinator
// takes most: the ticket may be older than that rule.
func (t Ticket) MaxText(most int) int {
	if p := t.Payload(); p > 0 {
		return min(most, TextFor(p))
	}
	return most
}

// EnterText is what the login key of an EnterRequest signs.
func EnterText(q EnterRequest) []byte {
	var h EnterHello
	if q.Hello != nil {
		h = *q.Hello
	}
	fields := []string{
		"natter/v1 enter", q.Name, q.Key, q.Seal, strconv.FormatBool(q.Takeover),
		strconv.FormatBool(q.Hello != nil), string(h.Presence), h.Terminal, h.Identity, q.Side,
	}
	return []byte(strings.Join(fields, "\x00"))
}
