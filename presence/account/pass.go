package account

import (
	"maps"
	"slices"
	"time"

	"natter/chat"
)

// Pass lets new users in where they must be invited. It is stored under its
// chat.PassID, so that who reads the store has no pass.
//
// A key spends one of its uses, once: users who are told that a name is taken may try
// others, until one is theirs. Each is kept once, or the record of chat.MaxUses of them
// would not fit into its stream. A pass that is used up or over stays a while, so that people are told which.
type Pass struct {
	Uses  int                  `json:"uses"`           // new users that it lets in
	Keys  []string             `json:"keys,omitempty"` // public login keys that have used it, and taken no name yet
	Took  map[string]chat.User `json:"took,omitempty"` // the names that the others have taken with it
	Made  time.Time            `json:"made"`
	Until time.Time            `json:"until"`
	Gone  bool                 `json:"gone,omitempty"` // a tombstone
}

// PassKept is how long a pass is stored after its end.
const PassKept = 7 * 24 * time.Hour

// MaxPassTTL is the longest time that a pass may be good.
const MaxPassTTL = 365 * 24 * time.Hour

// The refusals of those who are not invited.
var (
	ErrNotInvited = chat.Errorf(chat.Denied, "This server is for invited people only. Ask its operator for a link, then: chatcli join LINK")
	ErrPassUsed   = chat.Errorf(chat.Denied, "This link is used up. Ask the server's operator for another one, then: chatcli join LINK")
	ErrPassOver   = chat.Errorf(chat.Denied, "This link has expired. Ask the server's operator for another one, then: chatcli join LINK")
	ErrNoPass     = chat.Errorf(chat.Denied, "This link is not known here. Ask the server's operator for another one, then: chatcli join LINK")
)

// NewPass is a pass for so many new users, good for so long; zeros are the defaults. Code
// Arguments.
func NewPass(uses int, ttl time.Duration, now time.Time) (Pass, error) {
	if uses == 0 {
		uses = 1
	}
	if ttl == 0 {
		ttl = chat.PassTTL
	}
	switch {
	case uses < 1 || uses > chat.MaxUses:
		return Pass{}, chat.Errorf(chat.Arguments, "A link is for 1 to %d people.", chat.MaxUses)
	case ttl < time.Second || ttl > MaxPassTTL:
		return Pass{}, chat.Errorf(chat.Arguments, "A link is good for a second at least and a year at most.")
	}
	return Pass{Uses: uses, Made: now, Until: now.Add(ttl)}, nil
}

// Use spends a use of a pass on a key. chat.ErrUnchanged if the key has done so before;
// code Denied if the pass lets nobody in.
func (p Pass) Use(key string, u chat.User, now time.Time) (Pass, error) {
	keys := p.trying()
	switch {
	case p.Gone || p.Uses == 0:
		return p, ErrNoPass
	case !now.Before(p.Until):
		return p, ErrPassOver
	case p.Took[key] != "" && p.Took[key] != u:
		return p, ErrPassUsed
	case p.Took[key] == u, slices.Contains(keys, key):
		return p, chat.ErrUnchanged
	case len(keys)+len(p.Took) >= p.Uses:
		return p, ErrPassUsed
	}
	p.Keys = append(keys, key)
	return p, nil
}

// trying returns the keys that have taken no name yet. An earlier release stored the others, too.
func (p Pass) trying() []string {
	return slices.DeleteFunc(slices.Clone(p.Keys), func(key string) bool { return p.Took[key] != "" })
}

// Take notes which name a key has taken with the pass: it is good for no other one.
// chat.ErrUnchanged if that is known; code Denied if it was another one.
func (p Pass) Take(key string, u chat.User) (Pass, error) {
	took := p.Took[key]
	switch {
	case p.Gone || took == u:
		return p, chat.ErrUnchanged
	case took != "":
		return p, ErrPassUsed
	}
	p.Took = maps.Clone(p.Took)
	if p.Took == nil {
		p.Took = map[string]chat.User{}
	}
	p.Took[key] = u
	p.Keys = p.trying()
	return p, nil
}

// Revoke ends a pass now. Users who took a name with it keep the name. chat.ErrUnchanged if it
// has ended; code NothingToDo if there is none.
func (p Pass) Revoke(now time.Time) (Pass, error) {
	switch {
	case p.Gone || p.Uses == 0:
		return p, chat.Errorf(chat.NothingToDo, "There is no such link.")
	case !now.Before(p.Until):
		return p, chat.ErrUnchanged
	}
	p.Until = now
	return p, nil
}

// Forget deletes a pass that has been over for PassKept.
func (p Pass) Forget(now time.Time) (Pass, error) {
	if p.Gone || p.Uses == 0 || now.Before(p.Until.Add(PassKept)) {
		return p, chat.ErrUnchanged
	}
	return Pass{Gone: true}, nil
}

// Knows reports whether an account is the key's own, whose owner needs no pass: somebody
// who held the key has logged in.
func (r Record) Knows(key string) bool { return r.Key == key && r.Taken() }
