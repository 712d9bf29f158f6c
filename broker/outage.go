package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
)

// Outage is why nothing can be stored: a sentence for users, and one for the operator.
type Outage struct {
	Told *chat.Error
	Why  string
}

// Error is what the operator reads.
func (o *Outage) Error() string { return o.Why }

// Unwrap makes errors.As find what users are told.
func (o *Outage) Unwrap() error { return o.Told }

// What users are told when nothing can be stored.
var (
	ErrNoRoom    = later("The server's disk is full; nothing was stored. Try again later.")
	ErrNotStored = later("The server cannot write to its disk; nothing was stored. Try again later.")
	ErrAtLimit   = later("The server stores no more than its operator has set; nothing was stored. Try again later.")
)

// later is a refusal that is no last word to who is here already.
func later(text string) *chat.Error {
	e := chat.Errorf(chat.Full, "%s", text)
	e.Wait = time.Second
	return e
}

// StoreWatch knows whether what is written to streams can be stored.
type StoreWatch interface {
	// Storing is done when nothing can be stored, its cause an Outage. Something may be again
	// later; then it is another one.
	Storing() context.Context
	// Doubt has the watch look why something takes long, unless stop is called soon.
	Doubt() (stop func() bool)
}

// Until is the StoreWatch of a store that is watched by others, who end the context.
type Until struct{ context.Context }

// Storing is the context.
func (u Until) Storing() context.Context { return u.Context }

// Doubt does nothing.
func (Until) Doubt() (stop func() bool) { return func() bool { return true } }

// Told is an error as its receiver is to have it: when it comes of an outage of the store,
// or of a stream at its limit, the sentence for users.
func Told(storing context.Context, err error) error {
	var out *Outage
	if errors.As(context.Cause(storing), &out) {
		return out.Told
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && full(api) {
		return noRoom(api)
	}
	return err
}

// IsFull reports whether a stream, or what it lies in, says that it has no room left.
func IsFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && full(api)
}

// notStored is what a stream answers that is at its limit, and for other reasons.
const notStored jetstream.ErrorCode = 10077

// full reports whether the stream is at its limit, or the store that it lies in has no room left.
func full(e *jetstream.APIError) bool {
	const account, insufficient, storage = 10002, 10023, 10047
	switch e.ErrorCode {
	case account, insufficient, storage:
		return true
	case notStored:
		return strings.Contains(e.Description, "maximum")
	}
	return false
}

// AtLimit reports whether something was not stored because its stream is at its limit.
func AtLimit(err error) bool {
	var told *chat.Error
	return errors.As(err, &told) && told == ErrAtLimit
}

// noRoom is what users are told of what full says.
func noRoom(e *jetstream.APIError) *chat.Error {
	if e.ErrorCode == notStored {
		return ErrAtLimit
	}
	return ErrNoRoom
}
