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
	Left  bool      `json:"left,omitempty"` // only because the user has left: see GiveBack
}

// lastTicket is how long a ticket that exists now may be good at most.
const lastTicket = chat.MemberTicketTTL

// mostVoid bounds the keys in one record, which must fit into its stream. The first one
// counts in any case, which is the user's own: they must not be able to fill the record
// beforehand. Behind it are those of members, whose sessions go on without them.
const mostVoid = 256

// Revoke makes void what was made for some keys until now. The servers count in whole
// seconds.
func Revoke(before Revoked, keys []string, now time.Time) (Revoked, error) {
	at := now.Truncate(time.Second)
	after, changed := Revoked{maps.Clone(before.Keys)}, false
	for i, key := range keys {
		have, known := after.Keys[key]
		if known && !have.Left && !have.At.Before(at) || !known && i > 0 && len(after.Keys) >= mostVoid {
			continue
		}
		if after.Keys == nil {
			after.Keys = map[string]Void{}
		}
		after.Keys[key], changed = Void{At: at, Until: at.Add(lastTicket)}, true
	}
	if !changed {
		return before, chat.ErrUnchanged
	}
	return after, nil
}

// GiveBack makes void what was made until a time for the key of a user who has left. What
// the servers must know anyway stays so.
func GiveBack(before Revoked, key string, at time.Time) (Revoked, error) {
	at = at.Truncate(time.Second)
	have, known := before.Keys[key]
	if known && !have.At.Before(at) {
		return before, chat.ErrUnchanged
	}
	after := Revoked{maps.Clone(before.Keys)}
	if after.Keys == nil {
		after.Keys = map[string]Void{}
	}
	after.Keys[key] = Void{At: at, Until: later(have.Until, at.Add(chat.UserTicketTTL)), Left: have.Left || !known}
	return after, nil
}

// Readmit takes back what GiveBack has made void, and nothing else.
func Readmit(before Revoked, key string) (Revoked, error) {
	v := before.Keys[key]
	if !v.Left || v.Until.IsZero() {
		return before, chat.ErrUnchanged
	}
	after := Revoked{maps.Clone(before.Keys)}
	v.Until = time.Time{}
	after.Keys[key] = v
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

// Next is when something in it expires that is not only of who has left; zero if there is nothing.
func (r Revoked) Next() time.Time {
	var next time.Time
	for _, v := range r.Keys {
		if !v.Left && (next.IsZero() || v.Until.Before(next)) {
			next = v.Until
		}
	}
	return next
}
