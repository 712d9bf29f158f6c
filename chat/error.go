package chat

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code tells programs what an Error is about.
type Code string

// The codes. They are part of the protocol: some may be added, none is changed.
const (
	Taken         Code = "taken"             // the name is somebody's at this moment
	Invalid       Code = "invalid"           // not a name
	Reserved      Code = "reserved"          // a word that cannot be a name
	ForeignKey    Code = "foreign_key"       // the name belongs to another key
	SignedIn      Code = "signed_in"         // the same key is here on another terminal
	Auth          Code = "auth"              // the passphrase of the key is missing or wrong
	Banned        Code = "banned"            // the operator keeps them away
	Rate          Code = "rate"              // too much in too short a time
	Full          Code = "full"              // the server takes no more users, or stores no more
	Version       Code = "version"           // the two programs do not understand each other
	Unavailable   Code = "unavailable"       // cannot be invited now
	Busy          Code = "busy"              // is in a chat
	Self          Code = "self"              // that is you
	Hidden        Code = "hidden"            // not while hidden
	InChat        Code = "in_chat"           // not while chatting
	NotInChat     Code = "not_in_chat"       // only while chatting
	GroupSmall    Code = "group_small"       // too few for a group
	GroupLarge    Code = "group_large"       // too many for a group
	NothingToDo   Code = "nothing_to_answer" // that invitation has ended
	NotConnected  Code = "not_connected"     // the server or the coordinator is away
	Timeout       Code = "timeout"           // nobody answered in time
	Unknown       Code = "unknown"           // it may have been done or not: nobody has confirmed it
	Outdated      Code = "outdated"          // what came after the request counts
	Arguments     Code = "arguments"         // the request is not one
	TooLong       Code = "too_long"          // over a limit of size
	Denied        Code = "denied"            // not allowed
	NotRegistered Code = "not_registered"    // say hello first
	Internal      Code = "internal"          // a fault; the log has it whole
)

// Error is an answer that people read: a code for programs and a sentence that
// says what happened and, where there is something to do, what. Any other error
// is a fault: it is logged once where it is handled and shown as "internal error".
type Error struct {
	Code        Code          `json:"code"`
	Text        string        `json:"text"`
	Suggestions []Name        `json:"suggestions,omitempty"` // free names, with Taken
	Since       time.Time     `json:"since,omitzero"`        // of the other terminal's login, with SignedIn
	Wait        time.Duration `json:"wait,omitempty"`        // nanoseconds until it can be tried again, with Rate; with Full, if it is the disk
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Text }

// Is reports whether target is an Error of the same code, so that callers can
// write errors.Is(err, &chat.Error{Code: chat.Taken}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Sentence ends a text that another sentence follows: one that ends with a command to copy has
// no full stop.
func Sentence(text string) string { return strings.TrimSuffix(text, ".") + "." }

// ErrUnchanged is a rule's answer that there is nothing to do: what was asked for is
// true already. For who asked it is success.
var ErrUnchanged = errors.New("unchanged")
