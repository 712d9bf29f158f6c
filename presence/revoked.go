package presence

import (
	"maps"
	"time"

	"natter/chat"
)

// Revoked is what is void of a user's tickets, as it is stored: a kick or a ban outlives
// every server that was told of it. It is a tombstone when nothing is left in it.
type Revoked struct {
	Keys map[string]Void `json:"keys"` // by public key
}

// Void says which tickets of a key are void: those that were made until At. By Until they
// have all expired.
type Void struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// lastTicket is how long a ticket that exists now may be good at most.
const lastTicket = chat.MemberTicketTTL

// mostVoid bounds the keys in one record, which must fit into its stream. The first ones
// count: behind a user's own key are those of members, whose sessions go on without them.
const mostVoid = 256

// Revoke makes void what was made for some keys until now. The servers count in whole
// seconds.
func Revoke(before Revoked, keys []string, now time.Time) (Revoked, error) {
	at := now.Truncate(time.Second)
	after, changed := Revoked{maps.Clone(before.Keys)}, false
	for _, key := range keys {
		have, known := after.Keys[key]
		if known && !have.At.Before(at) || !known && len(after.Keys) >= mostVoid {
			continue
		}
		if after.Keys == nil {
			after.Keys = map[string]Void{}
		}
		after.Keys[key], changed = Void{at, at.Add(lastTicket)}, true
	}
	if !changed {
		return before, chat.ErrUnchanged
	}
	return after, nil
}

// Forget drops what has expired.
func Forget(before Revoked, now time.Time) (Revoked, error) {
	after := Revoked{maps.Clone(before.Keys)}
	maps.DeleteFunc(after.Keys, func(_ string, v Void) bool { return !now.Before(v.Until) })
	if len(after.Keys) == len(before.Keys) {
		return before, chat.ErrUnchanged
	}
	return after, nil
}

// Next is when something in it expires; zero if it is empty.
func (r Revoked) Next() time.Time {
	var next time.Time
	for _, v := range r.Keys {
		if next.IsZero() || v.Until.Before(next) {
			next = v.Until
		}
	}
	return next
}
