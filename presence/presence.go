package presence

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"time"

	"natter/chat"
)

// State is whether a user is present.
type State string

// The states.
const (
	Here State = "here"
	Lost State = "lost" // the connection is lost; name and sessions are kept for the grace time
	Gone State = "gone" // a tombstone: the name is free
)

// Record is a present user as it is stored.
type Record struct {
	Name       chat.Name     `json:"name"`
	Key        string        `json:"key"` // public login key: who the connection's owner is
	State      State         `json:"state"`
	Presence   chat.Presence `json:"presence,omitempty"`
	Watch      bool          `json:"watch,omitempty"` // has asked for presence notices
	Connection Connection    `json:"connection"`
	Since      time.Time     `json:"since"`            // of the login
	LostAt     time.Time     `json:"lost_at,omitzero"` // for people
	Grace      time.Duration `json:"grace,omitempty"`  // Lost: how long, from when a replica sees this record
	Reason     chat.Reason   `json:"reason,omitempty"` // Gone: ByLeave, ByLoss, ByOperator
	Terminal   string        `json:"terminal,omitempty"`
	Past       []string      `json:"past,omitempty"`   // earlier terminals, the last maxPast: their requests are late
	Former     string        `json:"former,omitempty"` // the key before, while connections may have it
	Blocks     []chat.Block  `json:"blocks,omitempty"` // as in the account
}

// Connection is where a user is connected.
type Connection struct {
	Server  string `json:"server"`  // the NATS server's id
	ID      uint64 `json:"id"`      // the server's number for the connection
	Address string `json:"address"` // IP; of a newcomer with the port
}

// User returns the record's user.
func (r Record) User() chat.User { return r.Name.User() }

// Present reports whether the user holds the name.
func (r Record) Present() bool { return r.State == Here || r.State == Lost }

// Expected reports whether the user has taken the name in the lobby and has not said hello on a
// connection yet: only the broker knows which connection is theirs.
func (r Record) Expected() bool { return r.State == Here && r.Connection.ID == 0 }

// Visible reports whether others see the user.
func (r Record) Visible() bool { return r.Present() && r.Presence == chat.Visible }

// Arrival is a hello on a connection.
type Arrival struct {
	Name       chat.Name
	Key        string
	Presence   chat.Presence // what the user has chosen, or Undecided to leave it as it is
	Connection Connection
	Terminal   string // "": not said; it equals every terminal
	Takeover   bool
	Elsewhere  bool // the key's owner is connected elsewhere, too
	Old        bool // with a ticket that was made for a user who was present

	Remembered chat.Presence // of a user who was not present: the last choice
	Blocks     []chat.Block  // and whom they block
}

// Arrive is a user's hello: the first one takes the name, a further one comes back, from another
// terminal only if the former one is not connected or is to be signed out. online is the number
// of present users and most its limit (0: no limit). Codes SignedIn, Full, NotRegistered.
func Arrive(before Record, a Arrival, online, most int, now time.Time) (Record, error) {
	switch {
	case before.Present() && before.Key == a.Key:
		return again(before, a, now)
	case before.Present():
		return before, chat.Errorf(chat.Taken, "The username %s is already taken.", a.Name)
	case hasExited(before, a):
		return before, errNotHere
	case a.Old && before.State == Gone && before.Key == a.Key:
		return before, errGivenBack
	}
	if err := Room(online, most); err != nil {
		return before, err
	}
	return Record{
		Name: a.Name, Key: a.Key, State: Here, Presence: cmp.Or(a.Presence, a.Remembered), Connection: a.Connection,
		Since: now, Terminal: a.Terminal, Blocks: a.Blocks,
	}, nil
}

// errPresent means that a user who asks in the lobby is present already.
var errPresent = errors.New("present already")

// Take is the arrival of a user in the lobby, who is not present and has no connection yet. It
// returns chat.ErrUnchanged if the request was repeated, and errPresent if the user is present
// already. Codes Full, Taken.
func Take(before Record, a Arrival, online, most int, now time.Time) (Record, error) {
	switch {
	case !before.Present() || before.Key != a.Key:
		return Arrive(before, a, online, most, now)
	case before.Expected() && before.Terminal == a.Terminal:
		return before, chat.ErrUnchanged
	}
	return before, errPresent
}

// hasExited reports whether a hello is of a program whose user has left: a delayed try, sent
// before another try was answered.
func hasExited(before Record, a Arrival) bool {
	return before.State == Gone && before.Reason == chat.ByLeave && before.Key == a.Key && a.Terminal != "" && before.Terminal == a.Terminal
}

