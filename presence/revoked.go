package presence

import (
	"maps"
	"time"

	"natter/chat"
)

// Revoked says which tickets of a user are void. It is stored, because a kick or a ban must outlive
// every server that was told of it. It is a tombstone when it is empty.
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

// lastTicket is how long a ticket that exists now is valid at most.
const lastTicket = chat.MemberTicketTTL

// mostVoid bounds the keys in one record, which must fit into its stream. The first one, the
// user's own, is always stored, so that a user cannot fill the record beforehand. After it come
// those of members, whose sessions go on without them.
const mostVoid = 256

// Revoke revokes the tickets that were made for some keys until now. The servers count in whole
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

// GiveBack makes the tickets void that were made until a time for the key of a user who has left.
// Keys that the servers must know anyway stay as they are.
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

// Readmit reverts GiveBack for a key.
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

// Next returns when the next entry expires, without those of GiveBack; zero if there is none.
func (r Revoked) Next() time.Time {
	var next time.Time
	for _, v := range r.Keys {
		if !v.Left && (next.IsZero() || v.Until.Before(next)) {
			next = v.Until
		}
	}
	return next
}
