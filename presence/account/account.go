// Package account stores names beyond the login: a name belongs to the first key that took it,
// until it was not used for long enough.
//
// A name is reserved for a key in the lobby, before anybody has proved to hold the key, and taken
// by the first request on a connection that proves it. A reservation lasts as long as the ticket
// that comes with it: while a ticket is valid, nobody else gets its name.
package account

import (
	"bytes"
	"time"

	"natter/chat"
)

// Record is an account as it is stored.
type Record struct {
	Name      chat.Name `json:"name"` // as it was typed last
	Key       string    `json:"key"`  // public login key
	Created   time.Time `json:"created"`
	Reserved  time.Time `json:"reserved,omitzero"`   // never logged in: reserved until then
	LastLogin time.Time `json:"last_login,omitzero"` // never logged in: zero
	Pass      string    `json:"pass,omitempty"`      // never logged in: the chat.PassID that it is reserved with

	Presence chat.Presence `json:"presence,omitempty"` // what was chosen last
	Identity string        `json:"identity,omitempty"` // public identity key
	Blocks   []chat.Block  `json:"blocks,omitempty"`   // by name
	Rotation *Rotation     `json:"rotation,omitempty"` // how Key came to be, if it was not the first

	Deleted time.Time `json:"deleted,omitzero"` // a tombstone: nobody can have the name
	Freed   time.Time `json:"freed,omitzero"`   // the operator took it from its owner, whose tickets are valid until then
}

// Rotation is the proof that a key was put in the place of another by its owner: the
// old one's signature over chat.RotationText.
type Rotation struct {
	From      string    `json:"from"` // the old public login key
	At        time.Time `json:"at"`
	Signature []byte    `json:"signature"`
	Times     int       `json:"times,omitempty"` // changes in the day that began at Since
	Since     time.Time `json:"since,omitzero"`
}

// MostRotations is how often the key of a name can be changed in a day: for each change
// the servers must remember one more key whose tickets are void.
const MostRotations = 10

// Taken reports whether somebody who holds the key has logged in.
func (r Record) Taken() bool { return !r.LastLogin.IsZero() }

// Nobodys reports whether the name was freed: anybody can have it, now or from r.Freed on.
func (r Record) Nobodys() bool { return r.Key == "" && r.Deleted.IsZero() }

// Lapsed reports whether the name may go to another key. ttl is counted from the last
// login; 0 means never. settled is Clock.Settled.
func (r Record) Lapsed(now, settled time.Time, ttl time.Duration) bool {
	if !r.Taken() {
		return now.After(r.Reserved)
	}
	return ttl > 0 && settled.After(r.LastLogin.Add(ttl))
}

// TicketTTL is how long a ticket that is made now may be valid: never longer than the name belongs
// to its owner.
func (r Record) TicketTTL(now, settled time.Time, ttl time.Duration) time.Duration {
	switch {
	case !r.Taken():
		return r.Reserved.Sub(now)
	case ttl == 0:
		return chat.UserTicketTTL
	}
	return max(min(chat.UserTicketTTL, r.LastLogin.Add(ttl).Sub(settled)), time.Second) // 0 would mean for ever
}

// Reserve reserves a free name for a key for the time hold; before is the stored record, or the
// zero Record. Code Taken if the name belongs to another key or is reserved, Reserved if nobody
// can have it, or not yet; chat.ErrUnchanged if the key has it already.
func Reserve(before Record, name chat.Name, key string, now, settled time.Time, hold, ttl time.Duration) (Record, error) {
	switch {
	case !before.Deleted.IsZero():
		return before, chat.Errorf(chat.Reserved, "That name was used before and cannot be taken.")
	case settled.Before(before.Freed):
		return before, chat.Errorf(chat.Reserved, "The username %s is not free yet.", name)
	case before.Key == "" || before.Lapsed(now, settled, ttl):
		return Record{Name: name, Key: key, Created: now, Reserved: now.Add(hold)}, nil
	case before.Key == key && before.Taken():
		return before, chat.ErrUnchanged
	case before.Key == key:
		before.Reserved = later(before.Reserved, now.Add(hold))
		return before, nil
	}
	return before, chat.Errorf(chat.Taken, "The username %s is already taken.", name)
}

// Login notes a login of the holder of the key. chat.ErrUnchanged if one was noted less than an
// hour ago: the time is shown to people, and decides when a name lapses after days. It never goes
// back: otherwise a name could lapse when a clock that was behind is corrected.
func Login(r Record, name chat.Name, now time.Time) (Record, error) {
	if r.Taken() && r.Name == name && now.Sub(r.LastLogin) < time.Hour {
		return r, chat.ErrUnchanged
	}
	r.Name, r.LastLogin, r.Reserved, r.Pass = name, later(r.LastLogin, now), time.Time{}, ""
	return r, nil
}

// Rotate replaces the key; signature is the former key's over chat.RotationText, and was checked.
// It counts as a login. chat.ErrUnchanged if that was done
// already; code NotRegistered if nobody has taken the name.
func Rotate(r Record, key string, signature []byte, now time.Time) (Record, error) {
	switch {
	case !r.Taken():
		return r, chat.Errorf(chat.NotRegistered, "The name is nobody's here, so there is no key to change.")
	case r.Rotated(key, signature):
		return r, chat.ErrUnchanged
	case r.Key == key:
		return r, chat.Errorf(chat.Arguments, "The new key is the one that the name has already.")
	}
	next := Rotation{From: r.Key, At: now, Signature: signature, Times: 1, Since: now}
	if last := r.Rotation; last != nil && now.Before(last.Since.Add(24*time.Hour)) {
		next.Times, next.Since = last.Times+1, last.Since
	}
	if next.Times > MostRotations {
		return r, chat.Errorf(chat.Denied, "The key of %s was changed %d times since yesterday; it stays as it is until tomorrow.", r.Name, MostRotations)
	}
	r.Rotation = &next
	r.Key, r.LastLogin = key, later(r.LastLogin, now)
	return r, nil
}

// Rotated reports whether the key was set with this signature.
func (r Record) Rotated(key string, signature []byte) bool {
	return r.Rotation != nil && r.Key == key && bytes.Equal(r.Rotation.Signature, signature)
}

// Free takes a name from its owner, or removes a tombstone. Anybody can have the name once every
// ticket of its last owner is void. Code NothingToDo if it belongs to nobody.
func Free(before Record, name chat.Name, void, now time.Time) (Record, error) {
	return before.emptied(name, void, now)
}

// Delete deletes an account: nobody can have its name until it is freed; void is for that. Code
// NothingToDo if the name belongs to nobody.
func Delete(before Record, name chat.Name, void, now time.Time) (Record, error) {
	if !before.Deleted.IsZero() {
		return before, chat.ErrUnchanged
	}
	after, err := before.emptied(name, void, now)
	after.Deleted = now
	return after, err
}

func (r Record) emptied(name chat.Name, void, now time.Time) (Record, error) {
	switch {
	case r.Key == "" && r.Deleted.IsZero() && !now.Before(r.Freed):
		return r, chat.Errorf(chat.NothingToDo, "The username %s has no owner.", name)
	case r.Key == "":
		void = r.Freed
	}
	return Record{Name: name, Freed: void}, nil
}

// Voided notes that the tickets of the last owner, which were valid until a time, are void.
func Voided(r Record, until time.Time) (Record, error) {
	if r.Key != "" || r.Freed.IsZero() || !r.Freed.Equal(until) {
		return r, chat.ErrUnchanged
	}
	r.Freed = time.Time{}
	return r, nil
}