// again is the hello of a user who is present. A hello of an earlier terminal is a delayed try;
// what the coordinator knows of the newer one's connection may be older than that.
func again(before Record, a Arrival, now time.Time) (Record, error) {
	if a.Terminal != before.Terminal && slices.Contains(before.Past, a.Terminal) {
		return before, SignedIn(before)
	}
	other := a.Takeover || a.Terminal != "" && before.Terminal != "" && a.Terminal != before.Terminal
	same := a.Connection.Server == before.Connection.Server && a.Connection.ID == before.Connection.ID
	elsewhere := a.Elsewhere || same // same: it is the other terminal's
	if other && !a.Takeover && before.State == Here && elsewhere {
		return before, SignedIn(before)
	}
	after := before
	after.State, after.LostAt, after.Grace = Here, time.Time{}, 0
	if !same {
		after.Connection = a.Connection
	}
	after.Presence = cmp.Or(a.Presence, before.Presence)
	if a.Terminal != "" || a.Takeover {
		after.Terminal = a.Terminal
	}
	if other && after.Terminal != before.Terminal {
		after.Since, after.Past = now, past(before)
	}
	if reflect.DeepEqual(after, before) {
		return before, chat.ErrUnchanged
	}
	return after, nil
}

// maxPast is how many terminals a record remembers: a request may be carried out seconds after
// it was made, and nobody changes terminals more often in that time.
const maxPast = 16

// past returns the terminals before the new one.
func past(before Record) []string {
	if before.Terminal == "" {
		return before.Past
	}
	all := append(slices.Clone(before.Past), before.Terminal)
	return all[max(0, len(all)-maxPast):]
}

// SignedIn returns the error for another terminal.
func SignedIn(r Record) error {
	e := chat.Errorf(chat.SignedIn, "%s is signed in on another terminal since %s.", r.Name, r.Since.UTC().Format("15:04 UTC"))
	e.Since = r.Since
	return e
}

// TakenOver reports whether a change has put another terminal in the place of the one that
// the user was at.
func TakenOver(before, after Record) bool {
	return before.State == Here && after.State == Here && before.Key == after.Key && before.Terminal != "" && before.Terminal != after.Terminal
}

// Room returns an error if no more users may come.
func Room(online, most int) error {
	if most > 0 && online >= most {
		return chat.Errorf(chat.Full, "The server is full (%d of %d users).", online, most)
	}
	return nil
}

// Stale returns an error if a request was made before the last change of the user's record: a
// replica that is held up may carry a request out long after the asker has made newer ones.
// asked is the revision that the asker knew, or 0.
func Stale(asked, revision uint64) error {
	if asked == 0 || asked >= revision {
		return nil
	}
	return chat.Errorf(chat.Outdated, "The request is out of date: a later one was carried out.")
}

// Choose sets whether others see the user.
func Choose(before Record, p chat.Presence) (Record, error) {
	switch {
	case !before.Present():
		return before, errNotHere
	case p != chat.Visible && p != chat.HiddenAway:
		return before, errPresence
	case before.Presence == p:
		return before, chat.ErrUnchanged
	}
	after := before
	after.Presence = p
	return after, nil
}

// Rekey replaces a user's key by a new one. A user who is connected with the old key becomes
// lost until they connect with the new one.
func Rekey(before Record, from, key string) (Record, error) {
	if !before.Present() || before.Key != from {
		return before, chat.ErrUnchanged
	}
	after := before
	after.Key, after.Former = key, from
	return after, nil
}

// Part notes that no connection has the former key.
func Part(before Record, former string) (Record, error) {
	if before.Former != former {
		return before, chat.ErrUnchanged
	}
	after := before
	after.Former = ""
	return after, nil
}

// Parted reports whether a change was made by Part.
func Parted(before, after Record) bool {
	return before.Former != "" && after.Former == "" && after.Present()
}

// StartWatching notes that the user wants presence notices.
func StartWatching(before Record) (Record, error) {
	if !before.Present() {
		return before, errNotHere
	}
	if before.Watch {
		return before, chat.ErrUnchanged
	}
	after := before
	after.Watch = true
	return after, nil
}

// Lose is the loss of the user's last connection.
func Lose(before Record, grace time.Duration, now time.Time) (Record, error) {
	if before.State != Here {
		return before, chat.ErrUnchanged
	}
	after := before
	after.State, after.LostAt, after.Grace = Lost, now, grace
	return after, nil
}

// Remove removes a present user.
func Remove(before Record, reason chat.Reason) (Record, error) {
	if !before.Present() {
		return before, chat.ErrUnchanged
	}
	after := before
	after.State, after.Reason = Gone, reason
	return after, nil
}

var errPresence = chat.Errorf(chat.Arguments, "The presence must be %q or %q.", chat.Visible, chat.HiddenAway)

var errNotHere = chat.Errorf(chat.NotRegistered, "You are not registered; the connection must say hello first.")

// Suggest finds up to three free names like the one that is taken.
func Suggest(name chat.Name, free func(chat.Name) bool) []chat.Name {
	var found []chat.Name
	for _, ending := range []string{"2", "-2", "3", "-3", "4", "5", "6", "7", "8", "9", "10", "11", "12"} {
		stem := name[:min(len(name), chat.MaxName-len(ending))]
		candidate := stem + chat.Name(ending)
		if free(candidate) {
			found = append(found, candidate)
		}
		if len(found) == 3 {
			break
		}
	}
	return found
}
